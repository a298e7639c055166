"""The OpenAPI document, and a page that shows it: all files of it are served here."""

from functools import cache
from importlib.util import find_spec
from pathlib import Path

from aiohttp import web

from server.errors import RouteNotFound
from server.web.context import VISIT
from server.web.json_answers import encoded_answer

routes = web.RouteTableDef()

# Scripts, styles and images come from this server, and nothing else may be loaded.
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:;"
    " connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
HEADERS = {
    # Browsers ask for them each time, and are sent them only if they have changed.
    "Cache-Control": "no-cache",
    "X-Content-Type-Options": "nosniff",
}
OURS = Path(__file__).parents[1] / "openapi" / "page"


@routes.get("/openapi.json")
async def retrieve_document(request: web.Request) -> web.Response:
    from server.web.openapi import rendered

    prefix = request[VISIT].gateway.config.server.path_prefix
    return encoded_answer(rendered(prefix))


@routes.get("/docs")
async def show_document(_: web.Request) -> web.StreamResponse:
    headers = {
        **HEADERS,
        "Content-Type": "text/html; charset=utf-8",
        "Content-Security-Policy": POLICY,
    }
    return web.FileResponse(OURS / "index.html", headers=headers)


@routes.get("/docs/{name}")
async def retrieve_file_of_page(request: web.Request) -> web.StreamResponse:
    name = request.match_info["name"]
    file = files().get(name)
    if file is None:
        raise RouteNotFound("The page has no such file.")
    path, content_type = file
    headers = {**HEADERS, "Content-Type": f"{content_type}; charset=utf-8"}
    return web.FileResponse(path, headers=headers)


@cache
def files() -> dict[str, tuple[Path, str]]:
    """Return where the page's files lie, by the names under which they are served."""
    theirs = _package_folder("offapi")
    return {
        "page.js": (OURS / "page.js", "text/javascript"),
        "swagger-ui.css": (theirs / "swagger_style.css", "text/css"),
        "swagger-ui.js": (theirs / "swagger_bundle.js", "text/javascript"),
    }


def _package_folder(package: str) -> Path:
    """Return a package's folder. An import would read all of its files."""
    spec = find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        raise RuntimeError(f"the package {package} is missing")
    return Path(spec.submodule_search_locations[0])
