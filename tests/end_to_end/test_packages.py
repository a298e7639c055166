"""Installed packages that add dialects and vendors."""

import asyncio
import sys
from pathlib import Path

import pytest

from tests.conftest import MakeUpstream, Serve, StartServer
from tests.rig.upstream import HEAD, delta, says

MODULE = """
from attrs import define
from providers.dialects.openai import OpenAI

@define
class Acme(OpenAI):
    def encode(self, request, model):
        call = super().encode(request, model)
        return type(call)(call.path, call.body, call.headers | {"X-Acme": "1"})

DIALECTS = {"acme": Acme}
VENDORS = {"AcmeChat": {"kind": "acme", "base_url": "env:ACME_URL/v1"}}
"""

# Its author has not foreseen what else an upstream may say.
FAILING = """
def receive(self, received):
    if b'"!"' in received:
        raise ZeroDivisionError
    return super(Acme, self).receive(received)

Acme.receive = receive
"""


@pytest.fixture
def package(tmp_path: Path) -> Path:
    """Install a package as pip would: a module, and what its metadata says of it."""
    folder = tmp_path / "site"
    info = folder / "acme-1.0.dist-info"
    info.mkdir(parents=True)
    (folder / "acme.py").write_text(MODULE)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: acme\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[interference.providers]\nacme = acme\n")
    return folder


async def test_package_adds_a_dialect_and_a_vendor(
    serve: Serve, make_upstream: MakeUpstream, package: Path
) -> None:
    """Its vendor is on as a built-in one would be, and speaks its dialect."""
    upstream = await make_upstream(says("Hi"))
    url = upstream.url.removesuffix("/v1")
    environ = {"PYTHONPATH": str(package), "ACME_URL": url}
    client = await serve(environ=environ)

    answer = await client.chat("AcmeChat")

    assert answer.said == "Hi"
    assert upstream.requests[0].headers["x-acme"] == "1"


async def test_package_that_fails_in_a_stream(
    serve: Serve, make_upstream: MakeUpstream, package: Path
) -> None:
    """What nobody foresaw ends a stream that has begun with an error frame, too."""
    (package / "acme.py").write_text(MODULE + FAILING)
    upstream = await make_upstream([HEAD, delta(content="Hi"), 0.2, delta(content="!")])
    url = upstream.url.removesuffix("/v1")
    client = await serve(environ={"PYTHONPATH": str(package), "ACME_URL": url})

    answer = await client.chat("AcmeChat", stream=True)

    *_, error = answer.frames
    assert (answer.status, answer.said) == (200, "Hi")
    assert error["error"]["code"] == "internal_error"
    assert answer.headers["X-Request-Id"] in error["error"]["message"]


BROKEN = {
    "import nothing_of_that_name": "can't be imported: No module named",
    "DIALECTS = ['acme']": "has a DIALECTS that is no dict",
    "DIALECTS = {'a': 1, 'openai': 1}": "adds 'openai', which is there",
}


@pytest.mark.parametrize(("module", "why"), BROKEN.items())
async def test_package_that_is_broken_is_named_and_left_out(
    package: Path, module: str, why: str
) -> None:
    """All that works is there without it, and what is wrong with it is told."""
    (package / "acme.py").write_text(module)
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "server", "check"),
        env={"PYTHONPATH": str(package)},
        stdout=asyncio.subprocess.PIPE,
    )

    output, _ = await process.communicate()

    assert process.returncode == 0
    assert "Left out: the package acme" in output.decode()
    assert why in output.decode()
    assert "AcmeChat" not in output.decode()
    assert "SmolLM2" in output.decode()


async def test_a_server_goes_on_without_a_broken_package(
    start_server: StartServer, package: Path
) -> None:
    """Its log names the package, and it serves."""
    (package / "acme.py").write_text("import nothing_of_that_name")

    server = await start_server("", environ={"PYTHONPATH": str(package)})

    await server.logged("providers left out reason=.*the package acme")
