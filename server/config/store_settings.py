"""What is kept, where, and how much of it: images, responses, usage, shared counts."""

from attrs import field, frozen
from attrs.validators import ge, gt, in_


@frozen(kw_only=True)
class MediaSettings:
    """Where generated images are kept, and how many of them, for how many seconds."""

    directory: str = ""
    max_bytes: int = field(default=1024 * 1024 * 1024, validator=ge(1))
    max_age: float = field(default=604_800.0, validator=gt(0))


@frozen(kw_only=True)
class ResponseSettings:
    """
    Where the responses of /v1/responses are kept ("": in memory), and how many of them,
    for how many seconds after their last use.
    """

    path: str = ""
    max_entries: int = field(default=10_000, validator=ge(1))
    max_bytes: int = field(default=64 * 1024 * 1024, validator=ge(1))
    max_age: float = field(default=2_592_000.0, validator=gt(0))


@frozen(kw_only=True)
class StateSettings:
    """
    The Redis or Valkey that several machines share (*url*), and who is let in while it
    is away: "local", each replica's share of the limits; "open", all; "closed", nobody.
    """

    url: str = field(default="", repr=False)
    on_failure: str = field(default="local", validator=in_(("local", "open", "closed")))


@frozen(kw_only=True)
class UsageSettings:
    """Where it is stored what was used, for how much ("": in memory)."""

    path: str = ""
