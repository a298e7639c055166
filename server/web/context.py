"""The typed keys under which the application and its requests carry things."""

from aiohttp import web
from attrs import define

from server.config.settings import KeySettings
from server.gateway import Gateway
from server.racing.lanes import Course
from server.stores.responses import ResponseStore

RESPONSES = web.AppKey("responses", ResponseStore)


@define(eq=False)
class Visit:
    """
    What is known of a request: its id, the gateway that it came to, whose it is, and
    the course of the race that it began. One lookup for all of them costs less than one
    for each.
    """

    id: str
    gateway: Gateway
    client: KeySettings | None = None
    race: Course | None = None


VISIT = web.RequestKey("visit", Visit)
