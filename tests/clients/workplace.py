"""What a person has set up before a client takes its turn."""

import os
import shlex
import subprocess
from collections.abc import Iterable, Mapping
from pathlib import Path

from .catalogue import NOTE, Client
from .installing import FOLDER, HERE
from .snippets import SERVER, Snippet, snippets


def prepare(client: Client, url: str, folder: Path) -> None:
    """Write the files that the page tells a person to write."""
    for name in ("home", "work"):
        (folder / name).mkdir()
    # Coding agents want to be in a repository, and Codex will not start elsewhere.
    init = ("git", "init", "--quiet", folder / "work")
    subprocess.run(init, check=True, env={"PATH": os.environ["PATH"]})
    (folder / "work/note.txt").write_text(NOTE, encoding="utf-8")
    for snippet in _typed(client, url):
        if path := _files(client).get(snippet.language):
            file = folder / path
            file.parent.mkdir(parents=True, exist_ok=True)
            text = client.before.get(snippet.language, "") + snippet.text
            file.write_text(text, encoding="utf-8")


def _files(client: Client) -> Mapping[str, str]:
    return {"python": "snippet.py", **client.files}


def _typed(client: Client, url: str) -> Iterable[Snippet]:
    """Yield the page's snippets, with this server's address and a variant's changes."""
    for snippet in snippets(client.section):
        text = snippet.text
        for old, new in {**client.swaps, SERVER: url}.items():
            assert old in text or old == SERVER or snippet.language == "sh", old
            text = text.replace(old, new)
        yield Snippet(snippet.language, text)


def commands(client: Client, url: str) -> str:
    """Return what is typed into a shell, line by line."""
    typed = list(_typed(client, url))
    lines = [snippet.text for snippet in typed if snippet.language == "sh"]
    if client.script:
        name, *arguments = client.script
        words = [str(HERE / "scripts" / name), *arguments]
        line = shlex.join(["python", *words]).replace(SERVER, url)
        lines.append(line)
    elif any(snippet.language == "python" for snippet in typed):
        lines.append("python ../snippet.py")
    return "\n".join(lines)


def environ(client: Client, folder: Path) -> dict[str, str]:
    """Return an environment without a key or a setting of whoever runs the tests."""
    path = os.pathsep.join([str(FOLDER / client.commands), os.environ["PATH"]])
    home = {"HOME": str(folder / "home"), "TMPDIR": str(folder), "TERM": "dumb"}
    return {"PATH": path, "LANG": "C.UTF-8", "NO_COLOR": "1", **home, **client.environ}
