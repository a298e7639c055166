"""A worker's end of the channel."""

import asyncio
import socket
from collections import defaultdict
from collections.abc import Callable
from itertools import count

from server.record.channel import LIMIT, Hear, Topic

from .channel_line import ChannelLine, Verb, read, written
from .channel_link import Link


class Member:
    """The channel of one of several workers; *sock* is its end of the link."""

    def __init__(self, sock: socket.socket) -> None:
        self._link = Link(sock, self._receive, self._lose)
        self._hear: defaultdict[Topic, list[Hear]] = defaultdict(list)
        self._replies: dict[Topic, Callable[[bytes], bytes]] = {}
        self._wanted: set[Topic] = set()
        self._waiting: dict[str, asyncio.Future[bytes | None]] = {}
        self._numbers = count()

    def close(self) -> None:
        self._link.close()

    def publish(self, topic: Topic, payload: bytes, key: str = "") -> None:
        text = written(Verb.PUBLISH, topic, key, payload)
        self._link.send(text, fleeting=topic.fleeting)

    def wanted(self, topic: Topic) -> bool:
        return topic in self._wanted

    def listen(self, topic: Topic, hear: Hear) -> Callable[[], None]:
        if not self._hear[topic]:
            self._link.send(written(Verb.LISTEN, topic))
        self._hear[topic].append(hear)

        def leave() -> None:
            self._hear[topic].remove(hear)
            if not self._hear[topic]:
                self._link.send(written(Verb.LEAVE, topic))

        return leave

    async def ask(self, topic: Topic, question: bytes = b"null") -> bytes | None:
        return await self._answer_to(Verb.ASK, topic, question)

    async def gather(self, topic: Topic, question: bytes = b"null") -> bytes:
        answers = await self._answer_to(Verb.GATHER, topic, question)
        return answers or b"[]"

    def answer(self, topic: Topic, reply: Callable[[bytes], bytes]) -> None:
        self._replies[topic] = reply

    async def _answer_to(
        self, verb: Verb, topic: Topic, question: bytes
    ) -> bytes | None:
        number = str(next(self._numbers))
        loop = asyncio.get_running_loop()
        waiting: asyncio.Future[bytes | None] = loop.create_future()
        self._waiting[number] = waiting
        self._link.send(written(verb, topic, number, question))
        try:
            async with asyncio.timeout(LIMIT):
                return await waiting
        except TimeoutError:
            return None
        finally:
            del self._waiting[number]

    def _receive(self, text: bytes) -> None:
        line = read(text)
        match line.verb:
            case Verb.PUBLISH:
                for hear in tuple(self._hear[line.topic]):
                    hear(line.payload)
            case Verb.WANTED:
                self._wanted.add(line.topic)
            case Verb.UNWANTED:
                self._wanted.discard(line.topic)
            case Verb.GATHER:
                self._reply(line)
            case Verb.ANSWER:
                self._answered(line.word, line.payload)
            case Verb.NO_ANSWER:
                self._answered(line.word, None)

    def _reply(self, line: ChannelLine) -> None:
        reply = self._replies.get(line.topic)
        verb = Verb.NO_ANSWER if reply is None else Verb.ANSWER
        answer = b"" if reply is None else reply(line.payload)
        self._link.send(written(verb, line.topic, line.word, answer))

    def _answered(self, number: str, answer: bytes | None) -> None:
        waiting = self._waiting.get(number)
        if waiting is not None and not waiting.done():
            waiting.set_result(answer)

    def _lose(self) -> None:
        """The supervisor is gone, and this process will be soon."""
        self._wanted.clear()
        for waiting in self._waiting.values():
            if not waiting.done():
                waiting.set_result(None)
