"""What was used, in the document."""

from server.json_types import JSONObject
from server.record.usage import DIMENSIONS
from server.wire.usage_rows import FORMATS

from .records import Schema, ref
from .shared import KEYS, OF_API, answer, errors, in_json, query_parameter

# Some of the dimensions, with commas between; nothing means all.
ONE = "|".join(DIMENSIONS)
BY: Schema = {"type": "string", "pattern": f"^(({ONE})(,({ONE}))*)?$"}
DAY: Schema = {"type": "string", "format": "date"}
TABLE: JSONObject = {"text/csv": {"schema": {"type": "string"}}}
PATHS: JSONObject = {
    "/usage": {
        "get": {
            "operationId": "listUsage",
            "tags": ["Usage"],
            "summary": "What requests have used: this key's, or an admin's: all",
            "description": (
                "Tokens as upstreams have counted them; where a stream ended without a"
                " count, what came of it counts. Money where prices are known."
            ),
            "security": KEYS,
            "parameters": [
                query_parameter("by", "What is told apart; left out: all four.", BY),
                query_parameter("since", "The first day, in UTC.", DAY),
                query_parameter("until", "The last day, in UTC.", DAY),
                query_parameter(
                    "format", "How the rows come.", {"enum": list(FORMATS)}
                ),
            ],
            "responses": {
                "200": answer("The sums.", in_json(ref("UsageRows")) | TABLE),
                **errors((400, *OF_API, 503)),
            },
        }
    }
}
