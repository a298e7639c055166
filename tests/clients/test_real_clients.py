"""Real clients, where `make clients` has installed them: a part of its table."""

from pathlib import Path
from typing import Any

import pytest

from .catalogue import CLIENTS, Client
from .driving import TARGETS, OneTurn, drive
from .installing import installed
from .nginx import found
from .sessions import sessions

RACE, PLAIN_NGINX = (
    next(t for t in TARGETS if t.name == name)
    for name in ("race of two", "nginx, HTTP/1.0")
)
needs_clients = pytest.mark.skipif(
    not installed(), reason="`make clients` installs them"
)
needs_nginx = pytest.mark.skipif(found() is None, reason="nginx is not installed")


def cases(beginnings: tuple[str, ...]) -> Any:
    chosen = [each for each in CLIENTS if each.name.startswith(beginnings)]
    return [pytest.param(each, id=each.name) for each in chosen]


@needs_clients
@pytest.mark.parametrize("client", cases(("",)))
async def test_race(client: Client, tmp_path: Path) -> None:
    """A client, set up as the page says, ends its turn, whoever of two answers."""
    outcome = await drive(OneTurn(client), RACE, tmp_path)
    assert outcome.error is None


@needs_clients
@needs_nginx
@pytest.mark.parametrize("client", cases(("Codex", "Claude Code")))
async def test_behind_nginx(client: Client, tmp_path: Path) -> None:
    """A coding agent ends its turn behind an nginx with nothing but `proxy_pass`."""
    outcome = await drive(OneTurn(client), PLAIN_NGINX, tmp_path)
    assert outcome.error is None


@needs_clients
@pytest.mark.parametrize("client", cases(("Codex", "Claude Code")))
async def test_session(client: Client, tmp_path: Path) -> None:
    """
    A coding agent goes on from turn to turn: with a picture in its history, then with a
    summary in place of it, and with one of its providers down in between.
    """
    [session] = sessions([client])
    outcome = await drive(session, RACE, tmp_path)
    assert outcome.error is None
