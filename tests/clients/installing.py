"""Installs the clients, pinned, below a folder that git does not see."""

import hashlib
import shutil
import subprocess
import sys
import venv
from collections.abc import Iterable
from pathlib import Path

HERE = Path(__file__).parent
FOLDER = HERE / ".installed"
NODE = HERE / "node"
PINS = HERE / "python"
# npm runs no package's scripts here, but for these two, which put a program where its
# command looks for it.
PLACED = ("@anthropic-ai/claude-code", "opencode-ai")
NPM = ("npm", "--no-progress", "--loglevel=error")


def install(commands: Iterable[str]) -> None:
    """
    Install the clients whose *commands* are in these folders, if one is missing or is
    there in another version. Raises CalledProcessError if a package manager fails, and
    FileNotFoundError where npm is missing.
    """
    wanted = {Path(each).parts[0] for each in commands}
    for pins in [NODE, *sorted(PINS.glob("*.txt"))]:
        if pins.stem not in wanted:
            continue
        if not _is_there(pins):
            _folder(pins).mkdir(parents=True, exist_ok=True)
            _install_node() if pins == NODE else _install_python(pins)
            _stamp(pins).write_text(_digest(pins), encoding="utf-8")


def _install_node() -> None:
    folder = _folder(NODE)
    for file in _files(NODE):
        shutil.copy(file, folder)
    # Not `npm ci`, which refuses a lock file without the programs for other machines,
    # and some registries don't have them all.
    _run((*NPM, "install", "--no-save"), folder)
    _run((*NPM, "rebuild", "--ignore-scripts=false", *PLACED), folder)


def _install_python(pins: Path) -> None:
    folder = _folder(pins)
    venv.create(folder, clear=True, with_pip=True)
    pip = (str(folder / "bin/python"), "-m", "pip", "--disable-pip-version-check")
    _run((*pip, "install", "--quiet", "--requirement", str(pins)), HERE)


def _run(command: Iterable[str], folder: Path) -> None:
    subprocess.run(tuple(command), cwd=folder, check=True, stdout=sys.stderr)


def _folder(pins: Path) -> Path:
    return FOLDER / pins.stem


def _files(pins: Path) -> list[Path]:
    return sorted(pins.iterdir()) if pins.is_dir() else [pins]


def _stamp(pins: Path) -> Path:
    return _folder(pins) / "installed"


def _digest(pins: Path) -> str:
    return hashlib.sha256(b"".join(f.read_bytes() for f in _files(pins))).hexdigest()


def _is_there(pins: Path) -> bool:
    stamp = _stamp(pins)
    return stamp.exists() and stamp.read_text(encoding="utf-8") == _digest(pins)
