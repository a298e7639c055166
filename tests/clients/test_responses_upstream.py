"""The scripted upstream that speaks Responses says what the API allows."""

from tests.rig import response_events
from tests.rig.parts import Call, Text, Thought
from tests.rig.responses_upstream import responses


def test_events() -> None:
    """OpenAI's own types take every event, in the API's order."""
    call = Call("call_1", "read_file", {"name": "note.txt"})
    _, *steps, _ = responses(Thought("Hm."), call, Text("Fi"), Text("ne."))
    assert all(isinstance(step, bytes) for step in steps)
    chunks = b"".join(step for step in steps if isinstance(step, bytes))
    response_events.read(_bare(chunks))


def _bare(chunked: bytes) -> bytes:
    """Return the bytes of a chunked body."""
    body = b""
    while chunked:
        size, _, rest = chunked.partition(b"\r\n")
        length = int(size, 16)
        body, chunked = body + rest[:length], rest[length + 2 :]
    return body
