"""What `python -m server check` shows: a table of the providers, on or off, and why."""

from rich import box
from rich.console import Console
from rich.table import Table

from .config import Config


def show(config: Config, source: str) -> None:
    """Print the providers of *config*, which is valid."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for heading in ("provider", "", "kind", "default model", "models", "why off"):
        table.add_column(heading, overflow="fold")
    for name, settings in config.providers.items():
        why = config.off.get(name, "")
        table.add_row(
            name,
            "[red]off[/]" if why else "[green]on[/]",
            settings.kind,
            settings.default_model or "-",
            str(len(settings.models) or "-"),
            why,
            style="dim" if why else None,
        )
    console = Console(highlight=False)
    console.print(f"Configuration: {source}. It is valid.")
    console.print(table)
    server = config.server
    keys = len(config.auth.keys)
    console.print(
        f"Serves on http://{server.host}:{server.port}, "
        + (f"for {keys} API key{'s'[: keys > 1]}." if keys else "asking for no key.")
    )
