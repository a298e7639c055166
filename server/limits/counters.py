"""What one key has used and reserved of its limits. Pure: given times, in ms.

`scripts.py` has the same in Redis' own language; one table of tests holds both.
"""

from collections.abc import Mapping, Sequence

from attrs import define, field, frozen

from .limit import MINUTE, Amounts, Limit, Span, edges

# ms for which a settled reservation is remembered, so that what is settled a second
# time, after a reply that was lost, counts once.
REMEMBERED = 600_000
NEVER = 2**63
# ms without a word of anybody after which it was the counting process that was away,
# and not those who hold reservations: they renew their leases more often than that.
SILENCE = 7500


@frozen
class Standing:
    """How far a limit is used, and in how many ms it will be whole again."""

    limit: Limit
    used: int
    resets_in: int

    @property
    def remaining(self) -> int:
        return max(self.limit.most - self.used, 0)


@frozen
class Decision:
    """Whether a reservation was made; if not, which limit refused it."""

    standings: tuple[Standing, ...]
    refused_by: Standing | None = None


@define
class Count:
    """What was used since *start* (ms)."""

    start: int = 0
    used: int = 0


@frozen
class Held:
    """A reservation: when its lease ends (ms), and what it took of which period."""

    ends: int
    taken: Mapping[str, tuple[int, int]]


@define
class Counters:
    """The counts of a key by the name of their limit, and its open reservations."""

    counts: dict[str, Count] = field(factory=dict, init=False)
    held: dict[str, Held] = field(factory=dict, init=False)
    settled: dict[str, int] = field(factory=dict, init=False)
    _first_ends: int = field(default=NEVER, init=False)
    _heard: int | None = field(default=None, init=False)

    def reserve(
        self,
        reservation: str,
        limits: Sequence[Limit],
        amounts: Amounts,
        now: int,
        lease: int,
    ) -> Decision:
        """
        Take *amounts* of all *limits*, or of none if one has not so much left.

        What is not settled, nor renewed, within *lease* ms is given back. A further
        reservation of the same id adds to the first, and takes no answer at once.
        """
        self.give_back_expired(now)
        is_open = reservation in self.held
        wanted = [
            (limit, self._count(limit, now), _amount(limit, amounts, is_open=is_open))
            for limit in limits
        ]
        for limit, count, amount in wanted:
            if amount and count.used + amount > limit.most:
                standing = _standing(limit, count, now)
                return Decision(self._standings(limits, now), standing)
        taken = dict(self.held[reservation].taken) if is_open else {}
        for limit, count, amount in wanted:
            if limit.span is not Span.OPEN:
                count.used += amount
                before = taken.get(limit.name, (count.start, 0))
                kept = before[1] if before[0] == count.start else 0
                taken[limit.name] = count.start, kept + amount
        self._hold(reservation, Held(now + lease, taken))
        return Decision(self._standings(limits, now))

    def renew(self, ids: Sequence[str], now: int, lease: int) -> None:
        """Let the leases of these reservations end *lease* ms from now."""
        self._hear(now)
        for reservation in ids:
            if (held := self.held.get(reservation)) is not None:
                self._hold(reservation, Held(now + lease, held.taken))

    def _hold(self, reservation: str, held: Held) -> None:
        self.held[reservation] = held
        self._first_ends = min(self._first_ends, held.ends)

    def settle(
        self, reservation: str, limits: Sequence[Limit], amounts: Amounts, now: int
    ) -> None:
        """
        Replace what was reserved by *amounts*, once, whoever says so twice.

        What was reserved too much comes back to the period from which it was taken;
        what was too little counts in the present one: nothing is lost at midnight.
        """
        self.give_back_expired(now)
        if reservation in self.settled:
            return
        self.settled[reservation] = now + REMEMBERED
        held = self.held.pop(reservation, None)
        for limit in limits:
            if limit.span is Span.OPEN:
                continue
            count = self._count(limit, now)
            nothing = (count.start, 0)
            start, taken = held.taken.get(limit.name, nothing) if held else nothing
            more = amounts.of(limit.unit) - taken
            if more > 0 or start == count.start:
                count.used = max(count.used + more, 0)

    def give_back_expired(self, now: int) -> None:
        """Give back what is reserved for those who have not renewed their lease."""
        self._hear(now)
        if now >= self._first_ends:
            for key in [key for key, held in self.held.items() if held.ends <= now]:
                for name, (start, amount) in self.held.pop(key).taken.items():
                    count = self.counts[name]
                    if count.start == start:
                        count.used = max(count.used - amount, 0)
            ends = (held.ends for held in self.held.values())
            self._first_ends = min(ends, default=NEVER)
        while self.settled:  # the first of them was settled first
            first = next(iter(self.settled))
            if self.settled[first] > now:
                break
            del self.settled[first]

    def _hear(self, now: int) -> None:
        """Let leases last longer by the time in which nobody was heard of, if long."""
        gap = 0 if self._heard is None else now - self._heard
        self._heard = now
        if gap > SILENCE:
            for key, held in self.held.items():
                self.held[key] = Held(held.ends + gap, held.taken)
            self._first_ends += gap

    def _count(self, limit: Limit, now: int) -> Count:
        """Return the count of the period in which *now* lies."""
        if limit.span is Span.OPEN:
            return Count(now, len(self.held))
        count = self.counts.setdefault(limit.name, Count())
        if limit.span is Span.MINUTE:
            # It begins with its first use, so one in which nothing is used begins now.
            over = not count.used or now >= count.start + MINUTE
            begins = now if over else None
        else:
            start = edges(limit.span, now)[0]
            begins = start if start != count.start else None
        if begins is not None:
            count.start, count.used = begins, 0
        return count

    def _standings(self, limits: Sequence[Limit], now: int) -> tuple[Standing, ...]:
        return tuple(_standing(limit, self._count(limit, now), now) for limit in limits)


def _amount(limit: Limit, amounts: Amounts, *, is_open: bool) -> int:
    return 0 if limit.span is Span.OPEN and is_open else amounts.of(limit.unit)


def _standing(limit: Limit, count: Count, now: int) -> Standing:
    if limit.span is Span.MINUTE:
        ends = count.start + MINUTE if count.used else now
    else:
        ends = edges(limit.span, now)[1] or now
    return Standing(limit, count.used, ends - now)
