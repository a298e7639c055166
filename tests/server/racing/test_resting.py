"""Resting: who keeps failing is left alone for a while, and found again by one try."""

import pytest

from server.racing.resting import FIRST, LONGEST, LONGEST_RETRY_AFTER, PATIENCE, Rest


def failing(
    rest: Rest, now: float, times: int = 1, asked: float | None = None
) -> float:
    """Let a call that began at *now* fail at once, several *times*."""
    seconds = 0.0
    for _ in range(times):
        seconds = rest.fail(now, now, asked)
    return seconds


def rested(now: float) -> Rest:
    """Return one whose first rest has ended at *now*."""
    rest = Rest()
    failing(rest, now - FIRST, PATIENCE)
    return rest


def test_a_new_provider_is_available() -> None:
    """Who has not failed neither rests nor is tried first by one request alone."""
    rest = Rest()

    assert rest.available(0.0)
    assert rest.claim(0.0) is None
    assert rest.available(0.0)


def test_three_in_a_row() -> None:
    """The third failure in a row begins a rest of 5 s; the first two do not."""
    rest = Rest()

    assert [rest.fail(10.0, now, None) for now in (10.0, 11.0, 12.0)] == [0, 0, 5]
    assert rest.until == 17.0
    assert [rest.available(now) for now in (12.0, 16.99, 17.0)] == [False, False, True]


def test_a_success_between_failures() -> None:
    """Only failures in a row count: a success starts the count afresh."""
    rest = Rest()

    for _ in range(5):
        assert failing(rest, 10.0, PATIENCE - 1) == 0
        rest.succeed()

    assert rest.available(10.0)


def test_rests_grow() -> None:
    """With no success in between, each rest is twice as long as the last, to 300 s."""
    rest, now, rests = Rest(), 0.0, []
    failing(rest, now, PATIENCE - 1)
    for _ in range(40):
        rests.append(failing(rest, now))
        now = rest.until

    assert rests[:7] == [5, 10, 20, 40, 80, 160, 300]
    assert set(rests[7:]) == {LONGEST}


def test_a_success_forgets_all() -> None:
    """After a success it is as if nothing had been: three failures, and 5 s again."""
    rest = rested(100.0)
    failing(rest, 100.0)
    rest.succeed()

    assert rest.available(100.0)
    assert rest.claim(100.0) is None
    assert [failing(rest, 100.0) for _ in range(PATIENCE)] == [0, 0, FIRST]


def test_a_success_in_spite_of_the_rest() -> None:
    """Who answers while it rests, since all were asked, does so no longer."""
    rest = Rest()
    failing(rest, 100.0, PATIENCE)
    assert not rest.available(101.0)

    rest.succeed()

    assert rest.available(101.0)


@pytest.mark.parametrize(
    ("asked", "seconds"), [(7.0, 7.0), (0.3, 0.3), (86_400.0, LONGEST_RETRY_AFTER)]
)
def test_retry_after(asked: float, seconds: float) -> None:
    """One failure that says when to come back is enough; it is believed for an hour."""
    rest = Rest()

    assert rest.fail(10.0, 20.0, asked) == seconds
    assert rest.until == 20.0 + seconds


def test_retry_after_no_time() -> None:
    """To come back at once is asking for no rest: it is a failure like others."""
    rest = Rest()

    assert [failing(rest, 10.0, asked=0.0) for _ in range(PATIENCE)] == [0, 0, FIRST]


def test_retry_after_goes_before_what_has_grown() -> None:
    """The provider knows best, also when its rests had grown to more than it asks."""
    rest = rested(100.0)
    failing(rest, 100.0)

    assert failing(rest, rest.until, asked=1.0) == 1.0


def test_failures_of_calls_that_began_before_the_rest() -> None:
    """They tell nothing new: neither this rest nor the next is the longer for them."""
    rest = Rest()
    failing(rest, 10.0, PATIENCE)

    assert [rest.fail(9.0, 11.0, asked) for asked in (None, 60.0)] == [0, 0]
    assert rest.fail(9.0, 30.0, None) == 0  # also if they take until after it
    assert rest.until == 10.0 + FIRST
    assert failing(rest, 30.0) == 2 * FIRST


def test_failures_of_calls_in_spite_of_the_rest() -> None:
    """A race of resting providers only does not keep them from coming back."""
    rest = Rest()
    failing(rest, 10.0, PATIENCE)

    assert failing(rest, 12.0, 10) == 0
    assert rest.available(10.0 + FIRST)


def test_one_try() -> None:
    """When the rest is over one request has the first try; all others pass it over."""
    rest = rested(100.0)

    assert rest.claim(99.99) is None
    probe = rest.claim(100.0)

    assert probe is not None
    assert not rest.available(100.0)
    assert rest.claim(100.0) is None


def test_a_try_that_decided_nothing() -> None:
    """A try that was cut off, or whose client left, is the next request's to make."""
    rest = rested(100.0)
    first = rest.claim(100.0)
    assert first is not None

    first.release()

    second = rest.claim(101.0)
    assert second is not None
    first.release()  # it has none to give up any more
    assert not rest.available(101.0)
    assert rest.claim(101.0) is None


def test_a_try_that_succeeded() -> None:
    """After it everybody may ask again, and nobody's try is the first."""
    rest = rested(100.0)
    rest.claim(100.0)

    rest.succeed()

    assert rest.available(100.0)
    assert rest.claim(100.0) is None


def test_a_try_that_failed() -> None:
    """One failure is enough to send it back; its claim does not outlive the rest."""
    rest = rested(100.0)
    probe = rest.claim(100.0)
    assert probe is not None

    assert failing(rest, 100.0) == 2 * FIRST
    probe.release()

    assert not rest.available(109.9)
    assert rest.available(110.0)
