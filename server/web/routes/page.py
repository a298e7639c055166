"""The web page at `/`, whose files are in `server/page/`; for others, where to go."""

from functools import cache
from importlib.metadata import version
from pathlib import Path

from aiohttp import web

from server.errors import RouteNotFound
from server.web.base_urls import base_url
from server.web.json_answers import json_answer
from server.wire.probes import RootPayload, server_payload

routes = web.RouteTableDef()

FOLDER = Path(__file__).parents[2] / "page"
TYPES = {".js": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml"}
# Nothing comes from elsewhere, nothing goes elsewhere, and no string becomes HTML.
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self';"
    " img-src 'self' data: blob:; media-src 'self' blob:; connect-src 'self';"
    " base-uri 'none'; form-action 'none'; frame-ancestors 'none';"
    " require-trusted-types-for 'script'; trusted-types 'none'"
)
FILE_HEADERS = {
    # Asked for again each time, and sent again only if it has changed.
    "Cache-Control": "no-cache",
    "X-Content-Type-Options": "nosniff",
}
PAGE_HEADERS = {
    **FILE_HEADERS,
    "Content-Type": "text/html; charset=utf-8",
    "Content-Security-Policy": POLICY,
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
    "Vary": "Accept",
}


@routes.get("/")
async def show_page(request: web.Request) -> web.StreamResponse:
    """Show browsers the page, and tell all others where to go on."""
    if "text/html" in request.headers.get("Accept", ""):
        return web.FileResponse(FOLDER / "index.html", headers=PAGE_HEADERS)
    root = base_url(request, anthropic=True)
    told: RootPayload = {
        **server_payload(base_url(request), root),
        "version": version("interference"),
        "docs": f"{root}/docs",
    }
    return json_answer(told, headers={"Vary": "Accept"})


@routes.get("/page/{name}")
async def retrieve_page_file(request: web.Request) -> web.StreamResponse:
    name = request.match_info["name"]
    content_type = files().get(name)
    if content_type is None:
        raise RouteNotFound("The page has no such file.")
    headers = {**FILE_HEADERS, "Content-Type": f"{content_type}; charset=utf-8"}
    return web.FileResponse(FOLDER / name, headers=headers)


@cache
def files() -> dict[str, str]:
    """Return the types of the page's files, by their names."""
    return {
        file.name: TYPES[file.suffix]
        for file in FOLDER.iterdir()
        if file.suffix in TYPES
    }
