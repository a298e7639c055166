"""Where the embedded engines' model files are, and what is missing for them."""

import importlib.util
from pathlib import Path

from providers.settings import ProviderSettings


class NoModelFile(ValueError):
    """The configured model file can't be found; the message says why."""


def model_file(name: str) -> Path:
    """
    Return the path of a model file: `package:NAME/FILE` lies in an installed package.

    Raises NoModelFile. The package is not imported: the one with SmolLM2 would want
    packages that nobody needs here.
    """
    if not name.startswith("package:"):
        path = Path(name).expanduser()
    else:
        package, _, inside = name.removeprefix("package:").partition("/")
        path = _package_folder(package) / inside
    try:
        exists = path.is_file()
    except OSError:  # a name that no file can have
        exists = False
    if not exists:
        raise NoModelFile(f"there is no file {name}")
    return path


def _package_folder(package: str) -> Path:
    try:
        spec = importlib.util.find_spec(package)
    except (ImportError, ValueError):
        spec = None
    if spec is None or not spec.submodule_search_locations:
        raise NoModelFile(f"the package {package.replace('_', '-')} is missing")
    return Path(spec.submodule_search_locations[0])


def engine_missing(settings: ProviderSettings) -> str:
    """Return why an engine with *settings* can't be started here; "" if it can."""
    if importlib.util.find_spec("xllamacpp") is None:
        return "the package xllamacpp is missing (make install brings it)"
    try:
        model_file(settings.engine.model_file)
    except NoModelFile as exc:
        return str(exc)
    return ""
