"""Commands: tools without a schema that clients run on their machines, and their calls.

A model is shown a function for each, which has the command's type as its name.
"""

from collections.abc import Mapping
from typing import Literal, TypedDict, get_args

import orjson

from server.json_types import JSON, JSONMapping, JSONObject

CommandKind = Literal["local_shell", "shell", "apply_patch"]
COMMANDS: tuple[CommandKind, ...] = get_args(CommandKind)
TEXT: JSONObject = {"type": "string"}
NUMBER: JSONObject = {"type": "integer"}
TEXTS: JSONObject = {"type": "array", "items": TEXT}
# The operations of a patch, and whether they say what changes.
OPERATIONS = {"create_file": True, "update_file": True, "delete_file": False}


class ShellAction(TypedDict):
    commands: list[str]
    timeout_ms: int | None
    max_output_length: int | None


def _schema(properties: JSONObject, *required: str) -> JSONObject:
    return {"type": "object", "properties": properties, "required": [*required]}


FUNCTIONS: Mapping[CommandKind, JSONObject] = {
    "local_shell": {
        "name": "local_shell",
        "description": "Runs a command on the user's machine.",
        "parameters": _schema(
            {
                "command": TEXTS,
                "working_directory": TEXT,
                "timeout_ms": NUMBER,
                "env": {"type": "object", "additionalProperties": TEXT},
            },
            "command",
        ),
    },
    "shell": {
        "name": "shell",
        "description": "Runs shell commands on the user's machine.",
        "parameters": _schema(
            {"commands": TEXTS, "timeout_ms": NUMBER, "max_output_length": NUMBER},
            "commands",
        ),
    },
    "apply_patch": {
        "name": "apply_patch",
        "description": "Creates, updates or deletes a file. `diff` is in the V4A"
        " format, and left out where a file is deleted.",
        "parameters": _schema(
            {
                "operation": _schema(
                    {
                        "type": {"type": "string", "enum": [*OPERATIONS]},
                        "path": TEXT,
                        "diff": TEXT,
                    },
                    "type",
                    "path",
                )
            },
            "operation",
        ),
    },
}


def is_hosted_shell(environment: JSON) -> bool:
    """Say whether a shell runs in a container of OpenAI's."""
    kind = environment.get("type") if isinstance(environment, dict) else None
    return isinstance(kind, str) and kind.startswith("container")


def command_in(kind: CommandKind, arguments: str) -> JSONObject | None:
    """Return the fields of a call's item; None if the arguments are no command."""
    try:
        parsed = orjson.loads(arguments)
    except orjson.JSONDecodeError:
        return None
    if not isinstance(parsed, dict):
        return None
    match kind:
        case "local_shell":
            return _local_shell(parsed)
        case "shell":
            return _shell(parsed)
        case "apply_patch":
            return _patch(parsed.get("operation", parsed))


def _local_shell(arguments: JSONMapping) -> JSONObject | None:
    if not _are_texts(arguments.get("command")):
        return None
    env = arguments.get("env") or {}
    if not isinstance(env, dict) or not _are_texts([*env.values()]):
        return None
    action: JSONObject = {"type": "exec", "command": arguments["command"], "env": env}
    if isinstance(arguments.get("working_directory"), str):
        action["working_directory"] = arguments["working_directory"]
    return {"action": action | _numbers(arguments, "timeout_ms")}


def _shell(arguments: JSONMapping) -> JSONObject | None:
    if not _are_texts(arguments.get("commands")):
        return None
    nothing: JSONObject = {"timeout_ms": None, "max_output_length": None}
    numbers = _numbers(arguments, *nothing)
    action = {"commands": arguments["commands"], **nothing, **numbers}
    return {"action": action}


def _patch(arguments: JSON) -> JSONObject | None:
    if not isinstance(arguments, dict) or arguments.get("type") not in OPERATIONS:
        return None
    names = ("path", "diff") if OPERATIONS[arguments["type"]] else ("path",)
    if not _are_texts([arguments.get(name) for name in names]):
        return None
    operation = {"type": arguments["type"]} | {name: arguments[name] for name in names}
    return {"operation": operation}


def _numbers(arguments: JSONMapping, *names: str) -> JSONObject:
    return {name: arguments[name] for name in names if type(arguments.get(name)) is int}


def _are_texts(value: JSON) -> bool:
    return isinstance(value, list) and all(isinstance(each, str) for each in value)
