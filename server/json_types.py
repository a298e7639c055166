"""JSON that nobody reads, and annotations for the schemas of answers."""

from collections.abc import Mapping
from typing import Annotated, Any, TypeAlias

from attrs import frozen

# JSON that a client or an upstream has sent.
JSON: TypeAlias = Any
JSONObject: TypeAlias = dict[str, Any]
JSONMapping: TypeAlias = Mapping[str, Any]


@frozen(kw_only=True)
class Keywords:
    """
    What JSON Schema says of a field besides its type, by the names of its keywords.

    The answers that we write are TypedDicts, from which the OpenAPI document is
    derived; fields that need more than a type are `Annotated` with this.
    """

    minimum: int | None = None
    minLength: int | None = None
    minItems: int | None = None
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
