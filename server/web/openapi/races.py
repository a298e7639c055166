"""The log of races in the document."""

from server.json_types import JSONObject
from server.racing.strategies import STRATEGIES
from server.record.log import REMEMBERED

from .chat import COUNT
from .records import Schema, ref
from .shared import (
    KEYS,
    OF_API,
    TEXT,
    answer,
    array,
    errors,
    in_events,
    in_json,
    path_parameter,
    record,
)

TEXT_OR_NULL: Schema = {"type": ["string", "null"]}
MS: Schema = {"type": ["number", "null"], "minimum": 0}
RACER: Schema = {
    "type": "object",
    "description": "Times are milliseconds after the race's start.",
    "properties": {
        "id": {**TEXT, "description": "The provider's id."},
        "model": TEXT,
        "outcome": {
            "type": "string",
            "enum": ["won", "cut off", "failed", "running", "waiting"],
        },
        "reason": TEXT_OR_NULL,
        "start_ms": MS,
        "connect_ms": MS,
        "headers_ms": MS,
        "first_token_ms": {
            **MS,
            "description": "Null if the answer was asked for in one piece.",
        },
        "end_ms": MS,
        "closed_ms": {
            **MS,
            "description": "How long it took to hang up, after another's first token.",
        },
        "delay_ms": {**MS, "description": "How long a hedge waited for it."},
        "chunks": COUNT,
        "bytes": COUNT,
        "notes": {
            "description": "What was put right in its request or answer.",
            **array(TEXT),
        },
        "dropped": {
            "description": "What of the request it was not sent.",
            **array(TEXT),
        },
        "phase": TEXT,
        "status": {"type": ["integer", "null"]},
        "tokens_wasted_at_least": COUNT,
    },
    "required": ["id", "model", "outcome"],
}
RACE = record(
    {
        "id": {**TEXT, "description": "The request's id, as in `x-request-id`."},
        "object": {"type": "string", "const": "race"},
        "created": {"type": "number", "description": "Seconds since 1970."},
        "key": {**TEXT_OR_NULL, "description": "The name of the request's API key."},
        "path": TEXT,
        "task": TEXT,
        "model": TEXT_OR_NULL,
        "stream": {"type": "boolean"},
        "strategy": {"type": "string", "enum": list(STRATEGIES)},
        "parallel": COUNT,
        "hedge_delay": {"type": ["number", "string"]},
        "hedge_budget": {"type": "number"},
        "hedge_refused": {"type": "boolean"},
        "outcome": {"type": "string", "enum": ["won", "failed", "client left"]},
        "code": {**TEXT_OR_NULL, "description": "The error's, if there was one."},
        "winner": TEXT_OR_NULL,
        "ttft_ms": {**MS, "description": "Null if nobody saw a first token."},
        "ms": MS,
        "racers": array(RACER),
        "skipped": {
            "description": "Who was asked for and did not start, and why.",
            **array(record({"id": TEXT, "reason": TEXT})),
        },
    }
)
REQUEST_ID = {**TEXT, "description": "The request's id, as in `x-request-id`."}
SINCE = {**MS, "description": "Milliseconds after the race's start."}
RACE_STARTED = record(
    {
        "id": REQUEST_ID,
        "model": TEXT_OR_NULL,
        "strategy": {"type": "string", "enum": list(STRATEGIES)},
        "racers": array(record({"id": TEXT, "model": TEXT})),
    }
)
RACER_STEP = record(
    {
        "id": REQUEST_ID,
        "racer": {**TEXT, "description": "The provider's id."},
        "ms": SINCE,
        "reason": {**TEXT, "description": "Of `racer.failed`: the error's code."},
        "winner": {**TEXT, "description": "Of `race.decided`: the same racer."},
    },
    optional=("reason", "winner"),
)
RESYNC = record(
    {"missed": {**COUNT, "description": "So many events were not sent to who is slow."}}
)
STEPS = (
    "The `event` says what happened: `race.started`; `racer.started`,"
    " `racer.connected`, `racer.headers`, `racer.token` (its first), `racer.failed`,"
    " `racer.cut_off` and `race.decided`; `race.ended`, with the race's story, which"
    " says all of it once more. A client that reads too slowly misses some, and is sent"
    " `resync`."
)
SCHEMAS: dict[str, Schema] = {
    "Race": RACE,
    "RaceStarted": RACE_STARTED,
    "RacerStep": RACER_STEP,
    "Resync": RESYNC,
    "RaceEvent": {
        "anyOf": [
            ref("RaceStarted"),
            ref("RacerStep"),
            ref("Race"),
            ref("Resync"),
        ]
    },
    "Races": record(
        {"object": {"type": "string", "const": "list"}, "data": array(ref("Race"))}
    ),
}
LIMIT: Schema = {
    "type": "integer",
    "minimum": 1,
    "maximum": REMEMBERED,
    "default": 100,
}
PATHS: JSONObject = {
    "/races": {
        "get": {
            "operationId": "listRaces",
            "tags": ["Races"],
            "summary": "The last races that this key may see, the newest first",
            "description": "What happened in them, and never what was said.",
            "security": KEYS,
            "parameters": [
                {
                    "name": "limit",
                    "in": "query",
                    "description": "How many.",
                    "schema": LIMIT,
                }
            ],
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
