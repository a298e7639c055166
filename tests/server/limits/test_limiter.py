"""What is reserved for a request, and what its client is told of its limits."""

from typing import Any

import pytest

from providers import ChatRequest, Message
from providers.chat import ContentPart
from server.config.settings import KeySettings
from server.errors import LimitReached, QuotaReached
from server.limits.estimate import MOST, USUAL, Answers, input_tokens
from server.limits.headers import anthropic_headers, duration, openai_headers
from server.limits.limit import NANODOLLARS, Unit
from server.limits.limiter import Limiter, Price, quote

CHEAP, DEAR = Price(1_000, 2_000), Price(10_000, 40_000)


def key(**limits: Any) -> KeySettings:
    return KeySettings(name="team", sha256="ab" * 32, **limits)


def chat(text: str = "x" * 400, **more: Any) -> ChatRequest:
    """Return a chat of a hundred tokens."""
    message = Message(role="user", content=text)
    return ChatRequest(model="m", messages=(message,), **more)


async def test_each_racer_is_paid_for_its_input() -> None:
    """A race of three takes three times the input, and one output."""
    limiter, team = Limiter(), key(tokens_per_minute=10_000)
    three = quote([chat(max_tokens=50)], 3, [CHEAP] * 3)
    await limiter.reserve("r", team, three)
    standing = limiter.client(team).standing(Unit.TOKENS)
    assert standing is not None
    assert standing.used == 3 * 100 + 50


async def test_huge_max_tokens_do_not_starve() -> None:
    """64,000 allowed tokens reserve what the client's answers usually have."""
    limiter, team = Limiter(), key(tokens_per_day=100_000)
    large = quote([chat(max_tokens=64_000)], 1, [CHEAP])
    for i in range(20):
        await limiter.reserve(f"r{i}", team, large)
    client = limiter.client(team)
    assert 20 * USUAL <= client.decision.standings[0].used < 25_000


async def test_the_next_answers_are_expected_as_long_as_the_last() -> None:
    answers = Answers()
    assert answers.expected(None, 100_000) == USUAL
    assert answers.expected(None, 100) == 10
    for length in [*range(100), 90_000]:
        answers.add(length)
    assert 90 <= answers.expected(None, 100) <= 99
    assert answers.expected(7, 100) == 7
    for _ in range(50):
        answers.add(90_000)
    assert answers.expected(None, 100) == MOST


async def test_settled_by_what_was_used() -> None:
    limiter, team = Limiter(), key(tokens_per_minute=1000)
    reserved = await limiter.reserve("a", team, quote([chat()], 1, [CHEAP]))
    reserved.settle(tokens=130, output=30, nanodollars=0)
    reserved.settle(tokens=999, output=30, nanodollars=0)  # a second time is none
    await limiter.reserve("b", team, quote([chat()], 1, [CHEAP]))
    assert limiter.client(team).decision.standings[0].used == 130 + 100 + 30


async def test_too_many_requests() -> None:
    """The answer says which limit, and when to try again, to the millisecond."""
    limiter, team = Limiter(), key(requests_per_minute=2)
    for i in range(2):
        await limiter.reserve(f"r{i}", team, quote([chat()], 1, [CHEAP]))
    with pytest.raises(LimitReached) as raised:
        await limiter.reserve("one more", team, quote([chat()], 1, [CHEAP]))
    error = raised.value
    assert (error.status, error.code, error.type) == (
        429,
        "rate_limit_exceeded",
        "requests",
    )
    assert 59_000 < int(error.headers["Retry-After-Ms"]) <= 60_000
    assert error.headers["Retry-After"] == "60"
    assert "requests_per_minute: limit 2, used 2, requested 1" in error.message


async def test_a_request_that_never_fits_is_not_to_be_tried_again() -> None:
    limiter, team = Limiter(), key(tokens_per_minute=50)
    with pytest.raises(LimitReached) as raised:
        await limiter.reserve("r", team, quote([chat()], 1, [CHEAP]))
    assert raised.value.code == "rate_limit_exceeded"
    assert raised.value.type == "tokens"
    assert raised.value.headers == {"X-Should-Retry": "false"}


@pytest.mark.parametrize(
    ("limits", "spent"),
    [
        ({"tokens_per_day": 1000}, (1000, 0)),
        ({"dollars_per_day": 0.5}, (0, NANODOLLARS // 2)),
        ({"dollars_per_month": 0.5}, (0, NANODOLLARS // 2)),
    ],
)
async def test_a_used_quota(limits: dict[str, Any], spent: tuple[int, int]) -> None:
    """What is used for a day or a month is a quota, which another try can't help."""
    limiter, team = Limiter(), key(**limits)
    reserved = await limiter.reserve("a", team, quote([chat()], 1, [CHEAP]))
    reserved.settle(spent[0], 0, spent[1])
    with pytest.raises(QuotaReached) as raised:
        await limiter.reserve("b", team, quote([chat()], 1, [CHEAP]))
    assert raised.value.code == raised.value.type == "insufficient_quota"
    assert raised.value.headers == {"X-Should-Retry": "false"}


async def test_money_is_reserved_at_the_dearest_answer() -> None:
    """Each racer's input at its own price, the output at that of whoever costs most."""
    limiter, team = Limiter(), key(dollars_per_day=1)
    await limiter.reserve("r", team, quote([chat(max_tokens=10)], 2, [CHEAP, DEAR]))
    used = limiter.client(team).decision.standings[0].used
    assert used == 100 * 1_000 + 100 * 10_000 + 10 * 40_000


async def test_a_hedge_is_reserved_when_it_starts() -> None:
    """Those that were reserved for at once need nothing more; a refused one is told."""
    limiter, team = Limiter(), key(tokens_per_minute=350)
    reserved = await limiter.reserve(
        "r", team, quote([chat(max_tokens=50)], 1, [CHEAP] * 4)
    )
    client = limiter.client(team)
    assert await reserved.extend(1)
    assert client.decision.standings[0].used == 135
    assert await reserved.extend(2)
    assert await reserved.extend(3)
    assert client.decision.standings[0].used == 335
    assert not await reserved.extend(4)


def test_what_a_conversation_weighs() -> None:
    """Texts by their length, whatever a picture's bytes are, and declared tools."""
    picture = ContentPart(type="image_url", image_url={"url": "A" * 100_000})
    body = {"tools": [{"type": "function", "function": {"name": "f" * 400}}]}
    request = ChatRequest(
        model="m",
        messages=(
            Message(role="user", content="x" * 400),
            Message(role="user", content=(picture,)),
        ),
        body=body,
    )
    assert 1200 <= input_tokens(request) <= 1230


async def test_headers() -> None:
    """OpenAI's with Go's durations, Anthropic's with instants."""
    limiter, team = Limiter(), key(requests_per_minute=60)
    client = limiter.client(team)
    fresh = client.standing(Unit.REQUESTS)
    assert fresh is not None
    assert dict(openai_headers(Unit.REQUESTS, fresh)) == {
        "X-RateLimit-Limit-Requests": "60",
        "X-RateLimit-Remaining-Requests": "60",
        "X-RateLimit-Reset-Requests": "0s",
    }
    assert client.standing(Unit.TOKENS) is None
    await limiter.reserve("r", team, quote([chat()], 1, [CHEAP]))
    used = client.standing(Unit.REQUESTS)
    assert used is not None
    told = dict(anthropic_headers(Unit.REQUESTS, used, 1_800_000_000.0))
    assert told["Anthropic-RateLimit-Requests-Remaining"] == "59"
    assert told["Anthropic-RateLimit-Requests-Reset"] == "2027-01-15T08:01:00Z"


@pytest.mark.parametrize(
    ("ms", "text"),
    [
        (0, "0s"),
        (12, "12ms"),
        (1000, "1s"),
        (1500, "1.5s"),
        (59_999, "59.999s"),
        (60_000, "1m0s"),
        (360_000, "6m0s"),
        (3_723_000, "1h2m3s"),
        (86_400_000, "24h0m0s"),
    ],
)
def test_durations_as_go_writes_them(ms: int, text: str) -> None:
    assert duration(ms) == text
