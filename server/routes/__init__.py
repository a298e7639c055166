"""The routes: parse, call, answer."""

from .chat import routes as chat
from .models import routes as models
from .probes import routes as probes
from .providers import routes as providers

__all__ = ["chat", "models", "probes", "providers"]
