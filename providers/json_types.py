"""JSON that clients and upstreams have sent, by the names of its shapes."""

from collections.abc import Mapping
from typing import Any, TypeAlias

# A value of any kind: whoever looks into it checks first what it is.
JSON: TypeAlias = Any
# An object, for whoever makes one or adds to it, and for whoever only reads it.
JSONObject: TypeAlias = dict[str, Any]
JSONMapping: TypeAlias = Mapping[str, Any]
