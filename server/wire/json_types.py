"""JSON that passes through without being read, and what a schema is told of answers."""

from collections.abc import Mapping
from typing import Annotated, Any, TypeAlias

# Objects that a client or an upstream has sent, whose fields are theirs.
JSONObject: TypeAlias = dict[str, Any]
JSONMapping: TypeAlias = Mapping[str, Any]

# The answers that we write are TypedDicts. What a type alone does not say of a field
# stands beside it, in the keywords of JSON Schema: the OpenAPI document has it too.
Count = Annotated[int, {"minimum": 0}]
JSONText = Annotated[str, {"description": "JSON text."}]
Winner = Annotated[str, {"description": "The id of the provider that has won."}]
UpstreamModel = Annotated[
    str, {"description": "The upstream's own name of the model."}
]
