"""`setup`, as a user goes through it: what is asked, tried, and written."""

import asyncio
import sys
from pathlib import Path

from server.config.loading import load
from tests.conftest import MakeUpstream
from tests.rig.upstream import answers, says


async def set_up(config: Path, *answers_: str) -> tuple[int, str]:
    """Run `setup` with these lines as its input; return its status and its output."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "server", "setup", "--config", str(config)),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        env={"COLUMNS": "120"},
        start_new_session=True,  # with no terminal to read keys from
    )
    lines = "".join(f"{line}\n" for line in answers_)
    output, _ = await process.communicate(lines.encode())
    return process.returncode or 0, output.decode()


async def test_a_provider_of_ones_own(
    make_upstream: MakeUpstream, tmp_path: Path
) -> None:
    """It is tried; the file names it, and its key is beside, for the owner only."""
    upstream = await make_upstream(says("hello"), models=("a", "b"))
    config = tmp_path / "config.toml"

    status, said = await set_up(
        config, "Mine", upstream.url, "a", "it's secret", "", "y", "laptop"
    )

    assert status == 0
    assert "Mine: works" in said
    assert upstream.requests[0].headers["authorization"] == "Bearer it's secret"
    written = load(config, {})
    assert written.providers["Mine"].api_key == "it's secret"
    assert written.providers["Mine"].default_model == "a"
    assert written.server.host == "0.0.0.0"
    assert [key.name for key in written.auth.keys] == ["laptop"]
    assert "it's secret" not in config.read_text() + said
    for name in ("config.toml", ".env"):
        assert (tmp_path / name).stat().st_mode & 0o777 == 0o600


async def test_a_provider_that_does_not_work(
    make_upstream: MakeUpstream, tmp_path: Path
) -> None:
    """What it says is shown, and nothing of it is kept unless that is wanted."""
    upstream = await make_upstream(answers(401, {"error": {"message": "wrong key"}}))
    config = tmp_path / "config.toml"

    status, said = await set_up(config, "Mine", upstream.url, "a", "k", "n", "", "n")

    assert status == 0
    assert "wrong key" in said
    assert "Mine" not in load(config, {}).providers
    assert not (tmp_path / ".env").exists()


async def test_a_built_in_provider(tmp_path: Path) -> None:
    """Its id, in any spelling, is enough: what it lacks is asked by name, and kept."""
    config = tmp_path / "config.toml"

    status, said = await set_up(
        config, "azureopenai", "k", "http://127.0.0.1:9", "y", "", "n"
    )

    assert status == 0
    assert "AZURE_OPENAI_ENDPOINT" in said
    assert "AzureOpenAI" in load(config, {}).on()


async def test_a_file_that_is_there(tmp_path: Path) -> None:
    """It is replaced only where that is wanted, and kept beside the new one."""
    config = tmp_path / "config.toml"
    config.write_text("[server]\nport = 8000\n")

    status, _ = await set_up(config, "n")
    assert status == 1
    assert "8000" in config.read_text()

    status, _ = await set_up(config, "y", "", "n")
    assert status == 0
    assert "8000" not in config.read_text()
    assert "8000" in (tmp_path / "config.toml.bak").read_text()
