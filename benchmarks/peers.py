"""Other gateways, each in an environment of its own: `make bench PEERS=1`."""

import json
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

import click
from attrs import evolve

from .contenders import Command, Contender, Field, Start, free_port, running
from .load import KEY, Target

FOLDER = Path(__file__).with_name(".peers")
PYTHON_PEERS = {"litellm": "litellm[proxy]==1.106.2", "g4f": "g4f[api]==8.8.6"}
PORTKEY = "@portkey-ai/gateway@1.15.2"
# Seconds: LiteLLM alone brings a hundred packages.
INSTALLED_IN = 600
# g4f's provider for any server that speaks OpenAI's API has its address in the class,
# and the list of all its others is on the network.
G4F = """
import sys
from g4f.Provider import Custom
from g4f.cli import main
from g4f.client.factory import AbstractClientFactory
Custom.base_url = sys.argv.pop(1)
AbstractClientFactory._live_providers = {
    "providers": {"default": {"baseUrl": Custom.base_url}},
    "defaultModels": {},
}
main()
"""

# It reads each upstream in a thread, and has twenty of them here.
G4F_STREAMS = 16
# As npm installs it today, on Node.js 20, Portkey fails on every stream: it adds
# headers to answers whose headers can't be changed. Copies' can.
PORTKEY_MENDED = """data:text/javascript,
const [ask, Answer] = [fetch, Response];
globalThis.fetch = async (...asked) => {
  const answer = await ask(...asked);
  return new Answer(answer.body, answer);
};
"""


def install() -> None:
    """Install what is not there yet."""
    for name, package in PYTHON_PEERS.items():
        folder = FOLDER / name
        done = folder / "installed"
        if not done.exists():
            click.echo(f"installing {package}", err=True)
            _run(sys.executable, "-m", "venv", str(folder))
            _run(str(folder / "bin/pip"), "install", "--quiet", package)
            done.touch()
    folder = FOLDER / "portkey"
    if not (folder / "node_modules").exists():
        click.echo(f"installing {PORTKEY}", err=True)
        folder.mkdir(parents=True)
        _run("npm", "install", "--silent", "--prefix", str(folder), PORTKEY)


def starts(where: Field) -> dict[str, Start]:
    """Return how to start each of them."""
    return {
        f"LiteLLM {_version('litellm')}": partial(litellm, where),
        f"g4f {_version('g4f')}": partial(g4f, where),
        f"Portkey {PORTKEY.rpartition('@')[2]}": partial(portkey, where),
    }


@asynccontextmanager
async def litellm(where: Field) -> AsyncIterator[Contender]:
    port = free_port()
    config = where.folder / "litellm.json"
    config.write_text(
        # YAML, of which JSON is a part.
        json.dumps(
            {
                "model_list": [
                    {
                        "model_name": "*",
                        "litellm_params": {
                            "model": "openai/*",
                            "api_base": _upstream(where),
                            "api_key": "sk-upstream",
                        },
                    }
                ],
                "general_settings": {"master_key": KEY},
            }
        )
    )
    words = [
        *(str(FOLDER / "litellm/bin/litellm"), "--config", str(config)),
        *("--host", "127.0.0.1", "--port", str(port)),
    ]
    # Else it would ask the network what models cost.
    environ = {"LITELLM_LOCAL_MODEL_COST_MAP": "True", "LITELLM_TELEMETRY": "False"}
    name = f"LiteLLM {_version('litellm')}"
    command = Command(name, words, Target(port), environ=environ)
    async with running(command, where.folder) as contender:
        yield contender


@asynccontextmanager
async def g4f(where: Field) -> AsyncIterator[Contender]:
    port = free_port()
    words = [
        *(str(FOLDER / "g4f/bin/python"), "-c", G4F, _upstream(where)),
        *("api", "--bind", f"127.0.0.1:{port}", "--no-gui", "--provider", "Custom"),
        *("--g4f-api-key", KEY),
        *("--disable-pa-auto-download", "--ignore-cookie-files"),
    ]
    environ = {"G4F_CONFIG_DIR": str(where.folder / "g4f")}
    name = f"g4f {_version('g4f')}"
    command = Command(name, words, Target(port), environ=environ)
    async with running(command, where.folder) as contender:
        yield evolve(contender, streams=G4F_STREAMS)


@asynccontextmanager
async def portkey(where: Field) -> AsyncIterator[Contender]:
    port = free_port()
    script = FOLDER / "portkey/node_modules/@portkey-ai/gateway/build/start-server.js"
    headers = {
        "x-portkey-provider": "openai",
        "x-portkey-custom-host": _upstream(where),
    }
    target = Target(port, headers=headers)
    words = [
        "node",
        "--import",
        PORTKEY_MENDED,
        str(script),
        f"--port={port}",
        "--headless",
    ]
    name = f"Portkey {PORTKEY.rpartition('@')[2]}"
    command = Command(name, words, target)
    async with running(command, where.folder) as contender:
        yield contender


def _upstream(where: Field) -> str:
    return f"http://127.0.0.1:{where.ports[0]}/v1"


def _version(peer: str) -> str:
    return PYTHON_PEERS[peer].rpartition("==")[2]


def _run(*words: str) -> None:
    subprocess.run(words, check=True, timeout=INSTALLED_IN)  # noqa: S603 - our own words
