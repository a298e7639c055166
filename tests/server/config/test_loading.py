"""The configuration file: what each key does, and what is said of a wrong one."""

from operator import attrgetter
from pathlib import Path
from typing import Any

import pytest

from providers.settings import MessageRules
from server.config.loading import ConfigError, config_path, load
from server.config.settings import Config
from tests.rig.provider_settings import value_of
from tests.server.conftest import ReadConfig

OPEN = "[providers.Open]\nkind = 'openai'\nbase_url = 'http://127.0.0.1:9/v1'\n"
KEY = f"[[auth.keys]]\nname = 'k'\nsha256 = '{'a' * 64}'\n"

DEFAULTS: dict[str, Any] = {
    "server.host": "127.0.0.1",
    "server.port": 1337,
    "server.workers": 1,
    "server.max_body_bytes": 16_777_216,
    "server.header_timeout": 15.0,
    "server.body_timeout": 30.0,
    "server.max_connections": 10_000,
    "server.max_connections_per_address": 1000,
    "server.trusted_proxies": (),
    "server.tls_certificate": "",
    "server.tls_key": "",
    "server.path_prefix": "",
    "server.unix_socket": "",
    "server.ping_interval": 15.0,
    "server.header_hold": 10.0,
    "server.shutdown_timeout": 30.0,
    "server.cors_origins": ("http://localhost:*", "http://127.0.0.1:*"),
    "server.allowed_hosts": (),
    "log.level": "info",
    "log.format": "text",
    "log.races_file": "",
    "log.races_max_bytes": 104_857_600,
    "log.races_backups": 5,
    "auth.keys": (),
    "race.strategy": "race",
    "race.default_providers": (),
    "race.max_racers": 8,
    "race.hedge_delay": "p90",
    "race.hedge_budget": 0.1,
    "race.connect_timeout": 5.0,
    "race.first_token_timeout": 30.0,
    "race.idle_timeout": 60.0,
    "race.total_timeout": 600.0,
    "media.directory": "",
    "media.max_bytes": 1_073_741_824,
    "media.max_age": 604_800.0,
    "models": {},
}
PROVIDER_DEFAULTS: dict[str, Any] = {
    "kind": "openai",
    "label": "Open",
    "url": "",
    "base_url": "http://127.0.0.1:9/v1",
    "api_key": None,
    "enabled": True,
    "default_model": "",
    "unknown_model": "pass",
    "headers": {},
    "capabilities": None,
    "models": {},
    "connect_timeout": None,
    "first_token_timeout": None,
    "idle_timeout": None,
    "total_timeout": None,
    "dropped_fields": (),
    "default_fields": {},
    "prices": {},
    "responses": "off",
    "messages": MessageRules(),
    "context": 4096,
    "parallel": 2,
    "threads": 0,
}
GIVEN: list[tuple[str, str, Any]] = [
    ("[server]\nhost = '::1'", "server.host", "::1"),
    ("[server]\nport = 0", "server.port", 0),
    ("[server]\nworkers = 4", "server.workers", 4),
    ("[server]\nmax_body_bytes = 1", "server.max_body_bytes", 1),
    ("[server]\nping_interval = 1", "server.ping_interval", 1.0),
    ("[server]\nheader_hold = 0", "server.header_hold", 0.0),
    ("[server]\nshutdown_timeout = 0.5", "server.shutdown_timeout", 0.5),
    ("[server]\ncors_origins = ['*']", "server.cors_origins", ("*",)),
    (
        "[server]\ncors_origins = ['https://*.example.org', 'app://x']",
        "server.cors_origins",
        ("https://*.example.org", "app://x"),
    ),
    ("[server]\nallowed_hosts = ['box']", "server.allowed_hosts", ("box",)),
    (
        "[server]\ntrusted_proxies = ['10.0.0.0/8', '::1', 'unix']",
        "server.trusted_proxies",
        ("10.0.0.0/8", "::1", "unix"),
    ),
    ("[server]\npath_prefix = '/a/b.c'", "server.path_prefix", "/a/b.c"),
    # A socket is for this machine, whatever else is said.
    ("[server]\nunix_socket = 'a'\nhost = '::'", "server.unix_socket", "a"),
    ("[log]\nlevel = 'debug'", "log.level", "debug"),
    ("[log]\nformat = 'json'", "log.format", "json"),
    ("[race]\nstrategy = 'fallback'", "race.strategy", "fallback"),
    (
        f"{OPEN}[race]\ndefault_providers = ['Open']",
        "race.default_providers",
        ("Open",),
    ),
    ("[race]\nmax_racers = 2", "race.max_racers", 2),
    ("[race]\nstrategy = 'hedge'", "race.strategy", "hedge"),
    ("[race]\nhedge_delay = 'p95'", "race.hedge_delay", "p95"),
    ("[race]\nhedge_delay = 2", "race.hedge_delay", 2),
    ("[race]\nhedge_budget = 0", "race.hedge_budget", 0.0),
    ("[log]\nraces_file = 'races.jsonl'", "log.races_file", "races.jsonl"),
    ("[log]\nraces_max_bytes = 1", "log.races_max_bytes", 1),
    ("[log]\nraces_backups = 1", "log.races_backups", 1),
    ("[race]\nconnect_timeout = 1", "race.connect_timeout", 1.0),
    ("[race]\nfirst_token_timeout = 2", "race.first_token_timeout", 2.0),
    ("[race]\nidle_timeout = 3", "race.idle_timeout", 3.0),
    ("[race]\ntotal_timeout = 4", "race.total_timeout", 4.0),
    ("[media]\ndirectory = '/m'", "media.directory", "/m"),
    ("[media]\nmax_bytes = 1", "media.max_bytes", 1),
    ("[media]\nmax_age = 60", "media.max_age", 60.0),
]
PROVIDER_GIVEN: list[tuple[str, str, Any]] = [
    ("label = 'An Open one'", "label", "An Open one"),
    ("url = 'https://example.org'", "url", "https://example.org"),
    ("api_key = 'sk-1'", "api_key", "sk-1"),
    ("api_key = 'env:OPEN_KEY'", "api_key", "from the environment"),
    ("enabled = false", "enabled", False),
    ("default_model = 'm'", "default_model", "m"),
    ("default_model = 'm'", "unknown_model", "default"),
    ("unknown_model = 'reject'", "unknown_model", "reject"),
    ("default_model = 'm'\nunknown_model = 'pass'", "unknown_model", "pass"),
    ("headers = { X-Title = 'a' }", "headers", {"X-Title": "a"}),
    ("headers = { X = 'env:OPEN_KEY' }", "headers", {"X": "from the environment"}),
    ("capabilities = []", "capabilities", ()),
    ("capabilities = ['chat', 'vision']", "capabilities", ("chat", "vision")),
    ("models = { gpt = 'ours' }", "models", {"gpt": "ours"}),
    ("connect_timeout = 1", "connect_timeout", 1.0),
    ("first_token_timeout = 2", "first_token_timeout", 2.0),
    ("idle_timeout = 3", "idle_timeout", 3.0),
    ("total_timeout = 4", "total_timeout", 4.0),
    ("dropped_fields = ['a']", "dropped_fields", ("a",)),
    ("default_fields = { a = 1 }", "default_fields", {"a": 1}),
    ("prices = { m = [1, 2.5] }", "prices", {"m": (1.0, 2.5)}),
    ("responses = 'native'", "responses", "native"),
    (
        "messages = { roles = ['user'], strict_turns = true }",
        "messages",
        MessageRules(roles=("user",), strict_turns=True),
    ),
    ("context = 512", "context", 512),
    ("parallel = 1", "parallel", 1),
    ("threads = 2", "threads", 2),
]


def problems(read_config: ReadConfig, toml: str, **more: Any) -> list[str]:
    """Return what is wrong with *toml*, less the name of the file."""
    with pytest.raises(ConfigError) as caught:
        read_config(toml, **more)
    found = caught.value.problems
    name = found[0].partition(":")[0]
    assert name.endswith("config.toml")
    return [problem.removeprefix(f"{name}: ") for problem in found]


@pytest.mark.parametrize(("path", "expected"), DEFAULTS.items())
def test_defaults(path: str, expected: object) -> None:
    """Without a file, every key has its documented default."""
    assert attrgetter(path)(load(None, {})) == expected


@pytest.mark.parametrize(("toml", "path", "expected"), GIVEN)
def test_keys(read_config: ReadConfig, toml: str, path: str, expected: object) -> None:
    """Every documented key is taken in, and comes out in its place."""
    assert attrgetter(path)(read_config(toml)) == expected


@pytest.mark.parametrize(("key", "expected"), PROVIDER_DEFAULTS.items())
def test_provider_defaults(read_config: ReadConfig, key: str, expected: object) -> None:
    """A provider needs no more than its kind and where it is."""
    assert value_of(read_config(OPEN).providers["Open"], key) == expected


@pytest.mark.parametrize(("toml", "key", "expected"), PROVIDER_GIVEN)
def test_provider_keys(
    read_config: ReadConfig, toml: str, key: str, expected: object
) -> None:
    """Every documented key of a provider is taken in."""
    config = read_config(OPEN + toml, OPEN_KEY="from the environment")

    assert value_of(config.providers["Open"], key) == expected


def test_api_keys(read_config: ReadConfig) -> None:
    """An API key has a name and a digest, and may use every provider by default."""
    (key,) = read_config(KEY).auth.keys

    assert (key.name, key.sha256, key.admin) == ("k", "a" * 64, False)
    assert key.may_use("HuggingChat")


def test_api_keys_for_some_providers(read_config: ReadConfig) -> None:
    """A key that names providers, in whatever spelling, may use no others."""
    config = read_config(f"{OPEN}{KEY}providers = ['hugging-chat', 'Open']")
    (key,) = config.auth.keys

    assert [key.may_use(name) for name in config.providers] == [
        name in {"HuggingChat", "Open"} for name in config.providers
    ]


def test_models_of_ones_own(read_config: ReadConfig) -> None:
    """A `[models.*]` table names providers, and a strategy and a model if it likes."""
    config = read_config(
        f"{OPEN}[models.fast]\nproviders = ['open', 'HuggingChat']\n"
        "strategy = 'fallback'\nmodel = 'm'\n[models.plain]\nproviders = ['Open']"
    )

    fast, plain = config.models["fast"], config.models["plain"]
    assert fast.providers == ("open", "HuggingChat")
    assert (fast.strategy, fast.model) == ("fallback", "m")
    assert (plain.strategy, plain.model) == (None, None)


def test_an_embedded_engine(read_config: ReadConfig, tmp_path: Path) -> None:
    """A provider of kind llamacpp is an engine, on if its model file is there."""
    model = tmp_path / "m.gguf"
    toml = f"[providers.Own]\nkind = 'llamacpp'\nmodel_file = '{model}'\n"
    assert "Own" in read_config(f"{toml}default_model = 'own'").off

    model.touch()
    config = read_config(f"{toml}default_model = 'own'")

    assert "Own" not in config.off
    assert "Own" in [settings.id for settings in config.engines()]


@pytest.mark.parametrize(
    ("toml", "environ", "why"),
    [
        ("api_key = 'env:A'", {}, "A is not set"),
        ("api_key = 'env:A'", {"A": ""}, "A is not set"),
        ("api_key = 'env:A'", {"A": "  \n"}, "A is not set"),
        ("headers = { X = 'env:B' }", {}, "B is not set"),
        (
            "api_key = 'env:A'\nheaders = { X = 'env:B' }",
            {},
            "A is not set and B is not set",
        ),
        ("api_key = 'env:A'\nheaders = { X = 'env:B' }", {"A": "a"}, "B is not set"),
        ("enabled = false", {}, "enabled is false"),
        ("enabled = false\napi_key = 'env:A'", {}, "enabled is false"),
    ],
)
def test_what_turns_a_provider_off(
    read_config: ReadConfig, toml: str, environ: dict[str, str], why: str
) -> None:
    """A provider that lacks something is off, says what it lacks, and is no error."""
    assert read_config(OPEN + toml, **environ).off["Open"] == why


@pytest.mark.parametrize("toml", ["", "api_key = 'env:A'", "api_key = 'literal'"])
def test_what_leaves_a_provider_on(read_config: ReadConfig, toml: str) -> None:
    """One that needs no key, or has it, is on."""
    assert "Open" not in read_config(OPEN + toml, A=" a ").off


def test_values_of_the_environment_are_trimmed(read_config: ReadConfig) -> None:
    """The line end of a secret's file is no part of the key; all else is."""
    config = read_config(f"{OPEN}api_key = 'env:A'", A=" sk-1/\n")

    assert config.providers["Open"].api_key == "sk-1/"


def test_built_in_providers() -> None:
    """Those that need a key are there without a file, off, and say which key."""
    config = load(None, {})

    assert config.off["HuggingChat"] == "HF_TOKEN is not set"
    assert config.off["OpenAI"] == "OPENAI_API_KEY is not set"
    assert "HuggingChat" not in load(None, {"HF_TOKEN": "hf-1"}).off


def test_models_of_a_built_in_provider_are_added_to(read_config: ReadConfig) -> None:
    """A model of one's own does not take the built-in ones away."""
    toml = '[providers.HuggingSpace.models]\nmine = "http://127.0.0.1:7860#/infer"'
    models = read_config(toml).providers["HuggingSpace"].models

    assert models["mine"] == "http://127.0.0.1:7860#/infer"
    assert "flux" in models


def test_a_built_in_provider_is_merged(read_config: ReadConfig) -> None:
    """A table with a built-in's id overrides the keys that it gives, and no others."""
    ours = read_config("[providers.HuggingChat]\napi_key = 'a'\nlabel = 'L'")
    plain = load(None, {}).providers["HuggingChat"]

    merged = ours.providers["HuggingChat"]
    assert (merged.api_key, merged.label) == ("a", "L")
    assert "HuggingChat" not in ours.off
    assert merged.base_url == plain.base_url
    assert merged.default_model == plain.default_model


BARE = "[providers.Open]\nkind = 'openai'\n"
WRONG = [
    ("port = 1", "port: unknown key"),
    ("surver = 1", "surver: unknown key (did you mean 'server'?)"),
    ("server = 5", "server: must be an object, not 5"),
    ("[server]\nprot = 1", "server.prot: unknown key (did you mean 'port'?)"),
    ("[server]\nhost = ''", "server.host: must not be empty"),
    ("[server]\nhost = 1", "server.host: must be a string, not 1"),
    ("[server]\nport = '1'", "server.port: must be a whole number, not '1'"),
    ("[server]\nport = 1.0", "server.port: must be a whole number, not 1.0"),
    ("[server]\nport = true", "server.port: must be a whole number, not True"),
    ("[server]\nport = -1", "server.port: must be >= 0: -1"),
    ("[server]\nport = 65536", "server.port: must be <= 65535: 65536"),
    ("[server]\nworkers = 0", "server.workers: must be >= 1: 0"),
    ("[server]\nmax_body_bytes = 0", "server.max_body_bytes: must be >= 1: 0"),
    ("[server]\nping_interval = 0", "server.ping_interval: must be > 0: 0.0"),
    ("[server]\nping_interval = nan", "server.ping_interval: must be > 0: nan"),
    ("[server]\nheader_hold = -1", "server.header_hold: must be >= 0: -1.0"),
    ("[server]\nshutdown_timeout = '1'", "server.shutdown_timeout: must be a number"),
    ("[server]\ncors_origins = '*'", "server.cors_origins: must be an array, not '*'"),
    ("[server]\ncors_origins = ['nope']", "server.cors_origins: must match"),
    ("[server]\nallowed_hosts = [1]", "server.allowed_hosts[0]: must be a string"),
    ("[server]\ntrusted_proxies = ['proxy']", "server.trusted_proxies: must be addr"),
    ("[server]\ntrusted_proxies = ['10.0.0.1/8']", "server.trusted_proxies: must be"),
    ("[server]\npath_prefix = 'llm'", "server.path_prefix: must be a path as '/llm'"),
    ("[server]\npath_prefix = '/llm/'", "server.path_prefix: must be a path as"),
    ("[server]\npath_prefix = '/a/../b'", "server.path_prefix: must be a path as"),
    ("[server]\npath_prefix = '/{x}'", "server.path_prefix: must be a path as"),
    ("[server]\nunix_socket = '/none/a'", "server.unix_socket: /none is no folder"),
    (f"[server]\nunix_socket = '{'a' * 104}'", "server.unix_socket: must have at most"),
    ("[server]\ntls_key = 'setup.cfg'", "server.tls_certificate: is missing"),
    (
        "[server]\ntls_certificate = 'setup.cfg'\ntls_key = 'setup.cfg'",
        "server.tls_certificate: has no certificate in PEM",
    ),
    (
        "[server]\ntls_certificate = 'setup.cfg'\ntls_key = '/none'",
        "server.tls_key: /none can't be read: No such file or directory",
    ),
    ("[log]\nlevel = 'loud'", "log.level: must be one of debug, info, warning, error"),
    ("[log]\nformat = 'xml'", "log.format: must be one of text, json, not 'xml'"),
    ("[auth]\nkeys = 5", "auth.keys: must be an array, not 5"),
    ("[[auth.keys]]\nname = 'k'", "auth.keys[0].sha256: is missing"),
    (
        "[[auth.keys]]\nname = 'k'\nsha256 = 'abc'",
        "auth.keys[0].sha256: must be the SHA-256",
    ),
    (
        "[race]\nhedge_delay = 'slow'",
        "race.hedge_delay: must be seconds, or a quantile",
    ),
    (
        "[race]\nhedge_delay = 'p100'",
        "race.hedge_delay: must be seconds, or a quantile",
    ),
    ("[race]\nhedge_delay = -1", "race.hedge_delay: must be seconds, or a quantile"),
    ("[race]\nhedge_budget = -0.1", "race.hedge_budget: must be >= 0: -0.1"),
    (
        "[log]\nraces_file = '/no/such/folder/r.jsonl'",
        "log.races_file: /no/such/folder",
    ),
    ("[log]\nraces_backups = 0", "log.races_backups: must be >= 1: 0"),
    (KEY + KEY, "auth.keys: two keys have the same name"),
    (
        f"{KEY}providers = ['HuggingChta']",
        (
            "auth.keys[0].providers: there is no provider 'HuggingChta'"
            " (did you mean 'HuggingChat'?)"
        ),
    ),
    (
        "[race]\nstrategy = 'fast'",
        "race.strategy: must be one of fallback, hedge, race",
    ),
    ("[race]\nmax_racers = 0", "race.max_racers: must be >= 1: 0"),
    ("[race]\nidle_timeout = 0", "race.idle_timeout: must be > 0.0: 0.0"),
    (
        "[race]\ndefault_providers = ['*']",
        "race.default_providers: there is no provider '*'",
    ),
    (
        "[race]\ndefault_providers = ['HuggingChta']",
        (
            "race.default_providers: there is no provider 'HuggingChta'"
            " (did you mean 'HuggingChat'?)"
        ),
    ),
    ("[media]\nmax_bytes = 0", "media.max_bytes: must be >= 1: 0"),
    ("[media]\nmax_age = 0", "media.max_age: must be > 0: 0.0"),
    ("[models.fast]", "models.fast.providers: is missing"),
    ("[models.fast]\nproviders = []", "models.fast.providers: must not be empty"),
    (
        "[models.fast]\nproviders = ['Nobody']",
        "models.fast.providers: there is no provider 'Nobody'",
    ),
    (
        "[models.fast]\nproviders = ['OpenAI']\nstrategy = 'fast'",
        "models.fast.strategy: must be one of fallback, hedge, race",
    ),
    ("providers = 5", "providers: must be a table of tables"),
    ("[providers]\nOpen = 5", "providers.Open: must be a table"),
    ("[providers.'a b']", "providers.a b: an id has letters, digits"),
    ("[providers.'']", "providers.: an id has letters, digits"),
    ("[providers.A]", "providers.A.kind: is missing"),
    ("[providers.A]\nkind = 'opena'", "providers.A.kind: must be one of"),
    ("[providers.A]\nkind = 'openai'", "providers.A.base_url: must be an http://"),
    (
        "[providers.A]\nkind = 'openai'\nbase_url = 'ftp://x'",
        "providers.A.base_url: must be an http:// or https:// URL",
    ),
    (
        "[providers.A]\nkind = 'openai'\nbase_url = 'http://[x'",
        "providers.A.base_url: must be an http:// or https:// URL",
    ),
    (
        "[providers.A]\nkind = 'llamacpp'\nmodel_file = 'x'",
        "providers.A.default_model: is missing",
    ),
    (
        "[providers.A]\nkind = 'llamacpp'\ndefault_model = 'x'",
        "providers.A.model_file: is missing",
    ),
    (
        f"{OPEN}[providers.o-pen]\nkind = 'openai'\nbase_url = 'http://x'",
        "providers.Open: the id differs from 'o-pen' in case",
    ),
    (
        "[providers.groq]\nlabel = 'a'\n[providers.Groq]\nlabel = 'b'",
        "providers.Groq: Groq has a table already",
    ),
    ("[provider.Open]\nkind = 'openai'", "provider: unknown key (did you mean 'prov"),
    (f"{BARE}base_url = 'https://x/v1#a'", "providers.Open.base_url: must not have a"),
    (f"{BARE}base_url = 'https://x/v 1'", "providers.Open.base_url: must not have sp"),
    (f'{BARE}base_url = "https://x/v1\\n"', "providers.Open.base_url: must not have"),
    (
        f"{OPEN}headers = {{ 'X Y' = 'a' }}",
        "providers.Open.headers.X Y: is no name that a header may have",
    ),
    (f"{OPEN}headers = {{ '' = 'a' }}", "providers.Open.headers.: is no name"),
    (f"[media]\nmax_bytes = {2**63}", "media.max_bytes: must be a smaller number"),
    ("[media]\nmax_age = inf", "media.max_age: must be a smaller number than inf"),
    ("[race]\ntotal_timeout = 1e19", "race.total_timeout: must be a smaller number"),
    ("[media]\ndirectory = '~nosuchuser/x'", "media.directory: whose home is"),
    ('[media]\ndirectory = "a\\u0000b"', "media.directory: must not have control"),
    ('[responses]\npath = "a\\u0000b"', "responses.path: must not have control"),
    (f"{OPEN}id = 'Open'", "providers.Open.id: unknown key"),
    (f"{OPEN}bas_url = 'x'", "providers.Open.bas_url: unknown key (did you mean"),
    (f"{OPEN}api_key = 5", "providers.Open.api_key: must be a string, not 5"),
    (
        f'{OPEN}api_key = "a\\nb"',
        "providers.Open.api_key: must not have control characters",
    ),
    (
        f'{OPEN}headers = {{ X = "a\\r\\nb" }}',
        "providers.Open.headers.X: must not have control characters",
    ),
    (f"{OPEN}headers = {{ X = 1 }}", "providers.Open.headers.X: must be a string"),
    (f"{OPEN}enabled = 'no'", "providers.Open.enabled: must be true or false"),
    (
        f"{OPEN}unknown_model = 'guess'",
        "providers.Open.unknown_model: must be one of default, pass, reject",
    ),
    (
        f"{OPEN}unknown_model = 'default'",
        "providers.Open.unknown_model: 'default' needs a default_model",
    ),
    (
        f"{OPEN}capabilities = ['chat', 'fly']",
        "providers.Open.capabilities: must be of chat, tools",
    ),
    (
        f"{OPEN}responses = 'maybe'",
        "providers.Open.responses: must be one of off, native, always, not 'maybe'",
    ),
    (
        f"{OPEN}messages = {{ call_ids = 'ten' }}",
        "providers.Open.messages.call_ids: must be one of any, short, word, nine",
    ),
    (
        f"{OPEN}messages = {{ roles = ['king'] }}",
        "providers.Open.messages.roles: must be of developer, system, user, assistant",
    ),
    (
        f"{OPEN}messages = {{ role = [] }}",
        "providers.Open.messages.role: unknown key (did you mean 'roles'?)",
    ),
    (f"{OPEN}messages = 1", "providers.Open.messages: must be an object, not 1"),
    (
        f"{OPEN}messages = {{ strict_turns = 'yes' }}",
        "providers.Open.messages.strict_turns: must be true or false",
    ),
    (f"{OPEN}dropped_fields = 'a'", "providers.Open.dropped_fields: must be an array"),
    (
        f"{OPEN}prices = {{ m = [-1, 2] }}",
        "providers.Open.prices: must not be below zero",
    ),
    (f"{OPEN}default_fields = ['a']", "providers.Open.default_fields: must be an obje"),
    (f"{OPEN}models = {{ a = 1 }}", "providers.Open.models.a: must be a string"),
    (f"{OPEN}models = ['a']", "providers.Open.models: must be an object"),
    (f"{OPEN}total_timeout = 0", "providers.Open.total_timeout: must be > 0.0: 0.0"),
    (f"{OPEN}context = 1", "providers.Open.context: must be >= 256: 1"),
    (f"{OPEN}parallel = 0", "providers.Open.parallel: must be >= 1: 0"),
    (f"{OPEN}threads = -1", "providers.Open.threads: must be >= 0: -1"),
]


@pytest.mark.parametrize(("toml", "expected"), WRONG)
def test_wrong_values(read_config: ReadConfig, toml: str, expected: str) -> None:
    """A wrong key or value is told once, by its path in the file, with a reason."""
    (problem,) = problems(read_config, toml)

    assert problem.startswith(expected)


@pytest.mark.parametrize("environ", [{"A": "a\nb", "B": "b"}, {"A": "a", "B": "\0b"}])
def test_control_characters_in_the_environment(
    read_config: ReadConfig, environ: dict[str, str]
) -> None:
    """A value that no HTTP header can carry is told, and its provider never asked."""
    toml = f"{OPEN}api_key = 'env:A'\nheaders = {{ X = 'env:B' }}"

    try:
        told = read_config(toml, **environ).off.get("Open", "it is on")
    except ConfigError as exc:
        told = str(exc)

    assert "control characters" in told


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1", "example.org"])
def test_an_open_host_needs_a_key(read_config: ReadConfig, host: str) -> None:
    """Other machines are never let in without a key; with one they are."""
    toml = f"[server]\nhost = '{host}'\n"

    (problem,) = problems(read_config, toml)

    assert problem.startswith(f"server.host: {host} can be reached by other machines")
    assert "python -m server key NAME" in problem
    assert read_config(toml + KEY).server.host == host


@pytest.mark.parametrize("host", ["localhost", "127.0.0.2", "::1", "a.localhost"])
def test_loopback_needs_no_key(read_config: ReadConfig, host: str) -> None:
    """On loopback, in whatever spelling, a server may be open."""
    assert read_config(f"[server]\nhost = '{host}'").server.host == host


def test_every_problem_is_told(read_config: ReadConfig) -> None:
    """Errors come all at once, so that one reading is enough to mend them."""
    toml = (
        "surver = 1\n[server]\nprt = 1\nhost = 1\n[race]\nmax_racers = 0\n"
        "hedge_delay = -1\n[models.fast]\n[providers.A]\n[providers.B]\nkind = 'x'"
    )

    assert sorted(p.partition(":")[0] for p in problems(read_config, toml)) == [
        "models.fast.providers",
        "providers.A.kind",
        "providers.B.kind",
        "race.hedge_delay",
        "race.max_racers",
        "server.host",
        "server.prt",
        "surver",
    ]


@pytest.mark.parametrize(
    "toml",
    [
        "[server]\nport = -1\nworkers = 0",
        "[providers.A]\nkind = 'x'\nbase_url = 'ftp://x'",
        "[providers.A]\nkind = 'openai'\nbase_url = 'ftp://x'\nlabel = 1",
        "[server]\nport = -1\nworkers = 'x'",
        f"{OPEN}context = 1\nunknown_model = 'guess'",
        f"{OPEN}context = 1\ncapabilities = 'chat'",
    ],
)
def test_every_problem_of_a_table_is_told(read_config: ReadConfig, toml: str) -> None:
    """Of several wrong keys in one table each is told, whatever is wrong with them."""
    assert len(problems(read_config, toml)) == 2


def test_a_built_in_id_in_another_spelling(read_config: ReadConfig) -> None:
    """A table whose name is a built-in provider's in another case is that provider."""
    config = read_config("[providers.hugging-chat]\nlabel = 'Ours'")

    assert config.providers["HuggingChat"].label == "Ours"
    assert "hugging-chat" not in config.providers


@pytest.mark.parametrize(
    "content", [b"[server", b"a = 1\na = 2", b"\xff", b"a = " + b"[" * 5000]
)
def test_bad_toml(config_file: Path, content: bytes) -> None:
    """A file that is no TOML is told by its name, in one line."""
    config_file.write_bytes(content)

    with pytest.raises(ConfigError) as caught:
        load(config_file, {})

    (problem,) = caught.value.problems
    assert problem.startswith(f"{config_file}: not valid TOML: ")


def test_a_missing_file(tmp_path: Path) -> None:
    """A file that is named but can't be read is an error, not a default."""
    for path, why in {
        tmp_path / "none.toml": "No such file or directory",
        tmp_path: "Is a directory",
    }.items():
        with pytest.raises(ConfigError) as caught:
            load(path, {})
        assert caught.value.problems == [f"{path}: can't be read: {why}"]


def test_which_file_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The option, else $INTERFERENCE_CONFIG, else ./config.toml if it is there."""
    monkeypatch.chdir(tmp_path)
    environ = {"INTERFERENCE_CONFIG": "/named.toml"}
    assert config_path(None, {}) is None
    (tmp_path / "config.toml").touch()

    assert config_path(Path("/given.toml"), environ) == Path("/given.toml")
    assert config_path(None, environ) == Path("/named.toml")
    assert config_path(None, {"INTERFERENCE_CONFIG": ""}) == Path("config.toml")
    assert config_path(None, {}) == Path("config.toml")


def test_overrides(read_config: ReadConfig) -> None:
    """What the command line says goes before what the file says."""
    toml = "[server]\nport = 1\nworkers = 3\n"

    config = read_config(toml, {"server": {"port": 2}, "log": {"level": "error"}})

    assert (config.server.port, config.server.workers) == (2, 3)
    assert config.log.level == "error"


@pytest.mark.parametrize(
    ("overrides", "expected"),
    [
        ({"server": {"port": 65536}}, "server.port: must be <= 65535: 65536"),
        ({"server": {"host": "0.0.0.0"}}, "server.host: 0.0.0.0 can be reached"),
        ({"log": {"level": "loud"}}, "log.level: must be one of"),
    ],
)
def test_overrides_are_validated(
    read_config: ReadConfig, overrides: dict[str, dict[str, Any]], expected: str
) -> None:
    """A value from the command line has to be as right as one from the file."""
    (problem,) = problems(read_config, "", overrides=overrides)

    assert problem.startswith(expected)


def test_secrets_are_not_shown(read_config: ReadConfig) -> None:
    """No key, no header and no digest appears where a configuration is printed."""
    config: Config = read_config(
        f"{OPEN}api_key = 'sk-literal'\nheaders = {{ X = 'env:A' }}\n{KEY}",
        A="sk-environment",
        HF_TOKEN="hf-token",
    )

    shown = repr(config)
    assert "Open" in shown
    for secret in ("sk-literal", "sk-environment", "hf-token", "a" * 64):
        assert secret not in shown


def test_secrets_are_not_in_messages(read_config: ReadConfig) -> None:
    """A key that is pasted where its digest belongs is not repeated by the error."""
    (problem,) = problems(read_config, "[[auth.keys]]\nname='k'\nsha256 = 'sk-secret'")

    assert problem.startswith("auth.keys[0].sha256: must")
    assert "sk-secret" not in problem
