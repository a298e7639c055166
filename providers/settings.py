"""What a provider is configured with, and the vendors that need no configuration."""

import tomllib
from collections.abc import Mapping
from importlib import resources
from ipaddress import ip_address

from attrs import asdict, evolve, field, frozen
from attrs.validators import ge, gt, in_, le, optional
from yarl import URL

from .chat import ROLES
from .json_types import JSONMapping, JSONObject

CAPABILITIES = (
    "chat",
    "tools",
    "vision",
    "json",
    "embeddings",
    "images",
    "speech",
    "transcription",
)
UNKNOWN_MODEL = ("default", "pass", "reject")
# What ids of tool calls a vendor takes: at most 40 characters; letters, digits, `_` and
# `-`, none twice in a request; nine letters and digits.
CALL_IDS = ("any", "short", "word", "nine")
# Whether it speaks the Responses API, and who is asked by it: nobody; clients of that
# API; everybody.
RESPONSES = ("off", "native", "always")


def seconds(default: float) -> float:
    """Declare a time-out: seconds, more than none."""
    return field(default=default, validator=gt(0.0))


def own_seconds() -> float | None:
    """Declare a provider's own value for a time-out of the race."""
    return field(default=None, validator=optional(gt(0.0)))


@frozen(kw_only=True)
class Limits:
    """How long a call may take, in seconds."""

    connect_timeout: float = seconds(5.0)
    first_token_timeout: float = seconds(30.0)
    idle_timeout: float = seconds(60.0)
    total_timeout: float = seconds(600.0)

    def tightened(self, **limits: float | None) -> "Limits":
        """Return these limits, each lowered to the one given, never raised."""
        lower = {
            name: min(value, getattr(self, name))
            for name, value in limits.items()
            if value is not None
        }
        return evolve(self, **lower) if lower else self


# Of a field that holds a record whose keys stand among those of the table itself.
FLAT = {"flat": True}


@frozen(kw_only=True)
class OwnLimits:
    """One provider's own values for the time-outs of a race, in seconds, or None."""

    connect_timeout: float | None = own_seconds()
    first_token_timeout: float | None = own_seconds()
    idle_timeout: float | None = own_seconds()
    total_timeout: float | None = own_seconds()

    def over(self, shared: Limits) -> Limits:
        """Return *shared*, with these values in their places."""
        own = asdict(self).items()
        given = {name: value for name, value in own if value is not None}
        return evolve(shared, **given) if given else shared


@frozen(kw_only=True)
class MessageRules:
    """
    What a vendor of OpenAI's API wants of messages beyond what that API says.

    *roles* are those that it knows; () for all. *call_ids* is one of CALL_IDS.
    *strict_turns*: it wants an assistant's message after a tool's, and each assistant's
    to say or to call something. *text_content*: a content is one string, and no parts.
    *custom_calls* is false for one that knows calls of functions only.
    *carries_thoughts*: in a turn that calls tools, it wants reasoning with each of the
    assistant's messages.
    """

    roles: tuple[str, ...] = field(default=())
    call_ids: str = field(default="any", validator=in_(CALL_IDS))
    strict_turns: bool = False
    text_content: bool = False
    custom_calls: bool = True
    carries_thoughts: bool = False

    @roles.validator
    def _known(self, _: object, value: tuple[str, ...]) -> None:
        for role in value:
            if role not in ROLES:
                raise ValueError(
                    f"'roles' must be of {', '.join(ROLES)}; there is no {role!r}"
                )


EVERYTHING = MessageRules()


@frozen(kw_only=True)
class OpenAIRules:
    """
    Which of OpenAI's APIs a vendor speaks, and what it wants otherwise than they say.

    *unsupported_fields* are request fields that it is known to refuse; `messages.NAME`
    is one of every message, `messages.tool_calls.NAME` one of every call,
    `messages.content.NAME` one of every part, `tools.NAME` one of every tool.
    *dropped_fields* are left out without asking whether they would be missed,
    *default_fields* are sent where the client says nothing. *rename_fields* maps
    request fields to the names that this vendor has for them. *responses* is one of
    RESPONSES. *stream_usage* is false for a vendor that refuses `stream_options`;
    *completions* is true for one that completes text at /completions, which others are
    asked for in a chat.
    """

    rename_fields: Mapping[str, str] = field(factory=dict)
    unsupported_fields: tuple[str, ...] = ()
    dropped_fields: tuple[str, ...] = ()
    default_fields: JSONMapping = field(factory=dict)
    messages: MessageRules = EVERYTHING
    responses: str = field(default="off", validator=in_(RESPONSES))
    stream_usage: bool = True
    completions: bool = False


@frozen(kw_only=True)
class EngineSettings:
    """
    What only the embedded engine is configured with.

    *context* is how many tokens each conversation may have, answer included;
    *max_tokens*, *temperature* and *top_p* are for requests that do not say;
    *parallel* is how many it answers at a time, *threads* 0 what suits the machine.
    """

    model_file: str = ""
    context: int = field(default=4096, validator=ge(256))
    max_tokens: int = field(default=512, validator=ge(1))
    temperature: float = field(default=0.2, validator=ge(0))
    top_p: float = field(default=0.9, validator=[gt(0), le(1)])
    parallel: int = field(default=2, validator=ge(1))
    threads: int = field(default=0, validator=ge(0))


@frozen(kw_only=True)
class ProviderSettings:
    """
    One provider, as `vendors.toml` and `[providers.ID]` together describe it.

    *models* maps what clients say to what the upstream is sent; *image_models* does so
    for a provider that both chats and makes images. *prices* are dollars per million
    tokens of a model, in and out. *key_optional*: it can be used without its key.
    *probe*: it is listed only while it answers. *propagate*: it is told of traces, even
    if it is neither on this machine nor in a private network. *rules* are for vendors
    of OpenAI's API, *engine* is for the embedded engine.
    """

    id: str
    kind: str
    label: str = ""
    url: str = ""
    base_url: str = ""
    api_key: str | None = field(default=None, repr=False)
    enabled: bool = True
    default_model: str = ""
    unknown_model: str | None = field(
        default=None, validator=optional(in_(UNKNOWN_MODEL))
    )
    headers: Mapping[str, str] = field(factory=dict, repr=False)
    capabilities: tuple[str, ...] | None = field(default=None)
    models: Mapping[str, str] = field(factory=dict)
    image_models: Mapping[str, str] = field(factory=dict)
    prices: Mapping[str, tuple[float, float]] = field(factory=dict)
    own_limits: OwnLimits = field(factory=OwnLimits, metadata=FLAT)
    key_optional: bool = False
    probe: bool = False
    propagate: bool = False
    rules: OpenAIRules = field(factory=OpenAIRules, metadata=FLAT)
    engine: EngineSettings = field(factory=EngineSettings, metadata=FLAT)

    @property
    def place(self) -> tuple[str, int] | None:
        """The host and the port that its base URL names, if it has one."""
        url = URL(self.base_url)
        return None if url.host is None else (url.host, url.port or 0)

    @property
    def carries_traces(self) -> bool:
        """Whether it may see the ids of traces: they are nobody else's business."""
        host = URL(self.base_url).host or ""
        if self.propagate or host == "localhost":
            return True
        try:
            return ip_address(host).is_private
        except ValueError:
            return False

    @prices.validator
    def _priced(self, _: object, value: Mapping[str, tuple[float, float]]) -> None:
        if any(price < 0 for pair in value.values() for price in pair):
            raise ValueError("'prices' must not be below zero")

    @capabilities.validator
    def _known(self, _: object, value: tuple[str, ...] | None) -> None:
        for capability in value or ():
            if capability not in CAPABILITIES:
                known = ", ".join(CAPABILITIES)
                raise ValueError(
                    f"'capabilities' must be of {known}; there is no {capability!r}"
                )

    def limits(self, shared: Limits) -> Limits:
        """Return *shared*, with this provider's own values in their places."""
        return self.own_limits.over(shared)

    def lacks(self, needs: frozenset[str]) -> frozenset[str]:
        """Return those of *needs* that it is known not to serve; silence means none."""
        if self.capabilities is None:
            return frozenset()
        return needs.difference(self.capabilities)


# The tables that installed packages add.
PACKAGED: dict[str, JSONObject] = {}


def vendors() -> dict[str, JSONObject]:
    """Return the built-in providers' tables by id, in the shape of `[providers.ID]`."""
    text = resources.files(__package__).joinpath("vendors.toml").read_text("utf-8")
    return tomllib.loads(text) | PACKAGED
