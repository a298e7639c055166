"""What every request body shares: JSON, whom it names, and errors that name a field."""

import re
from codecs import BOM_UTF8
from typing import Any, TypeVar

import orjson

from server.config.structuring import Structure
from server.errors import InvalidJSON, InvalidRequest
from server.racing.lineup import RaceOptions, Selection

T = TypeVar("T")

# An escape: a pair of surrogates, half of one, or any other, a backslash's among them.
SURROGATES = re.compile(
    rb"\\(?:u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}"
    rb"|(?P<half>u[dD][89a-fA-F][0-9a-fA-F]{2})|.)",
    re.DOTALL,
)
REPLACEMENT = rb"\ufffd"

_LENIENT = Structure(forbid_extra_keys=False)
_STRICT = Structure(forbid_extra_keys=True)


def read_object(body: bytes) -> dict[str, Any]:
    """Return the JSON object in *body*; raises InvalidJSON."""
    try:
        payload = _read(body)
    except orjson.JSONDecodeError as exc:
        what = "is empty" if not body.strip() else f"is not valid JSON: {exc}"
        raise InvalidJSON(f"The request body {what}. Send a JSON object.") from exc
    if not isinstance(payload, dict):
        raise InvalidJSON("The request body must be a JSON object.")
    return payload


def _read(body: bytes) -> Any:
    """
    Parse *body*; what some clients make is mended, if it can't be read as it is: a byte
    order mark, and halves of characters that JavaScript has cut in two.
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
    payload: dict[str, Any], path_providers: tuple[str, ...] | None
) -> Selection:
    """
    Take `provider` and `race` out of *payload*: they are for us, not for an upstream.

    *path_providers*, from the URL, go before the body's.
    """
    named = _providers(payload.pop("provider", None))
    race = payload.pop("race", None)
    providers = named if path_providers is None else path_providers
    if race is None:
        return Selection(providers=providers)
    options = _make(_STRICT, race, RaceOptions, "race")
    return Selection(providers=providers, race=options)


def make(payload: Any, cls: type[T], root: str = "") -> T:
    """
    Return *payload* as a *cls*; raises InvalidRequest with the field to blame, whose
    path begins with *root*.
    """
    return _make(_LENIENT, payload, cls, root)


def _providers(named: Any) -> tuple[str, ...] | None:
    if isinstance(named, str):
        named = named.split()
    if named is None or named == []:
        return None
    if not isinstance(named, list) or not all(isinstance(n, str) for n in named):
        raise InvalidRequest(
            "'provider' must be a string of provider ids separated by spaces, or an"
            " array of ids.",
            param="provider",
        )
    return tuple(named)


def _make(structure: Structure, payload: Any, cls: type[T], root: str) -> T:
    try:
        return structure.make(payload, cls)
    except Exception as exc:
        path, message = structure.errors(payload, cls)[0]
        param = ".".join(filter(None, (root, path)))
        raise InvalidRequest(f"'{param}' {message}.", param=param) from exc
