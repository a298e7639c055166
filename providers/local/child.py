"""The embedded engine's process: llama.cpp's own server, for as long as its parent is.

Run as a script, with nothing of ours imported, so that it starts fast. The first line
of its standard input is a JSON object: the options. The first line of its standard
output is one too: the address, or the error. It lives until its standard input ends.
"""

import ctypes
import json
import os
import signal
import sys
from typing import Protocol

PR_SET_PDEATHSIG = 1


def die_with_parent(parent: int) -> None:
    """Ask Linux to kill us with our parent: a model that loads reads no input."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:
            os._exit(1)


class Server(Protocol):
    """llama.cpp's server, as long as somebody keeps it."""

    listening_address: str


def start(options: dict[str, object]) -> Server:
    """Load the model and serve it; return llama.cpp's server, ready."""
    import xllamacpp

    params = xllamacpp.CommonParams()
    params.model.path = options["model_file"]
    params.model_alias = {options["alias"]}
    params.n_ctx = options["context"]
    params.n_parallel = options["parallel"]
    params.cpuparams.n_threads = options["threads"]
    params.cpuparams_batch.n_threads = options["threads"]
    params.port = options["port"]
    params.api_keys = [options["api_key"]]
    params.ui = False
    params.verbosity = -1
    server: Server = xllamacpp.Server(params)
    return server


def main() -> None:
    options = json.loads(sys.stdin.readline())
    die_with_parent(options["parent"])
    try:
        server = start(options)
        report = {"address": server.listening_address}
    except Exception as exc:  # noqa: BLE001 - told to the parent, whatever it is
        report = {"error": str(exc)}
    sys.stdout.write(json.dumps(report) + "\n")
    sys.stdout.flush()
    if "address" in report:
        sys.stdin.buffer.read()
    os._exit("error" in report)


if __name__ == "__main__":
    main()
