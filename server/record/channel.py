"""What the processes of one server tell each other, and ask the one that keeps it."""

from collections.abc import Awaitable, Callable
from typing import Protocol

import orjson
from attrs import define, field, frozen


@frozen(eq=False)  # each request looks some up: by identity, that is quickest
class Topic:
    """
    What a message is about; *name* has no spaces.

    Of a *fleeting* one, the oldest messages are dropped for a process that is behind;
    no other is ever lost on the way. Of a *lasting* one, whoever begins to listen first
    hears the last message of each key.
    """

    name: str
    fleeting: bool = False
    lasting: bool = False


# Each race that has ended.
RACES = Topic("races")
# What happens in races, as it happens.
LIVE = Topic("live", fleeting=True)
# What requests have used.
USAGE = Topic("usage")
# When a provider rests, and who tries it after that; the key is the provider's id.
RESTS = Topic("rests", lasting=True)
# What each provider's record says.
STATS = Topic("stats")
# How many workers are in which state.
WORKERS = Topic("workers")
# What requests take of the limits of their keys.
LIMITS = Topic("limits")
ALL_TOPICS = (RACES, LIVE, USAGE, RESTS, STATS, LIMITS, WORKERS)
TOPICS = {topic.name: topic for topic in ALL_TOPICS}
# Seconds that an answer may take.
LIMIT = 0.5

Hear = Callable[[bytes], None]
Answer = Callable[[bytes], Awaitable[bytes]]


class Channel(Protocol):
    """
    One process's way to the others. Payloads are JSON in one line, as orjson writes it.

    Nothing here waits but *ask* and *gather*, and those no longer than LIMIT.
    """

    def publish(self, topic: Topic, payload: bytes, key: str = "") -> None:
        """
        Tell the keeper and all others who listen to *topic*. A *key*, without spaces,
        says which message takes the place of which.

        It is in the system's hands when this returns, and no longer lost if the process
        dies, unless the keeper is far behind.
        """
        ...

    def wanted(self, topic: Topic) -> bool:
        """Say whether anybody would hear of *topic*: if not, spare the encoding."""
        ...

    def listen(self, topic: Topic, hear: Hear) -> Callable[[], None]:
        """Call *hear* with what others publish; return what ends that."""
        ...

    async def ask(self, topic: Topic, question: bytes = b"null") -> bytes | None:
        """Return the keeper's answer; None: there is none in time."""
        ...

    async def gather(self, topic: Topic, question: bytes = b"null") -> bytes:
        """Return an array of the others' answers, as far as they come in time."""
        ...

    def answer(self, topic: Topic, reply: Callable[[bytes], bytes]) -> None:
        """Have *reply* answer what others gather."""
        ...


@define(eq=False)
class Keeper:
    """
    What the process that keeps things does with messages, and answers: the supervisor
    of several workers, or the only process there is.
    """

    _hear: dict[Topic, Hear] = field(factory=dict, init=False)
    _replies: dict[Topic, Answer] = field(factory=dict, init=False)

    def listen(self, topic: Topic, hear: Hear) -> None:
        """Call *hear* with all that is published of *topic*."""
        self._hear[topic] = hear

    def answer(self, topic: Topic, reply: Answer) -> None:
        """Have *reply* answer whoever asks about *topic*."""
        self._replies[topic] = reply

    def listens_to(self, topic: Topic) -> bool:
        return topic in self._hear

    def tell(self, topic: Topic, payload: bytes) -> None:
        if topic in self._hear:
            self._hear[topic](payload)

    async def reply_to(self, topic: Topic, question: bytes) -> bytes | None:
        """Return the answer; None: nobody has one."""
        reply = self._replies.get(topic)
        return None if reply is None else await reply(question)


@define(eq=False)
class OnlyProcess:
    """The channel of a server with one process: there is nobody but its keeper."""

    keeper: Keeper = field(factory=Keeper)

    def publish(self, topic: Topic, payload: bytes, key: str = "") -> None:  # noqa: ARG002 - nobody comes later
        self.keeper.tell(topic, payload)

    def wanted(self, topic: Topic) -> bool:
        return self.keeper.listens_to(topic)

    def listen(self, topic: Topic, hear: Hear) -> Callable[[], None]:  # noqa: ARG002 - nobody speaks
        return _nothing

    async def ask(self, topic: Topic, question: bytes = b"null") -> bytes | None:
        return await self.keeper.reply_to(topic, question)

    async def gather(self, topic: Topic, question: bytes = b"null") -> bytes:  # noqa: ARG002 - whom?
        return b"[]"

    def answer(self, topic: Topic, reply: Callable[[bytes], bytes]) -> None:
        """Nobody asks."""


def _nothing() -> None:
    pass


def keep_states(keeper: Keeper, wanted: int, running: Callable[[], int]) -> None:
    """Have *keeper* say how many of the *wanted* workers run, and how many do not."""

    async def reply(_: bytes) -> bytes:
        there = running()
        return orjson.dumps({"running": there, "missing": max(wanted - there, 0)})

    keeper.answer(WORKERS, reply)
