"""Models that are addresses: what the configuration may say, and clients may not."""

from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from providers import ImageRequest, ModelList, Provider, open_session
from server.config.loading import ConfigError, load
from server.errors import ModelNotFound
from server.racing.catalog import Catalog
from server.racing.choosing import Chooser
from server.racing.health import Health
from server.racing.lineup import Selection
from server.racing.strategies import Budget
from tests.server.conftest import BARE, ReadConfig

MakeChooser = Callable[..., Chooser]

APP = "http://127.0.0.1:7860#/infer"
SPACES = "[providers.Spaces]\nkind = 'gradio'\nbase_url = 'http://127.0.0.1:9'\n"
FLUX = f"{SPACES}models = {{ flux = 'owner/Space#/infer', app = '{APP}' }}\n"
ADDRESSES = [
    "http://127.0.0.1:8080",
    "http://127.0.0.1:8080#/infer",
    "http://169.254.169.254/latest#/infer",
    "someone/Else",
    "someone/Else#/infer",
    "owner/Space",
    "owner/Space#/other",
    "OWNER/space#/infer",
]


@pytest.fixture
async def make_chooser(read_config: ReadConfig) -> AsyncIterator[MakeChooser]:
    """Make the chooser of the provider Spaces, with these lines in its table."""
    async with open_session() as session:

        def make(lines: str = "") -> Chooser:
            config = read_config(f"{FLUX}{lines}\n{BARE}")
            settings = config.providers["Spaces"]
            provider = Provider(settings, settings.limits(config.race), session)
            lists = {"Spaces": ModelList(provider)}
            health = Health()
            catalog = Catalog(config, lists)
            return Chooser(config, catalog, health, Budget())

        yield make


def asked(chooser: Chooser, model: str | None, providers: Any) -> str:
    """Return what the only racer of a request for an image is asked for."""
    request = ImageRequest(prompt="a red square", model=model)
    (entrant,) = chooser.task_lineup(request, Selection(providers=providers)).entrants
    return entrant.model


@pytest.mark.parametrize(
    "model",
    [
        "owner/Space",
        "owner/Space#/infer",
        "owner/Space#infer",
        "Owner-1/Some_Space.v2#/generate_image",
        "https://app.example.org/sub/path#/infer",
        "http://127.0.0.1:7860",
        "http://[::1]:7860#/infer",
    ],
)
@pytest.mark.parametrize("key", ["models.flux", "default_model"])
def test_addresses(read_config: ReadConfig, model: str, key: str) -> None:
    """A model is a Space or a URL, and perhaps an endpoint."""
    config = read_config(f"{SPACES}models.app = '{APP}'\n{key} = '{model}'")

    assert "Spaces" not in config.off


@pytest.mark.parametrize(
    "model",
    [
        "flux",
        "owner/Space/more",
        "owner/Sp ace",
        "owner/Space#",
        "owner/Space#/",
        "owner/Space#/a#/b",
        "ftp://127.0.0.1/x",
        "https://",
        "/etc/passwd",
    ],
)
@pytest.mark.parametrize("key", ["models.flux", "default_model"])
def test_no_addresses(read_config: ReadConfig, model: str, key: str) -> None:
    """What is neither is an error that names the key."""
    with pytest.raises(ConfigError) as caught:
        read_config(f"{SPACES}models.app = '{APP}'\n{key} = '{model}'")

    (problem,) = caught.value.problems
    assert f"providers.Spaces.{key}: must be owner/Space#/endpoint" in problem


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        ("", "reject"),
        ("unknown_model = 'reject'", "reject"),
        ("default_model = 'flux'", "default"),
        ("default_model = 'flux'\nunknown_model = 'reject'", "reject"),
    ],
)
def test_what_becomes_of_other_models(
    read_config: ReadConfig, lines: str, expected: str
) -> None:
    """A model that is not configured is refused, or replaced: never passed on."""
    assert read_config(FLUX + lines).providers["Spaces"].unknown_model == expected


@pytest.mark.parametrize(
    ("toml", "problem"),
    [
        (f"{FLUX}unknown_model = 'pass'", "unknown_model: 'pass' would let clients"),
        (SPACES, "models: is missing: which Spaces or Gradio apps are there?"),
        (f"{SPACES}models = {{}}", "models: is missing"),
    ],
)
def test_mistakes(read_config: ReadConfig, toml: str, problem: str) -> None:
    """A provider that clients could choose the address for is an error."""
    with pytest.raises(ConfigError) as caught:
        read_config(toml)

    assert f"providers.Spaces.{problem}" in str(caught.value)


@pytest.mark.parametrize("named", [("Spaces",), None])
@pytest.mark.parametrize("address", ADDRESSES)
def test_client_can_not_name_an_address(
    make_chooser: MakeChooser, address: str, named: Any
) -> None:
    """An address that no model is configured as is a model that there is not."""
    with pytest.raises(ModelNotFound):
        asked(make_chooser(), address, named)


@pytest.mark.parametrize("address", [*ADDRESSES, "", None])
def test_default_takes_the_place_of_an_address(
    make_chooser: MakeChooser, address: str | None
) -> None:
    """With a default model, whatever is named that is not configured is that one."""
    chooser = make_chooser("default_model = 'app'")

    assert asked(chooser, address, ("Spaces",)) == APP


@pytest.mark.parametrize(
    ("model", "sent"),
    [("flux", "owner/Space#/infer"), (APP, APP), (None, "owner/Space#/infer")],
)
def test_configured_models(
    make_chooser: MakeChooser, model: str | None, sent: str
) -> None:
    """What is configured is asked for by its name; nothing named is the first."""
    assert asked(make_chooser(), model, ("Spaces",)) == sent


def test_built_in_spaces() -> None:
    """Public Spaces are there without a key, and use one that is there."""
    spaces = load(None, {})

    assert "HuggingSpace" not in spaces.off
    assert not spaces.providers["HuggingSpace"].api_key
    assert spaces.providers["HuggingSpace"].unknown_model == "reject"
    assert load(None, {"HF_TOKEN": "hf-1"}).providers["HuggingSpace"].api_key == "hf-1"
