"""The items and the tools of the Responses API, as requests have them."""

from collections.abc import Iterable

from server.wire.responses.calls import CALLS, OUTPUTS
from server.wire.responses.commands import COMMANDS
from server.wire.responses.input import (
    InputCommandCall,
    InputCustomCall,
    InputFunctionCall,
    InputFunctionCallOutput,
    InputMessage,
    InputReasoning,
    InputToolOutput,
)
from server.wire.responses.tools import FreeFormTool, FunctionTool, Namespace

from .records import Schema, nullable, schema_of
from .shared import TEXT, array, record


def typed(kind: str, schema: Schema, *, bare: bool = False) -> Schema:
    """Return *schema* with a `type`, which *bare* objects may leave out."""
    name: Schema = {"type": "string", "enum": [kind]}
    properties = {**schema["properties"], "type": nullable(name) if bare else name}
    required = {*schema.get("required", ()), *(() if bare else ("type",))}
    return {**schema, "properties": properties, "required": sorted(required)}


def of_other_types(known: Iterable[str]) -> Schema:
    """Return the schema of objects whose type is none of *known*."""
    name: Schema = {"type": "string", "minLength": 1, "not": {"enum": [*known]}}
    properties: Schema = {"type": name}
    return {"type": "object", "properties": properties, "required": ["type"]}


def command_call(kind: str, what: str) -> Schema:
    """Return the schema of a call, which has an id of its own or its item's."""
    schema = typed(kind, schema_of(InputCommandCall))
    schema["properties"][what] = {"type": "object"}
    schema["required"] = [what, "type"]
    return {**schema, "anyOf": NAMED_CALL}


# What an output or a command's call is known by.
NAMED_CALL: list[Schema] = [
    {"required": [name], "properties": {name: {"type": "string", "minLength": 1}}}
    for name in ("call_id", "id")
]
INPUT_ITEM: Schema = {
    "anyOf": [
        typed("message", schema_of(InputMessage), bare=True),
        typed("function_call", schema_of(InputFunctionCall)),
        typed("function_call_output", schema_of(InputFunctionCallOutput)),
        typed("custom_tool_call", schema_of(InputCustomCall)),
        command_call("local_shell_call", "action"),
        command_call("shell_call", "action"),
        command_call("apply_patch_call", "operation"),
        *(
            {**typed(kind, schema_of(InputToolOutput)), "anyOf": NAMED_CALL}
            for kind in OUTPUTS
            if kind != "function_call_output"
        ),
        typed("reasoning", schema_of(InputReasoning)),
        {
            **typed("item_reference", record({"id": TEXT}), bare=True),
            "not": {"required": ["role"]},
        },
        {
            "description": "What other upstreams' own tools did: it is left out.",
            **of_other_types(
                ["message", "reasoning", "item_reference", *CALLS, *OUTPUTS]
            ),
        },
    ]
}
PLAIN_TOOLS: list[Schema] = [
    typed("function", schema_of(FunctionTool)),
    typed("custom", schema_of(FreeFormTool)),
]
PLAIN = ("function", "custom")
NAMESPACE = typed("namespace", schema_of(Namespace))
NAMESPACE["properties"]["tools"] = array(
    {"anyOf": [*PLAIN_TOOLS, of_other_types(PLAIN)]}
)
TOOL: Schema = {
    "anyOf": [
        *PLAIN_TOOLS,
        NAMESPACE,
        *(
            {
                "type": "object",
                "properties": {"type": {"type": "string", "enum": [kind]}},
                "required": ["type"],
            }
            for kind in COMMANDS
        ),
        of_other_types([*PLAIN, "namespace", *COMMANDS]),
    ]
}
