"""What this package takes from the parts that all tests share, in one place."""

from tests.rig.dialects import DIALECTS, Call, Part, Text, Thought
from tests.rig.server_process import running
from tests.rig.upstream import (
    END,
    HEAD,
    Received,
    Step,
    Upstream,
    answers,
    chunked,
    upstream,
)

__all__ = [
    "DIALECTS",
    "END",
    "HEAD",
    "Call",
    "Part",
    "Received",
    "Step",
    "Text",
    "Thought",
    "Upstream",
    "answers",
    "chunked",
    "running",
    "upstream",
]
