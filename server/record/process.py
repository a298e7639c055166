"""What a serving process is among those of its server."""

from attrs import field, frozen

from .channel import Channel, OnlyProcess
from .counters import Counters


@frozen
class Process:
    """
    One of a server's processes: its *channel* to the others, its *counters*, and, if
    there are others, its number and the file of responses that all keep.
    """

    channel: Channel = field(factory=OnlyProcess)
    counters: Counters = field(factory=Counters)
    number: int | None = None
    responses: str | None = None
