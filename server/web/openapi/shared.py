"""What the operations of the document share: errors, headers, bodies, parameters."""

from collections.abc import Mapping

from server.json_types import JSON, JSONMapping, JSONObject

from .records import Schema, ref

JSON_TYPE = "application/json"
EVENTS = "text/event-stream"

ANYONE: list[JSONObject] = []
# The empty one: a server without keys lets anyone in.
KEYS: list[JSONObject] = [
    {"bearer": []},
    {"x-api-key": []},
    {"api-key": []},
    {},
]
SECURITY_SCHEMES = {
    "bearer": {
        "type": "http",
        "scheme": "bearer",
        "description": "A key that the configuration names. Wanted if it names any.",
    },
    "x-api-key": {
        "type": "apiKey",
        "in": "header",
        "name": "x-api-key",
        "description": "The same key, as Anthropic's clients send it.",
    },
    "api-key": {
        "type": "apiKey",
        "in": "header",
        "name": "api-key",
        "description": "The same key, as Azure's clients send it.",
    },
}

# Why a request is answered with an error, by the status.
ERRORS = {
    400: "The request is wrong: `param` is the field to blame. Or none of its racers"
    " can serve it, or all have refused it, and `message` is what they said.",
    401: "No API key is given, or an unknown one.",
    403: "The key may not use this provider; or a web page of another origin, or a"
    " foreign host name, was refused.",
    404: "There is no such thing here: a provider, a model, or what the path names.",
    408: "The body did not come on.",
    409: "There is one of that name already.",
    413: "The body is larger than `max_body_bytes`, or than an upstream takes.",
    415: "The body has a content encoding that is not known here.",
    422: "All racers have refused the request with this status.",
    429: "All racers have asked to be left alone for a while; or a limit of the key is"
    " reached.",
    500: "The server failed. Its log has more, under the request's id.",
    502: "No racer has answered: `providers` has what became of each.",
    503: "The server is stopping, or takes in too many large bodies.",
    504: "No racer has begun to answer in time, or the request's own deadline passed.",
    529: "All racers have too much to do, or the server is stopping.",
}
# The statuses of errors with which each family of routes may answer.
OF_ALL = (403, 500)
OF_API = (401, *OF_ALL)
OF_RACE = (400, *OF_API, 404, 408, 413, 415, 422, 429, 502, 503, 504)
OF_MESSAGES = (400, *OF_API, 404, 408, 413, 415, 429, 504, 529)

TEXT: Schema = {"type": "string"}
HEADERS: JSONObject = {
    "X-Request-ID": {
        "description": "The request's id: the client's own `x-request-id`, or a new"
        " one. `/v1/races` knows the request's race by it.",
        "required": True,
        "schema": {"type": "string", "pattern": "^[A-Za-z0-9._:-]{1,128}$"},
    },
    "Request-ID": {"description": "The same id, by Anthropic's name.", "schema": TEXT},
    "X-Provider": {
        "description": "The id of the provider that has won. A stream that was begun"
        " before there was a winner does not have it.",
        "schema": TEXT,
        "example": "HuggingChat",
    },
    "Server-Timing": {
        "description": "What became of each racer, and after how many milliseconds.",
        "schema": TEXT,
        "example": 'HuggingChat;dur=412.3;desc="won"',
    },
    "X-Dropped": {
        "description": "What of the request the winner was not sent, since it has no"
        " such thing: the types of tools. A stream that was begun before there was a"
        " winner does not have it; the race's story does.",
        "schema": TEXT,
        "example": "tools.web_search, tools.image_generation",
    },
    "X-Stored": {
        "description": "`false` where the answer could not be kept here.",
        "schema": {"type": "string", "enum": ["false"]},
    },
    "X-Should-Retry": {
        "description": "`false` where another try can't help.",
        "schema": {"type": "string", "enum": ["false"]},
    },
    "Retry-After": {
        "description": "Seconds after which the first of the racers is to be asked.",
        "schema": {"type": "integer", "minimum": 1},
    },
    "WWW-Authenticate": {"description": "How to come in.", "schema": TEXT},
    "X-Token-Count": {
        "description": "`estimate` where no provider has counted.",
        "schema": {"type": "string", "enum": ["estimate"]},
    },
}
OF_RACES = ("X-Request-ID", "X-Provider", "Server-Timing", "X-Dropped")
OF_ERRORS: dict[int, tuple[str, ...]] = {
    401: ("WWW-Authenticate",),
    429: ("Retry-After", "X-Should-Retry", "Server-Timing"),
    **dict.fromkeys(
        (400, 404, 413, 415, 422, 502, 504), ("X-Should-Retry", "Server-Timing")
    ),
    **dict.fromkeys((500, 503, 529), ("Server-Timing",)),
}


def record(properties: Mapping[str, Schema], optional: tuple[str, ...] = ()) -> Schema:
    """Return the schema of an object that has all *properties*, but for *optional*."""
    required = [name for name in properties if name not in optional]
    return {"type": "object", "properties": dict(properties), "required": required}


def array(items: Schema) -> Schema:
    return {"type": "array", "items": items}


def headers(*names: str) -> JSONObject:
    return {name: {"$ref": f"#/components/headers/{name}"} for name in names}


def answer(
    description: str,
    content: JSONMapping | None = None,
    names: tuple[str, ...] = ("X-Request-ID",),
) -> JSONObject:
    """Return a response with *content*, by media type, and the headers *names*."""
    response = {"description": description, "headers": headers(*names)}
    return response if content is None else {**response, "content": dict(content)}


def in_json(schema: Schema) -> JSONObject:
    return {JSON_TYPE: {"schema": schema}}


def in_events(schema: Schema, last: str | None = None) -> JSONObject:
    """
    Return the content of a stream whose events' data is JSON of *schema*.

    *last* is the data of an event that is no JSON. The schema is that of one event:
    before OpenAPI 3.2, whole streams have none.
    """
    data: Schema = {**TEXT, "contentMediaType": JSON_TYPE, "contentSchema": schema}
    if last is not None:
        data = {"anyOf": [{"type": "string", "const": last}, data]}
    event = record({"event": TEXT, "data": data}, optional=("event",))
    return {EVENTS: {"schema": {**event, "description": "One event of the stream."}}}


def errors(statuses: tuple[int, ...], shape: str = "Error") -> JSONObject:
    """Return the responses with *statuses*, in the *shape* of their API's errors."""
    return {
        str(status): {"$ref": f"#/components/responses/{shape}{status}"}
        for status in sorted(statuses)
    }


def error_responses(statuses: tuple[int, ...], shape: str) -> JSONObject:
    """Return the components that `errors` refers to."""
    of_shape = ("X-Request-ID",) if shape == "Error" else ("X-Request-ID", "Request-ID")
    return {
        f"{shape}{status}": answer(
            ERRORS[status],
            in_json(ref(shape)),
            (*of_shape, *OF_ERRORS.get(status, ())),
        )
        for status in sorted(statuses)
    }


def body(schema: Schema, example: JSON, media_type: str = JSON_TYPE) -> JSONObject:
    """Return the request body of an operation."""
    return {
        "required": True,
        "content": {media_type: {"schema": schema, "example": example}},
    }


def path_parameter(name: str, description: str, example: str) -> JSONObject:
    return {
        "name": name,
        "in": "path",
        "required": True,
        "description": description,
        "schema": {"type": "string", "minLength": 1},
        "example": example,
    }


def query_parameter(name: str, description: str, schema: Schema) -> JSONObject:
    return {"name": name, "in": "query", "description": description, "schema": schema}
