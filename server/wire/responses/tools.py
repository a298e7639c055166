"""The tools of a request for a response, as the functions that a model is shown."""

from collections.abc import Mapping, Sequence
from hashlib import sha256
from re import ASCII
from re import compile as pattern
from typing import Literal

from attrs import define, evolve, field, frozen
from attrs.validators import min_len

from providers import function_of
from server.errors import InvalidRequest
from server.json_types import JSONMapping, JSONObject
from server.wire.reading import fields_with_values, make

from .commands import COMMANDS, FUNCTIONS, CommandKind, is_hosted_shell

ToolKind = Literal["function", "custom"] | CommandKind
# What all vendors take as a function's name.
LONGEST = 64
NOT_IN_NAMES = pattern(r"[^\w-]", ASCII)


@frozen(kw_only=True)
class FunctionTool:
    """A function as a client declares it; *parameters* is a JSON schema."""

    name: str = field(validator=min_len(1))
    description: str | None = None
    parameters: JSONMapping | None = None
    strict: bool | None = None


@frozen(kw_only=True)
class FreeFormTool:
    """A custom tool, called with any text; *format* says which texts there are."""

    name: str = field(validator=min_len(1))
    description: str | None = None
    format: JSONMapping | None = None


@frozen(kw_only=True)
class Namespace:
    """Functions and custom tools that belong together, such as an MCP server's."""

    name: str = field(validator=min_len(1))
    description: str | None = None
    tools: tuple[JSONMapping, ...]


@frozen
class ShownTool:
    """
    A tool that the client runs, and the *function* that the model is shown for it.

    *name* is as declared; a command's is its kind. *namespace* is "" if it has none.
    """

    kind: ToolKind
    name: str
    function: JSONObject
    namespace: str = ""

    @property
    def shown_name(self) -> str:
        name: str = self.function["name"]
        return name


@frozen
class Toolbox:
    """
    What a request declares: *shown* are the tools that the client runs, in their
    order, *hosted* the types of the others.
    """

    shown: tuple[ShownTool, ...] = ()
    hosted: tuple[str, ...] = ()
    _by_name: Mapping[str, ShownTool] = field(init=False, repr=False)
    _names: Mapping[tuple[str, str], str] = field(init=False, repr=False)

    @_by_name.default
    def _index(self) -> Mapping[str, ShownTool]:
        return {tool.shown_name: tool for tool in self.shown}

    @_names.default
    def _index_names(self) -> Mapping[tuple[str, str], str]:
        return {_key(tool): tool.shown_name for tool in self.shown}

    def called(self, shown_name: str) -> ShownTool | None:
        """Return the tool that a model means; None if there is no such tool."""
        return self._by_name.get(shown_name)

    def name_of(self, name: str, namespace: str = "") -> str:
        """Return the name that a model is shown for a tool, declared or not."""
        shown = self._names.get((namespace, name))
        return shown or (flat_name(namespace, name) if namespace else name)

    def command_name(self, kind: CommandKind) -> str:
        return self._names.get(("", f" {kind}"), kind)


NO_TOOLS = Toolbox()


def _key(tool: ShownTool) -> tuple[str, str]:
    """Return what tells a tool from others; no function's name has a blank in it."""
    return tool.namespace, f" {tool.kind}" if tool.kind in COMMANDS else tool.name


def toolbox_of(tools: Sequence[JSONMapping]) -> Toolbox:
    """Return the declared tools; raises InvalidRequest with the path of a wrong one."""
    reader = _Reader()
    for i, tool in enumerate(tools):
        reader.read(tool, f"tools[{i}]")
    return Toolbox(tuple(_with_unique_names(reader.shown)), tuple(reader.hosted))


def flat_name(namespace: str, name: str) -> str:
    """Return a name for a namespace's function, with a hash if vendors need one."""
    whole = f"{namespace}__{name}"
    fits = len(whole) <= LONGEST and not NOT_IN_NAMES.search(whole)
    return whole if fits else _hashed(whole, f"{namespace}\n{name}")


def _hashed(name: str, key: str) -> str:
    digest = sha256(key.encode()).hexdigest()[:8]
    return f"{NOT_IN_NAMES.sub('_', name)[: LONGEST - len(digest) - 1]}_{digest}"


def _with_unique_names(tools: Sequence[ShownTool]) -> list[ShownTool]:
    """Return *tools* with a unique name each; those without a namespace keep theirs."""
    names = {tool.shown_name for tool in tools if _is_plain(tool)}
    keys: set[tuple[str, str]] = set()
    unique: list[ShownTool] = []
    for tool in tools:
        if _is_plain(tool):
            unique.append(tool)
            continue
        if _key(tool) in keys:
            continue  # declared twice
        keys.add(_key(tool))
        name = tool.shown_name
        if name in names:
            name = _hashed(name, f"{tool.namespace}\n{tool.kind}\n{tool.name}")
        names.add(name)
        unique.append(evolve(tool, function={**tool.function, "name": name}))
    return unique


def _is_plain(tool: ShownTool) -> bool:
    return not tool.namespace and tool.kind not in COMMANDS


@define
class _Reader:
    """Sorts declarations into tools that the client runs, and types of others."""

    shown: list[ShownTool] = field(factory=list)
    hosted: list[str] = field(factory=list)

    def read(self, tool: JSONMapping, path: str) -> None:
        match self._kind(tool, path):
            case "namespace":
                self._namespace(make(tool, Namespace, path), path)
            case "local_shell" | "shell" | "apply_patch" as kind:
                if is_hosted_shell(tool.get("environment")):
                    self.hosted.append(kind)
                else:
                    self.shown.append(ShownTool(kind, kind, FUNCTIONS[kind]))
            case kind:
                self._plain(kind, tool, path)

    def _kind(self, tool: JSONMapping, path: str) -> str:
        kind = tool.get("type")
        if not isinstance(kind, str) or not kind:
            raise InvalidRequest(
                f"'{path}.type' must be a string.", param=f"{path}.type"
            )
        return kind

    def _plain(
        self, kind: str, tool: JSONMapping, path: str, space: Namespace | None = None
    ) -> None:
        match kind:
            case "function":
                declared = make(tool, FunctionTool, path)
                function = fields_with_values(
                    declared, "name", "description", "parameters", "strict"
                )
            case "custom":
                free = make(tool, FreeFormTool, path)
                fields = fields_with_values(free, "name", "description", "format")
                function = function_of(fields)
            case _:
                self.hosted.append(kind)
                return
        self._add(kind, function, space)

    def _add(
        self,
        kind: Literal["function", "custom"],
        function: JSONObject,
        space: Namespace | None,
    ) -> None:
        name = function["name"]
        if space is None:
            self.shown.append(ShownTool(kind, name, function))
            return
        texts = [space.description, function.get("description")]
        if description := "\n\n".join(filter(None, texts)):
            function["description"] = description
        function["name"] = flat_name(space.name, name)
        self.shown.append(ShownTool(kind, name, function, space.name))

    def _namespace(self, space: Namespace, path: str) -> None:
        for i, tool in enumerate(space.tools):
            at = f"{path}.tools[{i}]"
            self._plain(self._kind(tool, at), tool, at, space)
