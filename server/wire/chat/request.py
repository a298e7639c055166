"""Requests for chat completions."""

from providers import ChatRequest
from server.racing.lineup import Selection
from server.wire.reading import make, read_object, take_selection


def parse(
    body: bytes, path_providers: tuple[str, ...] | None = None
) -> tuple[ChatRequest, Selection]:
    """Return the chat in *body*, and whom it asks; raises InvalidRequest."""
    payload = read_object(body)
    selection = take_selection(payload, path_providers)
    request = make({**payload, "body": payload}, ChatRequest)
    return request, selection
