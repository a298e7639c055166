"""The providers that a path under /api names."""

from aiohttp import web


def providers_in_path(request: web.Request) -> tuple[str, ...] | None:
    """Return the ids that are joined by `+` in the path; None if it names nobody."""
    providers = request.match_info.get("providers")
    return tuple(providers.split("+")) if providers else None
