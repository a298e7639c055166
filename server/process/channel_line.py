"""The lines of the channel: a verb, a topic, a third word, and JSON."""

from enum import Enum

from attrs import frozen

from server.record.channel import TOPICS, Topic


class Verb(Enum):
    """
    What a line does. The third word is a message's key, or a question's number.

    A worker says that it listens, or no longer; the hub tells a worker whether anybody
    else would hear. A question is the keeper's, or for all others to answer.
    """

    PUBLISH = b"publish"
    LISTEN = b"listen"
    LEAVE = b"leave"
    WANTED = b"wanted"
    UNWANTED = b"unwanted"
    ASK = b"ask"
    GATHER = b"gather"
    ANSWER = b"answer"
    NO_ANSWER = b"no-answer"


@frozen
class ChannelLine:
    """One line between a worker and the hub, as it is read."""

    verb: Verb
    topic: Topic
    word: str
    payload: bytes


def written(verb: Verb, topic: Topic, word: str = "", payload: bytes = b"") -> bytes:
    """Return a line, with its end."""
    return b"%b %b %b %b\n" % (
        verb.value,
        topic.name.encode(),
        word.encode(),
        payload,
    )


def read(line: bytes) -> ChannelLine:
    """Return what a line says, which `written` has made in a process of this server."""
    verb, topic, word, payload = line.split(b" ", 3)
    return ChannelLine(Verb(verb), TOPICS[topic.decode()], word.decode(), payload)
