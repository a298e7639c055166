"""A chat, or a text to complete, as the body that a vendor of OpenAI's API wants."""

from collections.abc import Mapping

from providers.chat import COMPLETIONS, ChatRequest, NativeRequest
from providers.dialects.translation import check_translated, without
from providers.json_types import JSON, JSONMapping, JSONObject
from providers.settings import ProviderSettings

from .calls import less
from .vendor_rules import below, fit, fitting

API = "OpenAI's chat completions API"
# What says nothing where there are no tools, and is refused by some there.
WITH_TOOLS = ("tools", "parallel_tool_calls")
OF_TOOLS = frozenset((*WITH_TOOLS, "tool_choice"))
IDLE_CHOICES = (None, "auto", "none")
# How `unsupported_fields` names a field of every tool, and of its function.
IN_TOOLS = "tools."


def asked_of(
    settings: ProviderSettings, request: ChatRequest, model: str, notes: list[str]
) -> tuple[str, JSONObject]:
    """
    Return the path and the body that ask *model* for an answer to *request*; how it is
    to come is not in it. *notes* get what was changed for this vendor.

    Raises ProviderRefusedRequest for what would be missed.
    """
    check_translated(request, API)
    rules = settings.rules
    path, asked = "chat/completions", request.body
    if request.native is not None and _completes(settings, request.native):
        path, asked = "completions", request.native.body
    body = without(asked, rules.unsupported_fields, "this provider")
    body.pop("stream_options", None)
    body["model"] = model
    if rules.dropped_fields:
        _drop(body, rules.dropped_fields, notes)
    if not OF_TOOLS.isdisjoint(body):
        _fit_tools(body, settings)
    if "messages" in body:
        body["messages"] = _messages(settings, request, model, notes)
    if asked is request.body:
        _rename(body, rules.rename_fields)
    for name, value in rules.default_fields.items():
        if body.get(name) is None:  # to say null is to say nothing
            body[name] = value
    return path, body


def _rename(body: JSONObject, names: Mapping[str, str]) -> None:
    for ours, theirs in names.items():
        if ours in body:
            body[theirs] = body.pop(ours)


def _messages(
    settings: ProviderSettings, request: ChatRequest, model: str, notes: list[str]
) -> JSON:
    """Return the messages: encoded once for all racers whose vendors take them so."""
    needed = fitting(settings, model)
    if needed is None:
        return request.messages_json()
    messages = request.body["messages"]
    made = fit(messages, needed, notes)
    return request.messages_json() if made is messages else made


def _drop(body: JSONObject, names: tuple[str, ...], notes: list[str]) -> None:
    dropped = [name for name in names if body.pop(name, None) is not None]
    notes += [f"{name} left out" for name in dropped]


def _fit_tools(body: JSONObject, settings: ProviderSettings) -> None:
    if not body.get("tools"):
        _forget_tools(body)
    elif refused := below(settings.rules.unsupported_fields, IN_TOOLS):
        body["tools"] = [_tool_less(tool, refused) for tool in body["tools"]]


def _forget_tools(body: JSONObject) -> None:
    """Say nothing of tools where there are none; a call that is forced is an error."""
    for name in WITH_TOOLS:
        body.pop(name, None)
    if "tool_choice" in body and body["tool_choice"] in IDLE_CHOICES:
        del body["tool_choice"]


def _tool_less(tool: JSONMapping, names: frozenset[str]) -> JSONMapping:
    function = tool.get("function")
    if isinstance(function, Mapping):
        tool = {**tool, "function": less(function, names)}
    return less(tool, names)


def _completes(settings: ProviderSettings, native: NativeRequest) -> bool:
    """Say whether it can go on from a text, up to another one if there is one."""
    if native.format != COMPLETIONS or not settings.rules.completions:
        return False
    refused = "suffix" in settings.rules.unsupported_fields
    return not (refused and native.body.get("suffix"))
