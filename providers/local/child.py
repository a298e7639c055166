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

PR_SET_PDEATHSIG = 1


def die_with_parent(parent: int) -> None:
    """Ask Linux to kill us with our parent: a model that loads reads no input."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:
            os._exit(1)


def start(options: dict[str, object]) -> object:
    """Load the model and serve it; return llama.cpp's server, ready."""
    import xllamacpp  # noqa: PLC0415 - only this process may pay for it

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
    return xllamacpp.Server(params)


def main() -> None:
    options = json.loads(sys.stdin.readline())
    die_with_parent(options["parent"])
    try:
        server = start(options)
        told = {"address": server.listening_address}  # type: ignore[attr-defined]
    except Exception as exc:  # noqa: BLE001 - told to the parent, whatever it is
        told = {"error": str(exc)}
    print(json.dumps(told), flush=True)  # noqa: T201 - how the parent is told
    if "address" in told:
        sys.stdin.buffer.read()
    os._exit("error" in told)


if __name__ == "__main__":
    main()
