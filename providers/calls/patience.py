"""How long an answer is waited for: given times, when it is too late, and for what."""

from attrs import frozen

from providers.settings import Limits

from .answer import SAID, SILENT, State


@frozen
class Patience:
    """
    The deadlines of one call, as times of one clock, in seconds.

    The time for all of it runs from when it was *begun*; the first token's, from when
    this stream was *started*, which is later where an answer in one piece was waited
    for before. *last_words*: how long usage and `[DONE]` may take once all is said.
    """

    limits: Limits
    begun: float
    started: float
    last_words: float

    @property
    def answer_within(self) -> float:
        """The seconds in which the answer's head must be there."""
        return min(self.limits.first_token_timeout, self.limits.total_timeout)

    @property
    def connect_within(self) -> float:
        """The seconds in which a connection must be there."""
        return min(self.limits.connect_timeout, self.answer_within)

    def due(self, state: State, since: float) -> float:
        """
        Return when an answer in *state* is too late.

        *since* is when something was heard last, or, once all is said, when that was;
        it is now, while nobody takes what comes: then it is the client that is slow.
        """
        limits = self.limits
        due = self.begun + limits.total_timeout
        if state is SILENT:
            return min(due, self.started + limits.first_token_timeout)
        idle = limits.idle_timeout
        if state is SAID:
            idle = min(idle, self.last_words)
        return min(due, since + idle)

    def lateness(self, state: State, now: float) -> str:
        """Say for what an answer in *state* is too late, *now* that it is."""
        limits = self.limits
        if now >= self.begun + limits.total_timeout:
            return f"not done within {limits.total_timeout:g} s"
        if state is SILENT:
            return f"no token within {limits.first_token_timeout:g} s"
        return f"silent for {limits.idle_timeout:g} s"
