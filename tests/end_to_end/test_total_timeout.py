"""One bound for all that is done for a request, on a real server process."""

from time import perf_counter

import pytest

from tests.conftest import MakeUpstream, Serve
from tests.rig.client import CHAT, hello
from tests.rig.upstream import HEAD, delta


@pytest.mark.parametrize("strategy", ["race", "fallback"])
async def test_it_bounds_all_tries_together(
    serve: Serve, make_upstream: MakeUpstream, strategy: str
) -> None:
    """Two that stream without end, for a client that wants no stream: one time-out."""
    endless = [HEAD, *[delta(content="on and "), 0.1] * 300]
    first, second = await make_upstream(endless), await make_upstream(endless)
    client = await serve(
        *(first.table("One"), second.table("Two")),
        f'[race]\ntotal_timeout = 1.5\nstrategy = "{strategy}"',
    )

    began = perf_counter()
    answer = await client.request("POST", CHAT, json=hello("One Two"))
    seconds = perf_counter() - began

    assert (answer.status, answer.error["code"]) == (504, "timeout")
    assert seconds < 2.5
