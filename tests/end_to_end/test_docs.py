"""The OpenAPI document as it is served, and the page that shows it."""

import asyncio
import re
import shutil
from pathlib import Path

import pytest

from server.web.openapi import document
from tests.conftest import Serve
from tests.rig.client import Client

from .test_requests import key

BROWSERS = ("chromium", "chromium-browser", "google-chrome")
CHROMIUM = next(filter(None, map(shutil.which, BROWSERS)), None)
# Debian's, as root, with nothing that would call home.
FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--enable-logging=stderr",
    "--virtual-time-budget=30000",
    "--dump-dom",
)
TYPES = {"css": "text/css; charset=utf-8", "js": "text/javascript; charset=utf-8"}


async def test_anyone_may_read_it(serve: Serve) -> None:
    """It needs no key, and is served under the rules for names and pages as all is."""
    origin = "http://localhost:5173"
    open_to_all = await serve()
    with_keys = await serve(key("k"))

    for client in (open_to_all, with_keys):
        told = await client.get("/openapi.json", headers={"Origin": origin})
        assert told.json == document()
        assert told.headers["Access-Control-Allow-Origin"] == origin
        assert (await client.get("/docs")).status == 200
    for path in ("/openapi.json", "/docs"):
        refused = await open_to_all.get(path, headers={"Host": "evil.example"})
        assert refused.status == 403
        assert refused.error["code"] == "host_not_allowed"


async def test_page_is_whole_and_strict(serve: Serve) -> None:
    """All that the page refers to is served here, as what it is, and nothing inline."""
    client = await serve()

    page = await client.get("/docs")

    html = page.body.decode()
    files = re.findall(r'(?:src|href)="(?!data:)([^"]+)"', html)
    assert len(files) == 3
    for file in files:
        got = await client.get(f"/{file}")
        assert got.headers["Content-Type"] == TYPES[file.rpartition(".")[2]]
        assert got.headers["X-Content-Type-Options"] == "nosniff"
        known = {"If-None-Match": got.headers["ETag"]}
        assert (await client.get(f"/{file}", headers=known)).status == 304
    policy = page.headers["Content-Security-Policy"]
    assert policy.startswith("default-src 'none'; script-src 'self'; style-src 'self';")
    assert "unsafe" not in policy
    assert page.headers["Content-Type"] == "text/html; charset=utf-8"
    assert not re.search(r"<style|<script>|style=|\son\w+=", html)
    assert (await client.get("/docs/nothing.js")).status == 404


@pytest.mark.skipif(
    CHROMIUM is None, reason="needs Chromium or Chrome: apt-get install chromium"
)
async def test_browser_shows_every_operation(serve: Serve, tmp_path: Path) -> None:
    """In a browser, the page lists every operation, and its policy blocks nothing."""
    client = await serve()

    shown, console = await browse(client, "/docs", tmp_path)

    told = document()
    for path, item in told["paths"].items():
        assert f'data-path="{path}"' in shown
        for method in item.keys() - {"parameters"}:
            assert f'-{item[method]["operationId"]}"' in shown
    assert "Failed to load" not in shown
    assert console == []


async def browse(client: Client, path: str, folder: Path) -> tuple[str, list[str]]:
    """Return what Chromium makes of a page, and what it says on the console."""
    assert CHROMIUM is not None
    process = await asyncio.create_subprocess_exec(
        *(CHROMIUM, *FLAGS, f"--user-data-dir={folder}", client.url + path),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        async with asyncio.timeout(60):
            shown, log = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
    lines = log.decode(errors="replace").splitlines()
    return shown.decode(), [line for line in lines if "CONSOLE" in line]
