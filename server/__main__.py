"""The command, as `python -m server` or as `interference`."""

import sys

OLDEST = (3, 11)
OURS = ("server", "providers")


def main(name: str | None = None) -> None:
    """Run the command line; *name* is what its help calls it."""
    if sys.version_info < OLDEST:
        sys.exit("Interference needs Python 3.11 or a newer one.")
    # Before all that takes time to import: a SIGHUP would end the process until then.
    from .process.hang_ups import note_early

    note_early()
    try:
        from .command_line import cli
    except ModuleNotFoundError as exc:
        if str(exc.name).partition(".")[0] in OURS:
            raise
        sys.exit(
            f"The package {exc.name} is missing. `make install` brings all of them;"
            " then start `.venv/bin/python -m server`."
        )
    cli(prog_name=name)


if __name__ == "__main__":
    main("python -m server")
