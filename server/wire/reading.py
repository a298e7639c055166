"""Reads request bodies: their JSON, whom they name, and errors that name a field."""

import re
from codecs import BOM_UTF8
from typing import TypeVar

import orjson

from server.config.structuring import Structure
from server.errors import InvalidJSON, InvalidRequest
from server.json_types import JSON, JSONObject
from server.racing.lineup import RaceOptions, Selection

T = TypeVar("T")

# Levels of arrays and objects in a body. What we write may have 254; a translation puts
# a request's fields a little deeper than they came.
DEEPEST = 240
# Objects in one body: a long conversation has some ten thousand.
MOST_OBJECTS = 150_000
# An escape in JSON: a pair of surrogates, half of one, or any other, such as `\\\\`.
SURROGATES = re.compile(
    rb"\\(?:u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}"
    rb"|(?P<half>u[dD][89a-fA-F][0-9a-fA-F]{2})|.)",
    re.DOTALL,
)
REPLACEMENT = rb"\ufffd"

_LENIENT = Structure(forbid_extra_keys=False)
_STRICT = Structure(forbid_extra_keys=True)


def read_object(body: bytes) -> JSONObject:
    """Return the JSON object in *body*; raises InvalidRequest."""
    objects = body.count(b"{")
    if objects > MOST_OBJECTS:
        _check_size(body)
    try:
        payload = _read(body)
    except orjson.JSONDecodeError as exc:
        what = "is empty" if not body.strip() else f"is not valid JSON: {exc}"
        raise InvalidJSON(f"The request body {what}. Send a JSON object.") from exc
    if not isinstance(payload, dict):
        raise InvalidJSON("The request body must be a JSON object.")
    if body.count(b"[") + objects > DEEPEST:
        _check_depth(payload)
    return payload


def _check_size(body: bytes) -> None:
    """Raise InvalidRequest for what would take long to read, and much memory."""
    # Those within texts don't count: there, a quote is escaped.
    if body.count(b'{"') + body.count(b'{ "') > MOST_OBJECTS:
        raise InvalidRequest(
            f"The request body has more than {MOST_OBJECTS} objects: no provider could"
            " make use of them."
        )


def _check_depth(payload: JSON) -> None:
    """Raise InvalidRequest for what can be read, and is too deep to be sent on."""
    for _ in range(254 - DEEPEST):
        payload = [payload]
    try:
        orjson.dumps(payload)
    except orjson.JSONEncodeError as exc:
        raise InvalidRequest(
            f"The request body has more than {DEEPEST} arrays and objects within each"
            " other: no provider could be sent it."
        ) from exc


def _read(body: bytes) -> JSON:
    """
    Parse *body*. If it is not valid, try again without two mistakes that clients make:
    a byte order mark, and halves of characters that JavaScript has cut in two.
    """
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError:
        mended = SURROGATES.sub(_mend, body.removeprefix(BOM_UTF8))
        if mended == body:
            raise
        return orjson.loads(mended)


def _mend(escape: re.Match[bytes]) -> bytes:
    return REPLACEMENT if escape["half"] else escape[0]


def take_selection(
    payload: JSONObject, path_providers: tuple[str, ...] | None
) -> Selection:
    """
    Take `provider` and `race` out of *payload*: they are for us, not for an upstream.

    *path_providers* are those that the URL names: they replace the body's.
    """
    if "providers" in payload:
        raise InvalidRequest(
            "There is no field 'providers': name them in 'provider', as an array of ids"
            " or a string with spaces between them.",
            param="providers",
        )
    named = _providers(payload.pop("provider", None))
    race = payload.pop("race", None)
    providers = named if path_providers is None else path_providers
    if race is None:
        return Selection(providers=providers)
    options = _make(_STRICT, race, RaceOptions, "race")
    return Selection(providers=providers, race=options)


def make(payload: JSON, cls: type[T], root: str = "") -> T:
    """
    Return *payload* as a *cls*; raises InvalidRequest with the field to blame, whose
    path begins with *root*.
    """
    return _make(_LENIENT, payload, cls, root)


def make_exactly(payload: JSON, cls: type[T]) -> T:
    """As `make`, and refuse what *cls* does not have."""
    return _make(_STRICT, payload, cls, "")


def fields_with_values(record: object, *names: str) -> JSONObject:
    """Return those fields of a record that have a value, by their names."""
    values = {name: getattr(record, name) for name in names}
    return {name: value for name, value in values.items() if value is not None}


def _providers(value: JSON) -> tuple[str, ...] | None:
    if isinstance(value, str):
        value = value.split()
    if value is None or value == []:
        return None
    if not isinstance(value, list) or not all(isinstance(n, str) for n in value):
        raise InvalidRequest(
            "'provider' must be a string of provider ids separated by spaces, or an"
            " array of ids.",
            param="provider",
        )
    return tuple(value)


def _make(structure: Structure, payload: JSON, cls: type[T], root: str) -> T:
    try:
        return structure.make(payload, cls)
    except Exception as exc:
        path, message = structure.errors(payload, cls)[0]
        param = ".".join(filter(None, (root, path)))
        raise InvalidRequest(f"'{param}' {message}.", param=param) from exc
