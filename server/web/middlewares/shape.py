"""In whose shape a request is answered: by its path, also where no route takes it."""

import re

from aiohttp import web

MESSAGES = re.compile(r"/(?:v1|api/[^/]+(?:/v1)?)/messages(?:/.*)?")


def is_anthropic(request: web.BaseRequest) -> bool:
    """Say whether it is one of Anthropic's Messages API; all others are OpenAI's."""
    path = request.path
    return "/messages" in path and MESSAGES.fullmatch(path) is not None
