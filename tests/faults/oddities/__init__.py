"""The oddities of upstreams: what each sends, and what a client is to be told of it."""

from .broken import broken
from .calls import calls
from .counts import counts
from .ends import ends
from .reasons import reasons
from .requests import requests
from .texts import texts
from .wordless import wordless
from .writing import Oddity

__all__ = ["Oddity", "oddities"]


def oddities() -> list[Oddity]:
    parts = (calls, ends, texts, counts, reasons, requests, broken, wordless)
    return [each for part in parts for each in part()]
