"""What `docs/clients.md` says to type, read from the page itself."""

import re
from pathlib import Path

from attrs import frozen

PAGE = Path(__file__).parents[2] / "docs/clients.md"
SERVER = "http://127.0.0.1:1337"
FENCE = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


@frozen
class Snippet:
    """What stands between two fences."""

    language: str
    text: str


def snippets(section: str) -> list[Snippet]:
    """
    Return the snippets of the page's *section*, in their order. Raises LookupError if
    there is no such section, or nothing to type in it.
    """
    parts = re.split(r"^## (.+)$", PAGE.read_text(encoding="utf-8"), flags=re.MULTILINE)
    sections = dict(zip(parts[1::2], parts[2::2], strict=True))
    made = [Snippet(*found) for found in FENCE.findall(sections.get(section, ""))]
    if not made:
        raise LookupError(f"{PAGE.name} has no snippets for {section}")
    return made
