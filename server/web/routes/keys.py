"""Keys that are managed at run time: for administrators, where there is a store."""

import asyncio
import sqlite3
from collections.abc import Callable
from typing import TypeVar

from aiohttp import web

from server.config.keys import NewSecret
from server.config.settings import KeySettings
from server.errors import (
    AdminOnly,
    InvalidRequest,
    KeyNameTaken,
    KeyNotFound,
    StorageFailed,
)
from server.stores.keys import KeyStore, ManagedKey, NameTaken
from server.web.context import VISIT
from server.web.json_answers import json_answer
from server.wire.keys import (
    DeletedKey,
    KeyPayload,
    NewKeyPayload,
    key_payload,
    keys_payload,
)
from server.wire.reading import make_exactly, read_object

from .bodies import body_of

T = TypeVar("T")
routes = web.RouteTableDef()


@routes.get("/keys")
async def list_keys(request: web.Request) -> web.Response:
    keys = await _with_file(_store(request).all)
    return json_answer(keys_payload([_payload(key) for key in keys]))


@routes.post("/keys")
async def create_key(request: web.Request) -> web.Response:
    store = _store(request)
    payload = read_object(await body_of(request))
    if "sha256" in payload:
        raise InvalidRequest(
            "The key is made here: leave 'sha256' out.", param="sha256"
        )
    secret = NewSecret()
    settings = make_exactly({**payload, "sha256": secret.sha256}, KeySettings)
    try:
        key = await _with_file(lambda: store.add(secret.id, settings))
    except NameTaken as exc:
        raise KeyNameTaken(
            f"There is a key named {settings.name!r} already.", param="name"
        ) from exc
    await request[VISIT].gateway.keys.refresh()
    return json_answer(NewKeyPayload(**_payload(key), key=secret.text))


@routes.delete("/keys/{id}")
async def delete_key(request: web.Request) -> web.Response:
    store, name = _store(request), request.match_info["id"]
    key = await _with_file(lambda: store.remove(name))
    if key is None:
        raise KeyNotFound(f"There is no key {name!r}. GET /v1/keys lists them.")
    await request[VISIT].gateway.keys.refresh()
    return json_answer(DeletedKey(id=key.id, object="key", deleted=True))


def _store(request: web.Request) -> KeyStore:
    """Return where keys are; raises AdminOnly, and KeyNotFound where there is none."""
    visit = request[VISIT]
    if visit.client is None or not visit.client.admin:
        raise AdminOnly("Keys are managed with a key that has `admin = true`.")
    store = visit.gateway.keys.store
    if store is None:
        raise KeyNotFound(
            "Keys are in the configuration alone. Where `[auth] store` names a file,"
            " they are managed at run time."
        )
    return store


async def _with_file(work: Callable[[], T]) -> T:
    try:
        return await asyncio.to_thread(work)
    except (OSError, sqlite3.Error) as exc:
        raise StorageFailed(f"The file of keys can't be used: {exc}.") from exc


def _payload(key: ManagedKey) -> KeyPayload:
    return key_payload(key.id, key.created, key.settings)
