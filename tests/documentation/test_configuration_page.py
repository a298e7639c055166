"""docs/configuration.md says what the server reads."""

from pathlib import Path

from .configuration import page


def test_the_page_is_what_the_records_say() -> None:
    """It was made anew after the last change (`python -m tests.documentation`)."""
    assert Path("docs/configuration.md").read_text("utf-8") == page()
