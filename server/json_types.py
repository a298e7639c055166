"""JSON that passes through without being read, and what a schema is told of answers."""

from collections.abc import Mapping
from typing import Annotated, Any, TypeAlias

from attrs import frozen

# What a client or an upstream has sent, and is passed on without being read.
JSON: TypeAlias = Any
JSONObject: TypeAlias = dict[str, Any]
JSONMapping: TypeAlias = Mapping[str, Any]


@frozen(kw_only=True)
class Keywords:
    """
    What the type of a field does not say of it, by the names of JSON Schema's keywords.

    The answers that we write are TypedDicts, and the OpenAPI document is derived from
    them: this goes along.
    """

    minimum: int | None = None
    minLength: int | None = None  # noqa: N815 - JSON Schema's name
    minItems: int | None = None  # noqa: N815 - likewise
    format: str | None = None
    enum: tuple[str, ...] | None = None
    description: str | None = None


Cost = Annotated[
    float,
    Keywords(minimum=0, description="Dollars; left out where no price is known."),
]
Count = Annotated[int, Keywords(minimum=0)]
JSONText = Annotated[str, Keywords(description="JSON text.")]
Winner = Annotated[str, Keywords(description="The id of the provider that has won.")]
UpstreamModel = Annotated[
    str, Keywords(description="The upstream's own name of the model.")
]
ProviderId = Annotated[str, Keywords(description="The provider's id.")]
Milliseconds = Annotated[float, Keywords(minimum=0)]
