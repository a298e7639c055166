"""The typed keys under which the application and its requests carry things."""

from time import perf_counter
from typing import TYPE_CHECKING

from aiohttp import web
from attrs import define

from server.config.settings import KeySettings
from server.errors import GatewayError
from server.gateway import Gateway
from server.limits.limiter import Reservation
from server.racing.lanes import Course
from server.stores.responses import ResponseStore

if TYPE_CHECKING:
    from server.record.tracing import RequestTrace

RESPONSES = web.AppKey("responses", ResponseStore)


@define(eq=False)
class Visit:
    """
    What is known of a request: its id, its gateway, its API key, the course of its
    race, the code and the message of the error that answers it, when its first race
    began, what its key's limits reserve for it, and its trace, if it has one. One
    lookup for all of them costs less than one for each.
    """

    id: str
    gateway: Gateway
    client: KeySettings | None = None
    race: Course | None = None
    error: tuple[str | None, str] | None = None
    began: float | None = None
    reservation: Reservation | None = None
    trace: "RequestTrace | None" = None

    def time_left(self, total: float) -> float:
        """Return the seconds that are left of *total*, which all its races share."""
        now = perf_counter()
        if self.began is None:
            self.began = now
        return total - (now - self.began)


VISIT = web.RequestKey("visit", Visit)
REFUSAL = web.RequestKey("refusal", GatewayError)
# Whether the client waits with its body until it is told to go on.
WAITS_TO_CONTINUE = web.RequestKey("waits_to_continue", bool)


class RefusedRequest(web.Request):
    """
    A request that is answered with its REFUSAL in any case. A class of its own, since a
    look-up of the key would cost all other requests.
    """
