"""A replay of the last races, as it is wished for, and as it is answered."""

from attrs import field, frozen
from attrs.validators import ge, in_

from server.config.settings import RaceSettings
from server.errors import InvalidRequest
from server.racing.strategies import STRATEGIES, Policy
from server.record.payloads import ReplayPayload, TallyPayload
from server.record.races_file import Recorded
from server.record.replay import Replay, Tally

from .reading import make, read_object


@frozen(kw_only=True)
class ReplayRequest:
    """The policy that the last races are to be run by, on paper."""

    strategy: str = field(validator=in_(tuple(STRATEGIES)))
    hedge_delay: float | str = "p90"
    hedge_budget: float = field(default=0.1, validator=ge(0))
    parallel: int = field(default=8, validator=ge(1))
    seed: int = 0

    @property
    def policy(self) -> Policy:
        return Policy(
            strategy=self.strategy,
            delay=self.hedge_delay,
            budget=self.hedge_budget,
            parallel=self.parallel,
        )


def parse_replay(body: bytes) -> ReplayRequest:
    """Return what is wished for; raises InvalidRequest."""
    wish = make(read_object(body), ReplayRequest)
    try:
        RaceSettings(hedge_delay=wish.hedge_delay)
    except ValueError as exc:
        raise InvalidRequest(str(exc), param="hedge_delay") from exc
    return wish


def replay_payload(races: list[Recorded], request: ReplayRequest) -> ReplayPayload:
    """Run *races* again, and return what comes of it beside what was."""
    replay = Replay(races, request.policy, request.seed)
    replayed, recorded = replay.run(), Tally.recorded(races)
    pairs = zip(replayed.winners, recorded.winners, strict=True)
    return {
        "object": "replay",
        "races": len(races),
        "recorded": _tally(recorded),
        "replayed": _tally(replayed),
        "same_winner": sum(again == was for again, was in pairs),
        "drawn": replay.drawn,
        "known": replay.known,
        "unknown": sorted(replay.unknown),
    }


def _tally(tally: Tally) -> TallyPayload:
    return {
        "p50_ms": _ms(tally.quantile(50)),
        "p90_ms": _ms(tally.quantile(90)),
        "p99_ms": _ms(tally.quantile(99)),
        "calls": tally.calls,
        "failed": tally.failed,
    }


def _ms(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds * 1000, 2)
