"""Writes the pages of docs/ that are made from the code."""

from pathlib import Path

from .configuration import page

Path("docs/configuration.md").write_text(page(), "utf-8")
