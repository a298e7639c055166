"""The screen at the start: for people at a terminal, and for nobody else."""

import os
import pty
import re
import subprocess
import sys
from pathlib import Path

import pytest

from server.process.welcome import welcome
from tests.conftest import StartServer
from tests.server.conftest import BARE, ReadConfig

URL = "http://127.0.0.1:1337"
GROQ = BARE.replace('[providers."Groq"]\nenabled = false\n', "")
EMBEDDED = '[providers.SmolLM2]\nmodel_file = "/none.gguf"\n'


def test_what_it_says(read_config: ReadConfig, tmp_path: Path) -> None:
    """Where the server is, who is on, which file is read, and a line to paste."""
    toml = GROQ + "[providers.Groq]\ndefault_model = 'm'\n"
    config = read_config(toml, GROQ_API_KEY="k")

    told = welcome(config, URL, tmp_path / "config.toml", "interference")

    assert f"{URL}/v1" in told
    assert f"{URL}/docs" in told
    assert "Groq on; " in told
    assert "`interference check` says why" in told
    assert str(tmp_path / "config.toml") in told
    assert '"model": "Groq"' in told
    assert "Bearer" not in told


def test_with_a_key_and_no_file(read_config: ReadConfig) -> None:
    """The line to paste has a place for the key; a file that would be read is named."""
    config = read_config(f"{BARE}[[auth.keys]]\nname = 'k'\nsha256 = '{'a' * 64}'")

    told = welcome(config, URL, None, "interference")

    assert "Authorization: Bearer KEY" in told
    assert f"{Path('config.toml').resolve()} would be read" in told
    assert "`interference setup`" in told


@pytest.mark.parametrize(("log_format", "shown"), [("text", True), ("json", False)])
def test_in_a_terminal(config_file: Path, log_format: str, *, shown: bool) -> None:
    """It stands on the screen before the log begins, but not in a machine's log."""
    config_file.write_text(f"{BARE}[server]\nport = 0\n[log]\nformat='{log_format}'")
    ours, theirs = pty.openpty()
    with subprocess.Popen(
        [sys.executable, "-m", "server", "--config", str(config_file)],
        stdout=theirs,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stderr is not None
        line = process.stderr.readline()
        process.terminate()
        os.set_blocking(ours, False)
        try:
            screen = os.read(ours, 10_000).decode()
        except BlockingIOError:
            screen = ""
    os.close(ours)
    os.close(theirs)

    assert "serving" in line
    assert ("Interference" in screen) is shown
    if shown:
        assert re.search(r"http://127.0.0.1:[1-9]\d+/docs", screen)


async def test_not_in_a_log(start_server: StartServer) -> None:
    """Where no terminal is, the first line is what it always was."""
    server = await start_server("")

    assert "serving" in server.log[0]
