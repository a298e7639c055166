"""The typed keys under which the application and its requests carry things."""

from typing import Any

from aiohttp import web

from .config import KeySettings
from .gateway import Gateway
from .race import Race
from .response_store import ResponseStore

GATEWAY = web.AppKey("gateway", Gateway)
RESPONSES = web.AppKey("responses", ResponseStore)

REQUEST_ID = web.RequestKey("request_id", str)
CLIENT = web.RequestKey("client", KeySettings)
RACE = web.RequestKey("race", Race[Any, Any])
