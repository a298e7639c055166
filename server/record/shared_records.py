"""Providers' records, of all processes together."""

from collections import Counter

import orjson

from server.racing.health import Counts, Health, Record

from .channel import STATS, Channel
from .counters import Counters

STARTS = "starts"


class SharedRecords:
    """
    What `/v1/providers/{id}` shows as `stats`: how starts ended is counted where it
    outlives the process; times and errors are gathered from those that run.
    """

    def __init__(self, health: Health, channel: Channel, counters: Counters) -> None:
        self._health = health
        self._channel = channel
        self._counters = counters
        self._places: dict[str, int] = {}
        if counters.shared:
            health.on_count = self._count
            channel.answer(STATS, self._reply)

    async def of(self, provider: str) -> Record:
        """Return one provider's record: a copy, where it is several processes'."""
        mine = self._health.of(provider)
        if not self._counters.shared:
            return mine
        gathered = await self._channel.gather(STATS, orjson.dumps(provider))
        shares = [mine.share(), *orjson.loads(gathered)]
        errors = {each["failed_at"]: each["last_error"] for each in shares}
        notes: Counter[str] = Counter()
        for each in shares:
            notes.update(each["notes"])
        return Record.of_all(
            counts=self._counts(provider),
            seen=[ms for each in shares for ms in each["seen"]],
            last_error=errors[max(errors)],
            rest=mine.rest,
            notes=notes,
        )

    def _count(self, provider: str, before: Counts, after: Counts) -> None:
        place = self._places.get(provider)
        if place is None:
            place = self._counters.slot(STARTS, (provider,), len(after))
            self._places[provider] = place
        for i, (earlier, now) in enumerate(zip(before, after, strict=True)):
            self._counters.slots[place + i] += now - earlier

    def _counts(self, provider: str) -> list[int]:
        for series, numbers in self._counters.numbers():
            if series.name == STARTS and series.labels == (provider,):
                return [int(sum(each)) for each in zip(*numbers, strict=True)]
        return [0, 0, 0, 0]

    def _reply(self, question: bytes) -> bytes:
        return orjson.dumps(self._health.of(orjson.loads(question)).share())
