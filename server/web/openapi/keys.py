"""Keys that are managed at run time, in the document."""

from server.json_types import JSONObject
from server.wire.keys import KeyFields

from .answers import schema_of_answer
from .records import Schema, ref
from .shared import KEYS, OF_API, answer, body, errors, in_json, path_parameter

STORED = (*OF_API, 404, 503)
FIELDS = schema_of_answer(KeyFields)
SCHEMAS: dict[str, Schema] = {"NewKeyRequest": {**FIELDS, "required": ["name"]}}
PATHS: JSONObject = {
    "/keys": {
        "get": {
            "operationId": "listKeys",
            "tags": ["Keys"],
            "summary": "The keys, the oldest first",
            "security": KEYS,
            "responses": {
                "200": answer("Them.", in_json(ref("Keys"))),
                **errors(STORED),
            },
        },
        "post": {
            "operationId": "createKey",
            "tags": ["Keys"],
            "summary": "Make a key",
            "security": KEYS,
            "requestBody": body(
                ref("NewKeyRequest"), {"name": "team", "requests_per_minute": 60}
            ),
            "responses": {
                "200": answer("The key, this once.", in_json(ref("NewKey"))),
                **errors((400, 408, 409, 413, 415, *STORED)),
            },
        },
    },
    "/keys/{id}": {
        "parameters": [path_parameter("id", "The key's id, or its name.", "85276bd6")],
        "delete": {
            "operationId": "deleteKey",
            "tags": ["Keys"],
            "summary": "Let nobody in with it any more",
            "security": KEYS,
            "responses": {
                "200": answer("It is gone.", in_json(ref("DeletedKey"))),
                **errors(STORED),
            },
        },
    },
}
