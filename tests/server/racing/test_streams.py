"""How an answer is delivered: pushed where its stream can, pulled where it can't."""

from collections.abc import Awaitable, Callable, Sequence

import pytest

from providers import Chunk, ProviderTimeout
from server.racing.streams import deliver
from tests.rig.fakes import HELLO, ROLE, ScriptedRacer, ScriptedStream, says


class PushingStream(ScriptedStream):
    """A stream that can push, and says so in place of its chunks."""

    async def pour(
        self,
        show: Callable[[Sequence[Chunk]], bool],
        catch_up: Callable[[], Awaitable[None]],
    ) -> None:
        if show([says("pushed")]):
            await catch_up()


@pytest.mark.parametrize("behind", [False, True])
async def test_who_cannot_push_is_pulled(behind: bool) -> None:
    """All is shown, and nothing more is read until a client that is behind has read."""
    stream = ScriptedRacer("A", [[ROLE, says("a")], says("b")]).stream(HELLO)
    events: list[Sequence[Chunk] | str] = []

    def show(chunks: Sequence[Chunk]) -> bool:
        events.append(chunks)
        return behind

    async def catch_up() -> None:
        events.append("caught up")

    await deliver(stream, show, catch_up)

    waits = ["caught up"] if behind else []
    assert events == [[ROLE, says("a")], *waits, [says("b")], *waits]


async def test_who_can_push_does() -> None:
    """A stream that can call whoever shows its answer is not pulled."""
    stream = PushingStream(ScriptedRacer("A"), iter([ProviderTimeout("pulled")]))
    shown: list[Chunk] = []

    async def catch_up() -> None:
        shown.append(says("caught up"))

    def show(chunks: Sequence[Chunk]) -> bool:
        shown.extend(chunks)
        return True

    await deliver(stream, show, catch_up)

    assert shown == [says("pushed"), says("caught up")]
