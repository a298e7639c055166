"""The log of races in the document."""

from server.config.settings import QUANTILE
from server.json_types import JSONObject
from server.record.log import REMEMBERED
from server.wire.replay import ReplayRequest

from .records import Schema, ref, schema_of
from .shared import (
    KEYS,
    OF_API,
    answer,
    body,
    errors,
    in_events,
    in_json,
    path_parameter,
    query_parameter,
)

LIMIT: Schema = {
    "type": "integer",
    "minimum": 1,
    "maximum": REMEMBERED,
    "default": 100,
}
STEPS = (
    "The `event` says what happened: `race.started`; `racer.started`,"
    " `racer.connected`, `racer.headers`, `racer.token` (its first), `racer.failed`,"
    " `racer.cut_off` and `race.decided`; `race.ended`, with the race's story, which"
    " says all of it once more. A client that reads too slowly misses some, and is sent"
    " `resync`."
)
REPLAY = schema_of(ReplayRequest, {"hedge_budget": "Extra calls a request, at most."})
REPLAY["properties"]["hedge_delay"] = {
    "description": "Seconds, or a quantile of the provider's own times: p90.",
    "anyOf": [
        {"type": "number", "minimum": 0},
        {"type": "string", "pattern": f"^(?:{QUANTILE.pattern})$"},
    ],
}
SCHEMAS: dict[str, Schema] = {"ReplayRequest": REPLAY}
PATHS: JSONObject = {
    "/races": {
        "get": {
            "operationId": "listRaces",
            "tags": ["Races"],
            "summary": "The last races that this key may see, the newest first",
            "description": "What happened in them, and never what was said.",
            "security": KEYS,
            "parameters": [query_parameter("limit", "How many.", LIMIT)],
            "responses": {
                "200": answer("Them.", in_json(ref("Races"))),
                **errors((400, *OF_API)),
            },
        }
    },
    "/races/events": {
        "get": {
            "operationId": "streamRaces",
            "tags": ["Races"],
            "summary": "What happens in races, until the client has had enough",
            "description": STEPS,
            "security": KEYS,
            "responses": {
                "200": answer("An event a step.", in_events(ref("RaceEvent"))),
                **errors(OF_API),
            },
        }
    },
    "/races/summary": {
        "get": {
            "operationId": "summarizeRaces",
            "tags": ["Races"],
            "summary": "What the last races say of each provider, minute by minute",
            "description": "Of the last hour, as far as its races are still kept.",
            "security": KEYS,
            "responses": {
                "200": answer("A provider each.", in_json(ref("RaceSummary"))),
                **errors(OF_API),
            },
        }
    },
    "/races/replay": {
        "post": {
            "operationId": "replayRaces",
            "tags": ["Races"],
            "summary": "What another policy would have made of the last races",
            "description": "Of chats whose first token was seen. Nobody is called.",
            "security": KEYS,
            "requestBody": body(ref("ReplayRequest"), {"strategy": "hedge"}),
            "responses": {
                "200": answer("Both, side by side.", in_json(ref("Replay"))),
                **errors((400, *OF_API, 408, 413, 415)),
            },
        }
    },
    "/races/{id}": {
        "parameters": [
            path_parameter(
                "id", "Its request's id.", "0123456789abcdef0123456789abcdef"
            )
        ],
        "get": {
            "operationId": "retrieveRace",
            "tags": ["Races"],
            "summary": "The race of one request",
            "security": KEYS,
            "responses": {
                "200": answer("It.", in_json(ref("Race"))),
                **errors((*OF_API, 404)),
            },
        },
    },
}
