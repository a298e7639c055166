"""The embedded engine: a child process that runs a model."""

from .engine import Endpoint, Engine, Engines, engine_missing

__all__ = ["Endpoint", "Engine", "Engines", "engine_missing"]
