"""The routes: parse, call, answer."""

from .bases import routes as bases
from .chat import routes as chat
from .completions import routes as completions
from .docs import routes as docs
from .images import media
from .images import routes as images
from .keys import routes as keys
from .messages import routes as messages
from .metrics import routes as metrics
from .models import routes as models
from .page import routes as page
from .probes import routes as probes
from .providers import routes as providers
from .races import routes as races
from .responses import routes as responses
from .tasks import routes as tasks
from .usage import routes as usage

__all__ = [
    "bases",
    "chat",
    "completions",
    "docs",
    "images",
    "keys",
    "media",
    "messages",
    "metrics",
    "models",
    "page",
    "probes",
    "providers",
    "races",
    "responses",
    "tasks",
    "usage",
]
