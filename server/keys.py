"""The typed keys under which the application and its requests carry things."""

from typing import Any

from aiohttp import web
from attrs import define

from .config import KeySettings
from .gateway import Gateway
from .race import Race
from .response_store import ResponseStore

GATEWAY = web.AppKey("gateway", Gateway)
RESPONSES = web.AppKey("responses", ResponseStore)


@define(eq=False)
class Visit:
    """What is known of a request: its id, whose it is, and the race that it began."""

    id: str
    client: KeySettings | None = None
    race: Race[Any, Any] | None = None


VISIT = web.RequestKey("visit", Visit)
