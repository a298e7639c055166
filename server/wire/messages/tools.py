"""The tools of a request of Anthropic's Messages API, as a chat has them."""

from collections.abc import Iterable

from attrs import field, frozen
from attrs.validators import in_, min_len

from providers import HostedTools, hosted_tools
from server.errors import InvalidRequest
from server.json_types import JSON, JSONMapping, JSONObject
from server.wire.reading import fields_with_values, make

# Tools that the client runs, and whose schemas only Claude knows.
CLIENT_RUN = ("bash_", "text_editor_", "memory_", "computer_")
# The type of the tools of MCP servers to which Anthropic's own servers connect, and the
# field that declares those.
MCP, SERVERS = "mcp_toolset", "mcp_servers"
CHOICES = {"auto": "auto", "any": "required", "none": "none"}


@frozen(kw_only=True)
class CustomTool:
    """A tool of the client's own; *input_schema* is a JSON schema."""

    name: str = field(validator=min_len(1))
    input_schema: JSONMapping
    description: str | None = None
    strict: bool | None = None


@frozen(kw_only=True)
class ToolChoice:
    type: str = field(validator=in_((*CHOICES, "tool")))
    name: str | None = None
    disable_parallel_tool_use: bool | None = None


@frozen
class ChatTools:
    """
    The client's own tools as *functions*, and the *hosted* ones, with a type and maybe
    a name. *only* names the first that no other vendor's model could use, if any.
    """

    functions: list[JSONObject]
    hosted: list[JSONMapping]
    only: str = ""

    def left_out(self, choice: ToolChoice | None) -> HostedTools:
        """Return what a race must know of the hosted tools, under this *choice*."""
        count, kind = len(self.functions), choice.type if choice else None
        forced = [
            tool["type"]
            for tool in self.hosted
            if choice is not None and kind == "tool" and choice.name == _name(tool)
        ]
        return hosted_tools(
            [tool["type"] for tool in self.hosted],
            count,
            left=count,
            choice=kind,
            forced=forced[0] if forced else "",
        )


def chat_tools(tools: Iterable[JSONMapping], *, servers: bool) -> ChatTools:
    """
    Return the tools by who runs them; *servers*: the request declares MCP servers.

    Raises InvalidRequest.
    """
    functions: list[JSONObject] = []
    hosted: list[JSONMapping] = []
    only = ""
    for i, tool in enumerate(tools):
        kind = tool.get("type")
        if kind in (None, "custom"):
            functions.append(_function(make(tool, CustomTool, f"tools[{i}]")))
        elif not isinstance(kind, str):
            raise InvalidRequest(
                f"'tools[{i}].type' must be a string.", param=f"tools[{i}].type"
            )
        elif kind.startswith(CLIENT_RUN):
            only = only or f"tools of the type {kind!r}"
        else:
            hosted.append(tool)
    if servers and all(tool["type"] != MCP for tool in hosted):
        hosted.append({"type": SERVERS})  # its tools are declared by this alone
    return ChatTools(functions, hosted, only)


def _name(tool: JSONMapping) -> JSON:
    return tool.get("name") or tool["type"]


def chat_choice(choice: ToolChoice | None) -> JSONObject:
    """Return the fields of a chat that say which tools may be called, and how many."""
    if choice is None:
        return {}
    tool_choice: JSON = CHOICES.get(choice.type)
    if choice.type == "tool":
        tool_choice = {"type": "function", "function": {"name": choice.name}}
    if choice.disable_parallel_tool_use:
        return {"tool_choice": tool_choice, "parallel_tool_calls": False}
    return {"tool_choice": tool_choice}


def _function(tool: CustomTool) -> JSONObject:
    optional = fields_with_values(tool, "description", "strict")
    parameters = {"name": tool.name, "parameters": tool.input_schema}
    return {"type": "function", "function": parameters | optional}
