"""What a request for a response says of its text, and of the reasoning before it."""

from attrs import field, frozen
from attrs.validators import in_, optional

from server.errors import InvalidRequest
from server.json_types import JSONMapping, JSONObject
from server.wire.reading import fields_with_values


@frozen(kw_only=True)
class TextFormat:
    """The shape that the answer's text must have."""

    type: str = field(validator=in_(("text", "json_object", "json_schema")))
    name: str | None = None
    description: str | None = None
    schema: JSONMapping | None = None
    strict: bool | None = None


@frozen(kw_only=True)
class TextSettings:
    format: TextFormat | None = None
    verbosity: str | None = None

    def chat_fields(self) -> JSONObject:
        """Return the fields that a chat has for it; raises InvalidRequest."""
        fields: JSONObject = {}
        if self.verbosity is not None:
            fields["verbosity"] = self.verbosity
        shape = self.format
        if shape is not None and shape.type == "json_schema":
            if not shape.name or shape.schema is None:
                raise InvalidRequest(
                    "'text.format': the type 'json_schema' needs 'name' and 'schema'.",
                    param="text.format",
                )
            names = ("name", "description", "schema", "strict")
            schema = fields_with_values(shape, *names)
            fields["response_format"] = {"type": "json_schema", "json_schema": schema}
        elif shape is not None and shape.type == "json_object":
            fields["response_format"] = {"type": "json_object"}
        return fields


@frozen(kw_only=True)
class Reasoning:
    effort: str | None = None
    summary: str | None = field(
        default=None, validator=optional(in_(("auto", "concise", "detailed")))
    )


NO_TEXT = TextSettings()
NO_REASONING = Reasoning()
