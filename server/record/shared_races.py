"""The last races of all processes of a server, which its keeper keeps."""

import orjson
from attrs import frozen

from .channel import RACES, Channel, Keeper
from .log import Entry, RaceLog, Viewer
from .payloads import races_list

NOT_THERE = b"null"


@frozen
class Asker:
    """Who asks, as the keeper is told."""

    name: str
    admin: bool


class SharedRaces:
    """
    What `/v1/races` shows, in whichever process: the keeper's, or this process's *log*
    where there is none, or no answer in time.
    """

    def __init__(self, log: RaceLog, channel: Channel) -> None:
        self._log = log
        self._channel = channel

    def add(self, entry: Entry) -> None:
        self._log.add(entry)
        if self._channel.wanted(RACES):
            self._channel.publish(RACES, entry.json())

    async def last(self, client: Viewer | None, limit: int) -> bytes:
        """Return a list of the last races that *client* may see, newest first."""
        answer = await self._channel.ask(RACES, _question(client, limit, None))
        return answer or _listed(self._log, client, limit)

    async def find(self, request_id: str, client: Viewer | None) -> bytes | None:
        """Return the last race of the request with this id, if *client* may see it."""
        answer = await self._channel.ask(RACES, _question(client, 1, request_id))
        if answer is None:
            return self._log.find(request_id, client)
        return None if answer == NOT_THERE else answer


def keep_races(keeper: Keeper) -> None:
    """Have *keeper* keep the last races of all, and answer SharedRaces."""
    log = RaceLog()

    def hear(story: bytes) -> None:
        # Whose it is stands in it.
        told = orjson.loads(story)
        log.add(Entry(told["id"], told["key"], story))

    async def reply(question: bytes) -> bytes:
        name, admin, limit, request_id = orjson.loads(question)
        client = None if name is None else Asker(name, admin)
        if request_id is None:
            return _listed(log, client, limit)
        return log.find(request_id, client) or NOT_THERE

    keeper.listen(RACES, hear)
    keeper.answer(RACES, reply)


def _question(client: Viewer | None, limit: int, request_id: str | None) -> bytes:
    if client is None:
        return orjson.dumps((None, False, limit, request_id))
    return orjson.dumps((client.name, client.admin, limit, request_id))


def _listed(log: RaceLog, client: Viewer | None, limit: int) -> bytes:
    return races_list(log.last(client, limit))
