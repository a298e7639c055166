"""HTTP towards providers: aiohttp's connections, and what passes by its session."""
