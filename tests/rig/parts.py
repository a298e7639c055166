"""What scripted models say, in whatever dialect."""

from typing import Any, Literal

from attrs import frozen
from pydantic import BaseModel


@frozen
class Thought:
    """What a model thinks aloud."""

    text: str


@frozen
class Text:
    """A piece of what it says."""

    text: str


@frozen
class Call:
    """A tool that it calls. Ollama is sent no *id*."""

    id: str
    name: str
    arguments: dict[str, Any]


class City(BaseModel):
    """What is asked for where an answer shall be an object."""

    name: Literal["Paris", "Rome"]
    river: Literal["Seine", "Tiber"]


Part = Thought | Text | Call
