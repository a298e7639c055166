"""Holds answers against the OpenAPI document: servers say nothing else."""

import json
import re
from collections.abc import Iterator, Mapping
from fnmatch import fnmatchcase
from functools import cache
from typing import Any

from jsonschema_rs import Draft202012Validator

from server.web.openapi import document
from server.web.openapi.shared import EVENTS

# What names a part of a path, and the one that may have slashes in it.
PARAMETER = re.compile(r"\\{\w+\\}")
LONG = re.compile(r"(?<=/models/)\\{id\\}$")
MESSAGES = re.compile(r"/(?:v1|api/[^/]+(?:/v1)?)/messages(?:/.*)?")


def check(
    method: str, path: str, status: int, headers: Mapping[str, str], body: bytes
) -> None:
    """
    Raise AssertionError unless the document has this answer to *method* and *path*.

    What is no operation has to be refused, in the shape of the API that was asked.
    """
    path = path.partition("?")[0]
    found = operation("GET" if method == "HEAD" else method, path)
    where = f"{method} {path} {status}"
    if found is None:
        assert status in {400, 401, 403, 404, 405, 413}, where
        shape = "MessagesError" if MESSAGES.fullmatch(path) else "Error"
        _check_value(_ref(shape), json.loads(body), where)
        return
    assert str(status) in found["responses"], f"{where}: undocumented\n{body!r}"
    response = _resolved(found["responses"][str(status)])
    _check_headers(response["headers"], headers, where)
    if method != "HEAD":
        _check_body(response.get("content", {}), headers, body, where)


def operation(method: str, path: str) -> Any:
    """Return what the document has for *method* at *path*, or None."""
    items = (item for pattern, item in _paths() if pattern.fullmatch(path))
    return next((item.get(method.lower()) for item in items), None)


def _check_headers(
    known: Mapping[str, Any], headers: Mapping[str, str], where: str
) -> None:
    for name, declared in known.items():
        header = _resolved(declared)
        value: Any = headers.get(name)
        assert value is not None or not header.get("required"), f"{where}: {name}"
        if value is not None:
            if header["schema"]["type"] == "integer":
                value = int(value)
            _check_value(header["schema"], value, f"{where}: {name}")


def _check_body(
    content: Mapping[str, Any], headers: Mapping[str, str], body: bytes, where: str
) -> None:
    if not content:
        assert not body, where
        return
    media_type = headers["Content-Type"].partition(";")[0].strip()
    found = [m for name, m in content.items() if fnmatchcase(media_type, name)]
    assert found, f"{where}: {media_type} is undocumented"
    if media_type == "application/json":
        _check_value(found[0]["schema"], json.loads(body), where)
    elif media_type == EVENTS and found[0]["schema"]["type"] == "object":
        for event in _events(body):
            _check_event(found[0]["schema"], event, where)


def _check_event(
    schema: Mapping[str, Any], event: Mapping[str, str], where: str
) -> None:
    """Check an event, whose data may be JSON or, as `[DONE]`, something else."""
    data = schema["properties"]["data"]
    alternatives = data.get("anyOf", [data])
    if event["data"] not in [each.get("const") for each in alternatives]:
        payload = json.loads(event["data"])
        _check_value(alternatives[-1]["contentSchema"], payload, where)
        assert event.get("event") in {None, payload.get("type")}, where


def _check_value(schema: Mapping[str, Any], value: Any, where: str) -> None:
    problems = [
        f"{'/'.join(map(str, error.instance_path))}: {error.message}"
        for error in _validator(json.dumps(schema)).iter_errors(value)
    ]
    assert not problems, f"{where}: {problems}\n{value}"


@cache
def _document() -> Any:
    return document()


@cache
def _validator(schema: str) -> Draft202012Validator:
    components = {"components": _document()["components"]}
    return Draft202012Validator({**json.loads(schema), **components})


@cache
def _paths() -> list[tuple[re.Pattern[str], Any]]:
    """Return the paths as patterns: those without parameters first."""
    found = sorted(_document()["paths"].items(), key=lambda pair: pair[0].count("{"))
    longest = ((LONG.sub(".+", re.escape(path)), item) for path, item in found)
    return [(re.compile(PARAMETER.sub("[^/]+", p)), item) for p, item in longest]


def _resolved(declared: Mapping[str, Any]) -> Any:
    reference = declared.get("$ref")
    if reference is None:
        return declared
    found = _document()
    for step in reference.removeprefix("#/").split("/"):
        found = found[step]
    return found


def _ref(name: str) -> dict[str, str]:
    return {"$ref": f"#/components/schemas/{name}"}


def _events(body: bytes) -> Iterator[dict[str, str]]:
    """Yield the events of a stream that have data, each as its fields."""
    for event in body.decode().split("\n\n"):
        fields: dict[str, str] = {}
        for line in event.split("\n"):
            name, _, value = line.partition(":")
            if name:
                before = [fields[name]] if name in fields else []
                fields[name] = "\n".join([*before, value.removeprefix(" ")])
        if "data" in fields:
            yield fields
