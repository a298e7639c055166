"""API keys of a test: their tables, and requests that carry them."""

from hashlib import sha256
from pathlib import Path
from typing import Any

from .client import CHAT, Answer, Client, hello


def auth(store: Path | str = "", **keys: str) -> str:
    """Return the tables of a store and of *keys*: TOML by the name of each."""
    lines = ["[auth]", f'store = "{store}"']
    for name, more in keys.items():
        digest = sha256(f"sk-{name}".encode()).hexdigest()
        lines += ["[[auth.keys]]", f'name = "{name}"', f'sha256 = "{digest}"', more]
    return "\n".join(lines)


def bearer(key: str) -> dict[str, Any]:
    """Return the options of a request that sends *key*."""
    return {"headers": {"Authorization": f"Bearer {key}"}}


async def ask(me: Client, key: str, provider: str = "One", **more: Any) -> Answer:
    """Chat with a key."""
    body = hello(provider, **more)
    return await me.request("POST", CHAT, json=body, **bearer(key))
