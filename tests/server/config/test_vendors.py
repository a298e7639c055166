"""The built-in providers: rows that can be used, and the page that lists them."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from providers import vendors
from server.config.loading import load

ROOT = Path(__file__).parents[3]
PAGE = (ROOT / "docs" / "providers.md").read_text("utf-8")
ROW = re.compile(r"\| `(?P<id>[^`]+)` \| \[(?P<label>.+?)\]\((?P<url>.+?)\) \|(.*)\|")
VARIABLE = re.compile(r"env:(\w+(?:\|\w+)*)|\{(\w+)\}")
# Of rows that have no other place to say it.
RESPONSES = {
    "OpenAI": "native",
    "AzureOpenAI": "native",
    "xAI": "native",
    "Perplexity": "always",
}


def variables(row: dict[str, Any]) -> Iterator[str]:
    values = [row.get("api_key", ""), row.get("base_url", "")]
    for value in [*values, *row.get("headers", {}).values()]:
        for env, part in VARIABLE.findall(value):
            yield from (env or part).split("|")


def test_the_page_has_every_row() -> None:
    """It lists who is built in, in the file's order, with address and variables."""
    listed = {found["id"]: found for found in ROW.finditer(PAGE)}

    assert list(listed) == list(vendors())
    for name, row in vendors().items():
        line = listed[name]
        assert line["label"] == row["label"]
        assert line["url"] == row["url"]
        kind, address, named, _ = (cell.strip() for cell in line[4].split("|", 3))
        assert kind == row["kind"]
        told = re.findall(r"`(\w+)`", named)
        assert sorted(told) == sorted(variables(row)) or (named, told) == ("none", [])
        shown = re.sub(r"^env:(\w+)", r"{\1}", row.get("base_url", ""))
        assert address == (f"`{shown}`" if shown else "—")


def test_there_are_many() -> None:
    """The rows that the page promises are there."""
    assert len(vendors()) >= 50


@pytest.mark.parametrize("name", vendors())
def test_each_row_works(name: str) -> None:
    """With its variables set, each row is a provider that is on, at a whole address."""
    row = vendors()[name]
    environ = {
        variable: "https://a.test" if variable.endswith(("_HOST", "_ENDPOINT")) else "v"
        for variable in variables(row)
    }

    config = load(None, environ)
    settings = config.providers[name]

    assert name not in config.off or settings.kind == "llamacpp"
    assert not {"{", "}"} & set(settings.base_url)
    assert settings.base_url.startswith("http") or settings.kind == "llamacpp"
    assert settings.rules.responses == RESPONSES.get(name, "off")


@pytest.mark.parametrize(
    ("environ", "key", "off"),
    [
        ({}, "", "GEMINI_API_KEY is not set"),
        ({"GOOGLE_API_KEY": "b"}, "b", None),
        ({"GOOGLE_API_KEY": "b", "GEMINI_API_KEY": "a"}, "a", None),
        ({"GOOGLE_API_KEY": "b", "GEMINI_API_KEY": " "}, "b", None),
    ],
)
def test_keys_have_several_names(
    environ: dict[str, str], key: str, off: str | None
) -> None:
    """The first that is set counts; what is missing is told by its first name."""
    config = load(None, environ)

    assert config.providers["Gemini"].api_key == key
    assert config.off.get("Gemini") == off


def test_parts_of_an_address() -> None:
    """A variable may stand within a base URL; while it is not set, it is what lacks."""
    token = {"CLOUDFLARE_API_TOKEN": "t"}
    there = load(None, {**token, "CLOUDFLARE_ACCOUNT_ID": "a1"})

    assert load(None, token).off["CloudflareAI"] == "CLOUDFLARE_ACCOUNT_ID is not set"
    assert "/accounts/a1/ai/v1" in there.providers["CloudflareAI"].base_url
