"""The web page at `/`, whose files are in `server/page/`; for others, where to go."""

from functools import cache
from hashlib import sha256
from http import HTTPStatus
from importlib.metadata import version
from pathlib import Path

from aiohttp import ETag, web
from attrs import frozen

from server.errors import RouteNotFound
from server.web.base_urls import base_url
from server.web.json_answers import json_answer
from server.wire.probes import RootPayload, server_payload

routes = web.RouteTableDef()

FOLDER = Path(__file__).parents[2] / "page"
INDEX = "index.html"
TYPES = {
    ".html": "text/html",
    ".js": "text/javascript",
    ".css": "text/css",
    ".svg": "image/svg+xml",
}
# Nothing comes from elsewhere, nothing goes elsewhere, and no string becomes HTML.
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self';"
    " img-src 'self' data: blob:; media-src 'self' blob:; connect-src 'self';"
    " base-uri 'none'; form-action 'none'; frame-ancestors 'none';"
    " require-trusted-types-for 'script'; trusted-types 'none'"
)
HEADERS = {
    # Asked for again each time, and sent again only if it has changed.
    "Cache-Control": "no-cache",
    "X-Content-Type-Options": "nosniff",
}
OF_PAGE = {
    "Content-Security-Policy": POLICY,
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
    "Vary": "Accept",
}


@frozen
class PageFile:
    """A file of the page, kept in memory: there are few, and a visit takes them all."""

    body: bytes
    content_type: str
    etag: str

    def answer(self, request: web.Request) -> web.Response:
        """Return the file, or that the browser has it already."""
        if any(etag.value == self.etag for etag in request.if_none_match or ()):
            response = web.Response(status=HTTPStatus.NOT_MODIFIED, headers=HEADERS)
        else:
            response = web.Response(
                body=self.body,
                headers=HEADERS,
                content_type=self.content_type,
                charset="utf-8",
            )
        response.etag = ETag(self.etag)
        return response


@routes.get("/")
async def show_page(request: web.Request) -> web.StreamResponse:
    """Show browsers the page, and tell all others where to go on."""
    if "text/html" in request.headers.get("Accept", ""):
        page = files()[INDEX].answer(request)
        page.headers.update(OF_PAGE)
        return page
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
    file = files().get(name)
    if file is None or name == INDEX:
        raise RouteNotFound("The page has no such file.")
    return file.answer(request)


@cache
def files() -> dict[str, PageFile]:
    """Return the page's files by their names, as they are sent; made at first use."""
    made = {}
    for path in FOLDER.iterdir():
        if path.suffix in TYPES:
            body = packed(path.read_text(encoding="utf-8"), path.suffix).encode()
            digest = sha256(body).hexdigest()[:16]
            made[path.name] = PageFile(body, TYPES[path.suffix], digest)
    return made


def packed(text: str, suffix: str) -> str:
    """Return a file's *text* without what only its readers need."""
    from rcssmin import cssmin
    from rjsmin import jsmin

    match suffix:
        case ".js":
            return str(jsmin(text))
        case ".css":
            return str(cssmin(text))
    return "\n".join(line.strip() for line in text.splitlines())
