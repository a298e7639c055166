"""The command line, as real processes: what is printed, and with which exit status."""

import json
import os
import re
import socket
import subprocess
import sys
import tomllib
from hashlib import sha256
from importlib.metadata import version
from pathlib import Path

import pytest

from server.config.loading import load
from tests.conftest import MakeUpstream, StartServer
from tests.rig.client import client
from tests.rig.upstream import says
from tests.server.conftest import BARE

OPEN = "[providers.Open]\nkind = 'openai'\nbase_url = 'http://127.0.0.1:9/v1'\n"
BAD = f"[server]\nprot = 1\nport = 'x'\n[providers.A]\nkind = 'x'\n{BARE}"


def run(
    *arguments: str, cwd: Path | None = None, **environ: str
) -> subprocess.CompletedProcess[str]:
    """Run `python -m server` to its end, with no key or configuration of the user's."""
    ours = {
        name: value
        for name, value in os.environ.items()
        if not name.endswith(("_TOKEN", "_API_KEY", "_CONFIG"))
    }
    done = subprocess.run(
        [sys.executable, "-m", "server", *arguments],
        cwd=cwd,
        env={**ours, "COLUMNS": "120", **environ},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert "Traceback" not in done.stderr
    return done


def rows(table: str) -> dict[str, list[str]]:
    """Return the rows of the table that `check` prints, by their first cell."""
    cells = [re.split(r"\s{2,}", line.strip()) for line in table.splitlines()]
    return {row[0]: row[1:] for row in cells if len(row) > 1}


def test_check(config_file: Path) -> None:
    """A good file: its providers, on or off and why, and where it would serve."""
    config_file.write_text(
        OPEN + "default_model = 'm'\n[providers.OpenAI]\nlabel = 'x'"
    )

    done = run("check", "--config", str(config_file))

    assert (done.returncode, done.stderr) == (0, "")
    found = rows(done.stdout)
    assert found["Open"][:2] == ["on", "openai"]
    assert (found["OpenAI"][0], found["OpenAI"][-1]) == (
        "off",
        "OPENAI_API_KEY is not set",
    )
    assert "http://127.0.0.1:1337" in done.stdout


def test_check_with_a_key(config_file: Path) -> None:
    """What the environment has is on; its value is not shown."""
    config_file.write_text(BARE.replace('"OpenAI"]\nenabled = false', '"OpenAI"]'))

    done = run("check", "--config", str(config_file), OPENAI_API_KEY="sk-secret")

    assert rows(done.stdout)["OpenAI"][0] == "on"
    assert "sk-secret" not in done.stdout + done.stderr


def test_check_shows_what_is_there(config_file: Path) -> None:
    """Square brackets in names and paths are shown as they are, not as mark-up."""
    path = config_file.with_name("[x].toml")
    own = "kind = 'llamacpp'\nmodel_file = '/[/a].gguf'\ndefault_model = 'a [bold]'"
    path.write_text(f"[providers.Own]\n{own}\n")

    done = run("check", "--config", str(path))

    assert done.returncode == 0
    assert "[x].toml" in done.stdout
    assert "/[/a].gguf" in done.stdout


def test_check_of_a_bad_file(config_file: Path) -> None:
    """Each error is a line `file: table.key: what is wrong`, and the status is 1."""
    config_file.write_text(BAD)

    done = run("check", "--config", str(config_file))

    assert (done.returncode, done.stdout) == (1, "")
    assert [line.split(": ")[:2] for line in sorted(done.stderr.splitlines())] == [
        [str(config_file), "providers.A.kind"],
        [str(config_file), "server.port"],
        [str(config_file), "server.prot"],
    ]


@pytest.mark.parametrize("arguments", [("check",), ()])
def test_the_file_in_the_current_folder(
    config_file: Path, arguments: tuple[str, ...]
) -> None:
    """Without an option or a variable it is ./config.toml that is read."""
    config_file.write_text(BAD)

    done = run(*arguments, cwd=config_file.parent)

    assert done.returncode == 1
    assert "config.toml: server.prot: unknown key (did you mean 'port'?)" in done.stderr


def test_the_option_goes_before_the_environment(config_file: Path) -> None:
    """--config, also before `check`, goes before $INTERFERENCE_CONFIG."""
    config_file.write_text(BARE)

    done = run("--config", str(config_file), "check", INTERFERENCE_CONFIG="/none.toml")

    assert done.returncode == 0
    assert config_file.name in done.stdout


def test_the_file_that_the_environment_names() -> None:
    """A file that is named but not there is an error, in one line."""
    done = run("check", INTERFERENCE_CONFIG="/none.toml")

    assert done.returncode == 1
    assert done.stderr == "/none.toml: can't be read: No such file or directory\n"


@pytest.mark.parametrize("name", ['Jürgen\'s "key" \\o/', "two\nlines"])
def test_key(config_file: Path, name: str) -> None:
    """The key is shown once; the table below it has its digest, and lets it in."""
    done = run("key", name)

    key, _, table = done.stdout.partition("\n")
    assert re.fullmatch(r"sk-[\w-]{40,}", key)
    assert key not in table
    (shown,) = tomllib.loads(table)["auth"]["keys"]
    assert shown == {"name": name, "sha256": sha256(key.encode()).hexdigest()}
    config_file.write_text(f"[server]\nhost = '0.0.0.0'\n{table}{BARE}")
    assert load(config_file, {}).auth.keys[0].name == name


def test_key_needs_a_name() -> None:
    """A key without a name, which no configuration could hold, is not made."""
    done = run("key", "")

    assert done.returncode != 0
    assert "sk-" not in done.stdout


def test_a_port_in_use(config_file: Path) -> None:
    """Who listens on the port is told, with what to do, and the status is 1."""
    config_file.write_text(BARE)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        done = run("--config", str(config_file), "--port", port)

    assert done.returncode == 1
    assert done.stderr == (
        f"can't listen on 127.0.0.1:{port}: Address already in use by process"
        f" {os.getpid()}. Choose another port with --port, or stop who has it\n"
    )


@pytest.mark.parametrize(
    ("arguments", "keys"),
    [
        (("--port", "65536", "--log-level", "loud"), ["log.level", "server.port"]),
        (
            ("--workers", "0", "--log-format", "xml"),
            ["log.format", "server.workers"],
        ),
    ],
)
def test_options_out_of_bounds(arguments: tuple[str, ...], keys: list[str]) -> None:
    """Options are as much checked as the keys that they stand for, all of them."""
    done = run(*arguments, INTERFERENCE_CONFIG=os.devnull)

    assert done.returncode == 1
    lines = sorted(done.stderr.splitlines())
    assert [line.split(": ")[1] for line in lines] == keys


@pytest.mark.parametrize(
    ("arguments", "status", "words"),
    [
        (("--host", "0.0.0.0"), 1, "at least one [[auth.keys]] is needed"),
        (("--port", "abc"), 2, "'abc' is not a valid integer"),
        (("--prot", "1"), 2, "No such option"),
    ],
)
def test_bad_options(arguments: tuple[str, ...], status: int, words: str) -> None:
    """A wrong option is refused with a sentence, before anything is started."""
    done = run(*arguments, INTERFERENCE_CONFIG=os.devnull)

    assert done.returncode == status
    assert words in done.stderr


async def test_options_go_before_the_file(start_server: StartServer) -> None:
    """--host, --port, --log-format and --log-level override what the file says."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        server = await start_server(
            f"[server]\nport = {port}\n[log]\nlevel = 'error'\n",
            arguments=(
                *("--host", "127.0.0.2"),
                *("--log-format", "json", "--log-level", "info"),
            ),
        )

    assert server.url.startswith("http://127.0.0.2:")
    assert not server.url.endswith(f":{port}")
    assert await server.stop() == 0
    assert [json.loads(line)["event"] for line in server.log if "{" in line] == [
        "serving",
        "stopping",
        "stopped",
    ]


async def test_replay(
    start_server: StartServer, make_upstream: MakeUpstream, tmp_path: Path
) -> None:
    """
    What a server has written is read by `replay`: run as recorded, all winners are the
    same; another policy has its own row; a wrong file or option is told.
    """
    log = tmp_path / "races.jsonl"
    a, b = await make_upstream(says("a")), await make_upstream([0.02, *says("b")])
    races = f"[log]\nraces_file = '{log}'"
    server = await start_server(a.table("A"), b.table("B"), races)
    async with client(server.url) as asking:
        for _ in range(5):
            await asking.chat("A B")
    await server.stop()

    same = run("replay", str(log), "--strategy", "race")
    cheap = run("replay", str(log), "--delay", "0.5", "--budget", "0.2")

    for row in ("as recorded", "race"):
        races, *_, calls, a_race, failed, winners = rows(same.stdout)[row]
        assert (races, calls, a_race, failed) == ("5", "10", "2.000", "0")
        assert winners == "100.0%"
    assert rows(cheap.stdout)["hedge, delay 0.5, budget 0.2"][4:6] == ["5", "1.000"]
    bad = run("replay", __file__)
    assert (bad.returncode, bad.stderr.count(":1: not a race")) == (1, 1)
    assert "as 'p90'" in run("replay", str(log), "--delay", "p0").stderr


def test_version() -> None:
    """What is installed tells its version."""
    done = run("--version")

    assert done.stdout == f"Interference, version {version('interference')}\n"


def test_options_before_check(config_file: Path) -> None:
    """They are checked and shown as if the server was started with them."""
    config_file.write_text(BARE)

    shown = run("--config", str(config_file), "--port", "8000", "check")
    wrong = run("--port", "99999", "check", "--config", str(config_file))

    assert "http://127.0.0.1:8000" in shown.stdout
    assert wrong.returncode == 1
    assert "server.port" in wrong.stderr


def test_the_example_configuration(config_file: Path) -> None:
    """It comes with the package, and is valid as it stands."""
    done = run("config")
    config_file.write_text(done.stdout)

    assert done.stdout == Path("config.example.toml").read_text("utf-8")
    assert run("check", "--config", str(config_file)).returncode == 0


def test_a_key_that_is_written(config_file: Path) -> None:
    """The file has the key's table at its end, stays as private, and is valid."""
    config_file.write_text(OPEN)
    config_file.chmod(0o640)

    done = run("key", "frontend", "--write", "--config", str(config_file))

    (key,) = load(config_file, {}).auth.keys
    secret = done.stdout.splitlines()[0]
    assert (key.name, key.sha256) == ("frontend", sha256(secret.encode()).hexdigest())
    assert secret not in config_file.read_text()
    assert config_file.stat().st_mode & 0o777 == 0o640


def test_a_key_that_makes_a_new_file(config_file: Path) -> None:
    """Where there is no file, one is made that only its owner can read."""
    done = run("key", "frontend", "--write", "--config", str(config_file))

    assert done.returncode == 0
    assert config_file.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("auth = { keys = [] }", "the key has no place there"),
        ("[server]\nport = 'x'", "server.port"),
        (f"[[auth.keys]]\nname = 'frontend'\nsha256 = '{'a' * 64}'", "the same name"),
    ],
)
def test_a_key_that_can_not_be_written(config_file: Path, text: str, why: str) -> None:
    """A file that would not be valid with the key stays as it was."""
    config_file.write_text(text)

    done = run("key", "frontend", "--write", "--config", str(config_file))

    assert done.returncode == 1
    assert why in done.stderr
    assert config_file.read_text() == text
    assert list(config_file.parent.iterdir()) == [config_file]


def test_variables_in_a_file(config_file: Path) -> None:
    """`.env` beside the configuration is read; what is set already goes before it."""
    config_file.write_text("")
    text = "GROQ_API_KEY='from a file'\nexport MISTRAL_API_KEY=$HOME\n"
    config_file.with_name(".env").write_text(text)

    done = run("check", "--config", str(config_file), GROQ_API_KEY="set")

    found = rows(done.stdout)
    assert found["Groq"][-1] == "GROQ_API_KEY from the environment"
    assert found["Mistral"][-1] == "MISTRAL_API_KEY from .env"
    config = load(config_file, {})
    assert config.providers["Groq"].api_key == "from a file"
    assert config.providers["Mistral"].api_key == "$HOME"


def test_variables_that_can_not_be_read(config_file: Path) -> None:
    """A `.env` that is no text is an error with its path."""
    config_file.write_text("")
    config_file.with_name(".env").write_bytes(b"A=\xff")

    done = run("check", "--config", str(config_file))

    assert done.returncode == 1
    assert f"{config_file.with_name('.env')}: is not text" in done.stderr


def test_without_its_packages(tmp_path: Path) -> None:
    """Where nothing is installed, what to do about it is all that is said."""
    done = subprocess.run(
        [sys.executable, "-S", "-m", "server"],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert done.returncode == 1
    assert "make install" in done.stderr
    assert "Traceback" not in done.stderr
