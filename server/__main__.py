"""The command, as `python -m server` or as `interference`."""

from .process.hang_ups import note_early


def main(name: str | None = None) -> None:
    """Run the command line; *name* is what its help calls it."""
    # Before all that takes time to import: a SIGHUP would end the process until then.
    note_early()
    from .command_line import cli  # noqa: PLC0415 - the reason stands above

    cli(prog_name=name)


if __name__ == "__main__":
    main("python -m server")
