"""The embedded engine: a child process that runs a model."""

from .engine import Engine, EngineAddress
from .engines import Engines
from .files import engine_missing

__all__ = ["Engine", "EngineAddress", "Engines", "engine_missing"]
