"""The README: short, and right in what can be checked of it."""

import re
from pathlib import Path

import pytest

from providers import vendors
from server.config.loading import load

README = Path("README.md").read_text("utf-8")
PAGES = [Path("README.md"), *sorted(Path("docs").glob("*.md"))]
LONGEST = 100
MOST = 120


def test_it_is_short() -> None:
    """Who reads it aloud is done in five minutes, on any screen."""
    lines = README.splitlines()

    assert len(lines) <= MOST
    assert [line for line in lines if len(line) > LONGEST] == []


def test_variables() -> None:
    """Each variable that it names switches a built-in provider on."""
    section = README.partition("## Your keys")[2].partition("\n## ")[0]
    named = set(re.findall(r"`([A-Z_]+_(?:KEY|TOKEN))`", section))

    known = " ".join(str(row.get("api_key")) for row in vendors().values())
    assert len(named) >= 5
    assert all(name in known for name in named)


def test_configuration(tmp_path: Path) -> None:
    """Its configuration can be pasted."""
    (toml,) = re.findall(r"```toml\n(.*?)```", README, re.DOTALL)

    path = tmp_path / "config.toml"
    path.write_text(toml)
    config = load(path, {"MINE_API_KEY": "k"})

    assert {"Mine", "Second"} <= set(config.on())


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links(page: Path) -> None:
    """What a page links to is there, and each page of docs/ is linked to."""
    targets = re.findall(r"\]\(((?!http|#)[^)#]+)", page.read_text("utf-8"))

    assert all((page.parent / target).exists() for target in targets)
    assert page.name == "README.md" or f"docs/{page.name}" in README
