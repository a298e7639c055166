"""The middle of the channel: it has the keeper answer, and passes on the rest."""

import asyncio
import socket
from collections import defaultdict
from collections.abc import Callable, Coroutine
from itertools import count

import structlog
from attrs import define, field

from server.record.channel import LIMIT, TOPICS, Keeper, Topic

from .channel_line import ChannelLine, Verb, read, written
from .channel_link import Link

log = structlog.get_logger(__name__)

# Seconds that all others have to answer; who asked gives up a little later.
PATIENCE = LIMIT * 0.8


@define(eq=False)
class Hub:
    """The supervisor's part of the channel: one link to each worker that runs."""

    keeper: Keeper = field(factory=Keeper)
    _links: set[Link] = field(factory=set, init=False)
    _listeners: defaultdict[Topic, set[Link]] = field(
        factory=lambda: defaultdict(set), init=False
    )
    # The last line of each key, of the topics that are lasting.
    _last: defaultdict[Topic, dict[str, bytes]] = field(
        factory=lambda: defaultdict(dict), init=False
    )
    _questions: "dict[str, _Question]" = field(factory=dict, init=False)
    _numbers: "count[int]" = field(factory=count, init=False)
    _replying: set[asyncio.Task[None]] = field(factory=set, init=False)

    def connect(self) -> socket.socket:
        """Return a new worker's end of its link."""
        ours, theirs = socket.socketpair()
        link = Link(
            ours,
            lambda line: self._receive(link, read(line)),
            lambda: self._lose(link),
        )
        self._links.add(link)
        for topic in TOPICS.values():
            self._tell_wanted(topic, link)
        return theirs

    def members(self) -> int:
        """Return how many workers are connected."""
        return len(self._links)

    def close(self) -> None:
        """End all links, once what their workers have said is read."""
        for link in list(self._links):
            link.read_all()
            link.close()
        self._links.clear()
        for task in self._replying:
            task.cancel()

    def _receive(self, link: Link, line: ChannelLine) -> None:
        match line.verb:
            case Verb.PUBLISH:
                self._publish(link, line)
            case Verb.LISTEN:
                self._listen(link, line.topic)
            case Verb.LEAVE:
                self._listeners[line.topic].discard(link)
                self._tell_all_wanted(line.topic)
            case Verb.ASK:
                self._start(self._reply(link, line))
            case Verb.GATHER:
                self._gather(link, line)
            case Verb.ANSWER:
                self._answered(link, line.word, line.payload)
            case Verb.NO_ANSWER:
                self._answered(link, line.word, None)

    def _listen(self, link: Link, topic: Topic) -> None:
        self._listeners[topic].add(link)
        for last in self._last[topic].values():
            link.send(last)
        self._tell_all_wanted(topic)

    def _publish(self, link: Link, line: ChannelLine) -> None:
        topic = line.topic
        self.keeper.tell(topic, line.payload)
        others = self._listeners[topic] - {link}
        if not (others or topic.lasting):
            return
        text = written(Verb.PUBLISH, topic, line.word, line.payload)
        if topic.lasting:
            self._last[topic][line.word] = text
        for each in others:
            each.send(text, fleeting=topic.fleeting)

    def _tell_all_wanted(self, topic: Topic) -> None:
        for link in self._links:
            self._tell_wanted(topic, link)

    def _tell_wanted(self, topic: Topic, link: Link) -> None:
        others = self._listeners[topic] - {link}
        wanted = others or topic.lasting or self.keeper.listens_to(topic)
        link.send(written(Verb.WANTED if wanted else Verb.UNWANTED, topic))

    def _start(self, replying: Coroutine[None, None, None]) -> None:
        task = asyncio.ensure_future(replying)
        self._replying.add(task)
        task.add_done_callback(self._replying.discard)

    async def _reply(self, link: Link, line: ChannelLine) -> None:
        # What another worker said before this was asked has come by then: it has to
        # be read before.
        await asyncio.sleep(0)
        answer = None
        try:
            answer = await self.keeper.reply_to(line.topic, line.payload)
        except Exception as exc:  # whatever broke, who asks has a way to go on
            log.exception("a worker got no answer", reason=repr(exc))
        verb = Verb.NO_ANSWER if answer is None else Verb.ANSWER
        link.send(written(verb, line.topic, line.word, answer or b""))

    def _gather(self, link: Link, line: ChannelLine) -> None:
        number = str(next(self._numbers))

        def end(answers: list[bytes]) -> None:
            del self._questions[number]
            payload = b"[%b]" % b",".join(answers)
            link.send(written(Verb.ANSWER, line.topic, line.word, payload))

        others = self._links - {link}
        self._questions[number] = _Question(set(others), end)
        for each in others:
            each.send(written(Verb.GATHER, line.topic, number, line.payload))

    def _answered(self, link: Link, number: str, answer: bytes | None) -> None:
        if number in self._questions:
            self._questions[number].answered(link, answer)

    def _lose(self, link: Link) -> None:
        self._links.discard(link)
        for question in list(self._questions.values()):
            question.answered(link)
        for topic, listeners in self._listeners.items():
            if link in listeners:
                listeners.discard(link)
                self._tell_all_wanted(topic)


@define(eq=False)
class _Question:
    """
    What one worker asks all others: *end* is called with the answers of those that
    *left* has, once all are there, or after PATIENCE.
    """

    left: set[Link]
    end: Callable[[list[bytes]], None]
    _answers: list[bytes] = field(factory=list, init=False)
    _timer: asyncio.TimerHandle = field(init=False)

    def __attrs_post_init__(self) -> None:
        loop = asyncio.get_running_loop()
        patience = PATIENCE if self.left else 0.0
        self._timer = loop.call_later(patience, self._end)

    def answered(self, link: Link, answer: bytes | None = None) -> None:
        """Note one answer, or that there will be none."""
        if link not in self.left:
            return
        self.left.discard(link)
        if answer is not None:
            self._answers.append(answer)
        if not self.left:
            self._end()

    def _end(self) -> None:
        self._timer.cancel()
        self.end(self._answers)
