"""The stored responses of one client, and what it is told where they can't be had."""

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import structlog
from aiohttp import web
from attrs import frozen

from server.errors import (
    InvalidRequest,
    ItemNotFound,
    PreviousResponseNotFound,
    ResponseNotFound,
    StorageFailed,
)
from server.json_types import JSON, JSONObject
from server.stores.responses import DEEPEST, ChainTooLong, ResponseStore
from server.wire.responses import ResponseRequest, StoredResponse
from server.wire.responses.input import reasoning_in, reference_in

from .context import RESPONSES, VISIT

log = structlog.get_logger(__name__)


@frozen
class OwnResponses:
    """
    What *store* has of one *owner*, whose API key alone finds it.

    All methods but `keep` raise StorageFailed where the store can't be read.
    """

    store: ResponseStore
    owner: str

    async def keep(self, stored: StoredResponse) -> bool:
        """Keep a response; return False, and say why in the log, if that can't be."""
        try:
            return await self.store.put(self.owner, stored)
        except sqlite3.Error as exc:
            self.store.trouble = str(exc)
            log.error("a response can't be kept", reason=str(exc))
            return False

    async def get(self, name: str) -> tuple[JSONObject, list[JSONObject]]:
        """Return a response's body and its output; raises ResponseNotFound."""
        with _readable():
            stored = await self.store.get(self.owner, name)
        if stored is None:
            raise _unknown(name)
        return stored

    async def input(self, name: str) -> list[JSONObject]:
        """Return the items that a response answers; raises ResponseNotFound."""
        with _readable():
            items = await self.store.input(self.owner, name)
        if items is None:
            raise _unknown(name)
        return items

    async def delete(self, name: str) -> None:
        """Remove a response; raises ResponseNotFound."""
        with _readable():
            deleted = await self.store.delete(self.owner, name)
        if not deleted:
            raise _unknown(name)

    async def history(self, request: ResponseRequest) -> Sequence[JSONObject]:
        """
        Return the items of the response that *request* goes on from, and of those
        before it; none if it goes on from nothing.

        Raises InvalidRequest and PreviousResponseNotFound.
        """
        previous = request.previous_response_id
        if previous is None:
            return ()
        try:
            with _readable():
                items = await self.store.history(self.owner, previous)
        except ChainTooLong as exc:
            raise InvalidRequest(
                f"More than {DEEPEST} responses go on from one another. Send the"
                " conversation's items as 'input' instead.",
                param="previous_response_id",
            ) from exc
        if items is None:
            raise PreviousResponseNotFound(
                f"The response {previous!r}, or one that it goes on from, is not here,"
                " or no longer.",
                param="previous_response_id",
            )
        return items

    async def items(self, request: ResponseRequest) -> list[JSON]:
        """
        Return the input, with what it refers to in the references' places; raises
        ItemNotFound.

        Clients send reasoning back without what an upstream wants with it, unless they
        have asked for it; it is stored all the same.
        """
        ids = request.stored_ids()
        if not ids:
            return request.items()
        with _readable():
            stored = await self.store.items(self.owner, ids)
        for name in request.references():
            if name not in stored:
                raise ItemNotFound(
                    f"The item {name!r} is not here, or no longer: its response may"
                    " have been sent with 'store' set to false.",
                    param="input",
                )
        return [
            stored.get(reference_in(item) or reasoning_in(item) or "", item)
            for item in request.items()
        ]


def own_responses(request: web.Request) -> OwnResponses:
    """Return the responses of the client that has sent *request*."""
    client = request[VISIT].client
    return OwnResponses(request.app[RESPONSES], "" if client is None else client.name)


@contextmanager
def _readable() -> Iterator[None]:
    """Raise StorageFailed in place of what SQLite raises."""
    try:
        yield
    except sqlite3.Error as exc:
        log.error("stored responses can't be had", reason=str(exc))
        raise StorageFailed(
            "Stored responses can't be had at the moment.", headers={"Retry-After": "5"}
        ) from exc


def _unknown(name: str) -> ResponseNotFound:
    return ResponseNotFound(f"There is no response {name!r} here, or no longer.")
