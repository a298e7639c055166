"""The outer ring: what is served over HTTP, and how it is chosen."""
