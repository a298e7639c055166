"""`python -m server check --live`: each is asked, and the status tells of failures."""

import asyncio
import sys
from pathlib import Path

from tests.conftest import MakeUpstream
from tests.rig.server_process import alone
from tests.rig.upstream import DONE, END, HEAD, answers, delta, says


async def test_each_provider_is_asked_and_timed(
    make_upstream: MakeUpstream, tmp_path: Path
) -> None:
    """Its models are counted, its first token is timed, its trouble is told."""
    good = await make_upstream(says("hello"), models=("a", "b"))
    early = [HEAD, delta("stop", content="a"), delta("stop", content="b"), DONE, END]
    odd = await make_upstream(early, models=("a",))
    bad = await make_upstream(answers(401, {"error": {"message": "wrong key"}}))
    config = tmp_path / "config.toml"
    tables = good.table("Good"), odd.table("Odd"), bad.table("Bad", default_model="m")
    config.write_text(alone("\n".join(tables)))

    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "server", "check", "--live", "--config", str(config)),
        stdout=asyncio.subprocess.PIPE,
    )
    output, _ = await process.communicate()

    lines = filter(None, map(str.split, output.decode().splitlines()))
    rows = {words[0]: words for words in lines}
    assert process.returncode == 1
    assert rows["Good"][1:4] == ["on", "openai", "2"]
    assert rows["Good"][5] == "ms"
    assert rows["Bad"][-2:] == ["wrong", "key"]
    assert good.requests[0].json["model"] == "a"
    assert "finish reason before the end" in output.decode()
