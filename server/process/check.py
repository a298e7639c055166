"""What `python -m server check` shows: each provider, on or off, why, and how fast."""

import asyncio
from collections.abc import Callable, Mapping, Sequence

from attrs import define, field, frozen
from rich import box
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
from rich.table import Table

from providers import ChatRequest, Engines, Message, ProviderError, open_session
from server.config.settings import Config
from server.gateway import Gateway
from server.racing.catalog import Catalog
from server.racing.entrants import ChatEntrant
from server.racing.errors import NobodyWon
from server.racing.race import Race
from server.racing.strategies import Fallback

# Wide enough for every line where no terminal says how wide it is.
WIDTH = 120
QUESTION = "Answer with one word: hello."


@frozen
class Finding:
    """
    The result of a call to one provider: the number of its models, its time to first
    token in seconds, the notes about its answer, or its trouble. That is no failure of
    a provider that is listed only while it answers.
    """

    models: int
    ttft: float | None = None
    trouble: str = ""
    failed: bool = False
    notes: Sequence[str] = ()


@define
class _Examiner:
    catalog: Catalog
    findings: dict[str, Finding] = field(factory=dict)

    async def ask(self, name: str) -> None:
        models = self.catalog.models_list(name)
        await models.refresh()
        provider = models.provider
        if "chat" not in provider.tasks:
            count = len(self.catalog.models_of(provider, "images"))
            self.findings[name] = Finding(count, trouble="makes images: not asked")
            return
        names = self.catalog.models_of(provider)
        model = provider.default_for("chat") or next(iter(names), "")
        if not model:
            trouble = models.trouble or "it lists no model"
            failed = not provider.settings.probe
            self.findings[name] = Finding(0, trouble=trouble, failed=failed)
            return
        self.findings[name] = await self._first_token(
            ChatEntrant(provider, model, provider.limits), len(names)
        )

    async def _first_token(self, entrant: ChatEntrant, models: int) -> Finding:
        question = Message(role="user", content=QUESTION)
        body = {
            "messages": [{"role": "user", "content": QUESTION}],
            "max_completion_tokens": 16,
        }
        request = ChatRequest(
            model=entrant.model,
            messages=(question,),
            max_completion_tokens=16,
            body=body,
        )
        race = Race([entrant], request, Fallback(1))
        failed = not entrant.provider.settings.probe
        try:
            winner = await race.run()
            async for _ in winner.rest:
                pass  # an answer's oddities often show at its end
        except NobodyWon as exc:
            return Finding(models, trouble=exc.losses[0].error.message, failed=failed)
        except ProviderError as exc:
            return Finding(models, trouble=exc.message, failed=failed)
        finally:
            race.close()
        lane = winner.lane
        return Finding(models, lane.ttft, notes=tuple(lane.notes))


async def examine(config: Config, advance: Callable[[], None]) -> Mapping[str, Finding]:
    """Ask every provider that is on; *advance* is called as each is done."""
    engines = Engines()
    try:
        async with open_session() as session, open_session(public=True) as public:
            gateway = Gateway(session, public)
            running = await engines.adopt(config.engines(), 0.0)
            gateway.adopt(config, running, refresh=False)
            examiner = _Examiner(gateway.catalog)

            async def one(name: str) -> None:
                await examiner.ask(name)
                advance()

            async with asyncio.TaskGroup() as group:
                for name in config.on():
                    group.create_task(one(name))
            return examiner.findings
    finally:
        await engines.aclose()


def show(config: Config, source: str, *, live: bool) -> bool:
    """
    Print the providers of *config*, which is valid; *live*: and call them.

    Return whether none of them has failed.
    """
    console = Console(highlight=False)
    if not console.is_terminal:
        console.width = WIDTH
    console.print(f"Configuration: {escape(source)}. It is valid.")
    for problem in config.left_out:
        console.print(f"[yellow]Left out:[/] {escape(problem)}.")
    findings = examine_with_progress(config, console) if live else None
    console.print(_table(config, findings))
    keys = len(config.auth.keys)
    which = f"for {keys} API key{'s'[: keys != 1]}"
    if config.auth.store:
        which += f", and those in {config.auth.store}"
    console.print(
        f"Serves on {_place(config)}, "
        + (f"{escape(which)}." if config.auth.asks else "asking for no key.")
    )
    return not any(finding.failed for finding in (findings or {}).values())


def _place(config: Config) -> str:
    server = config.server
    if server.unix_socket:
        return f"{server.unix_socket}{server.path_prefix}"
    scheme = "https" if config.tls else "http"
    return f"{scheme}://{server.host}:{server.port}{server.path_prefix}"


def examine_with_progress(config: Config, console: Console) -> Mapping[str, Finding]:
    """Call every provider that is on, and show the progress."""
    columns = (TextColumn("asking"), BarColumn(), MofNCompleteColumn())
    with Progress(*columns, console=console, transient=True) as progress:
        task = progress.add_task("", total=len(config.on()))
        return asyncio.run(examine(config, lambda: progress.advance(task)))


def _table(config: Config, findings: Mapping[str, Finding] | None) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("provider", no_wrap=True)
    table.add_column("")
    table.add_column("dialect", no_wrap=True)
    table.add_column("models", justify="right")
    if findings is not None:
        table.add_column("first token", justify="right", no_wrap=True)
    table.add_column("")
    for name in config.providers:
        table.add_row(*_row(name, config, findings), style=_style(name, config))
    return table


def _style(name: str, config: Config) -> str | None:
    return "dim" if name in config.off else None


def _row(
    name: str, config: Config, findings: Mapping[str, Finding] | None
) -> list[str]:
    settings = config.providers[name]
    why = config.off.get(name, "")
    state = "[red]off[/]" if why else "[green]on[/]"
    configured = {*settings.models, *settings.image_models, settings.default_model}
    count = len(configured - {""})
    if findings is None:
        if settings.probe and not why:
            why = "listed while it answers"
        why = why or config.origins.get(name, "")
        return [escape(name), state, settings.kind, str(count or "-"), escape(why)]
    finding = findings.get(name, Finding(count))
    speed = "-" if finding.ttft is None else f"{finding.ttft * 1000:.0f} ms"
    if finding.trouble and not why:
        state = "[yellow]on[/]"
    row = [escape(name), state, settings.kind, str(finding.models or "-"), speed]
    last = ", ".join(finding.notes) or config.origins.get(name, "")
    return [*row, escape(why or finding.trouble or last)]
