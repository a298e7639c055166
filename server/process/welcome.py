"""What a person at a terminal is shown when the server starts."""

import sys
from importlib.metadata import version
from pathlib import Path

from rich.console import Console
from rich.markup import escape

from providers import tasks_of
from server.config.settings import ENGINE, Config

NAMED = 6
HEADERS = "-H 'Content-Type: application/json'"
KEY = " -H 'Authorization: Bearer KEY'"


def show_welcome(config: Config, url: str, path: Path | None, command: str) -> None:
    """
    Print where the server is and what to do next, if a person reads it.

    *path* is the configuration's file, *command* what this command line is called by.
    """
    if config.log.format == "text" and sys.stdout.isatty():
        console = Console(highlight=False, soft_wrap=True)
        console.print(welcome(config, url, path, command))


def welcome(config: Config, url: str, path: Path | None, command: str) -> str:
    """Return the screen, with rich's marks."""
    if path is None:
        file = (
            f"none; {escape(str(Path('config.toml').resolve()))} would be read"
            f" (`{command} setup` writes one)"
        )
    else:
        file = escape(str(path.resolve()))
    curl = "curl"
    if url.startswith("unix:"):
        curl += f" --unix-socket {url.removeprefix('unix:')}"
        url = f"http://localhost{config.server.path_prefix}"
    return "\n".join(
        [
            f"[bold]Interference[/] {version('interference')}",
            f"  Serving        {url}/v1 (OpenAI's API), {url} (Anthropic's)",
            f"  In a browser   {url}/, {url}/docs",
            f"  Providers      {_providers(config, command)}",
            f"  Configuration  {file}",
            "  Try it:",
            f"[bold]{escape(_request(config, url, curl))}[/]",
            "",
        ]
    )


def _providers(config: Config, command: str) -> str:
    # Providers that are probed on this machine are on only while they answer.
    on = [name for name in config.on() if not config.providers[name].probe]
    names = ", ".join(on[:NAMED]) + (f" and {len(on) - NAMED} more" * (len(on) > NAMED))
    off = f"{len(config.off)} are off: `{command} check` says why"
    return f"{escape(names) or 'none'} on; {off}"


def _request(config: Config, url: str, curl: str) -> str:
    """Return a command for a shell: a request to the provider most likely to answer."""
    key = KEY if config.auth.asks else ""
    model = _model(config)
    messages = '[{"role": "user", "content": "Hello!"}]'
    body = f'{{"model": "{model}", "messages": {messages}}}'
    return f"{curl} {url}/v1/chat/completions {HEADERS}{key} -d '{body}'"


def _model(config: Config) -> str:
    """Return the id of a provider that is on and has a model to answer with."""
    chats = [
        settings
        for name in config.on()
        if (settings := config.providers[name]).default_model
        and (settings.kind == ENGINE or "chat" in tasks_of(settings.kind))
    ]
    sure = [s for s in chats if not s.probe and s.kind != ENGINE]
    first = next(iter([*sure, *chats]), None)
    return "gpt-4o-mini" if first is None else first.id
