"""Plays each oddity on each surface, streamed and whole, alone and in a race."""

import asyncio
import json
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import orjson
from attrs import frozen

from providers import vendors
from tests.rig.anthropic_events import check_order, named
from tests.rig.server_process import running
from tests.rig.upstream import upstream

from .oddities import Oddity, oddities
from .surfaces import ASKED, COMPLETIONS, MESSAGES, Asked, Told

HANG = 30.0
# What is done for one host only.
HOSTS = {"Anthropic": "//api.anthropic.com"}


@frozen
class OddCell:
    """One oddity on one surface; *id* is its upstream's provider."""

    id: str
    oddity: Oddity
    asked: Asked


@frozen
class OddFinding:
    """What has become of a cell, and what is wrong with it."""

    cell: OddCell
    outcome: str
    problems: Sequence[str]


@frozen
class OddMatrix:
    """What was found, and what the records of the odd providers say."""

    findings: list[OddFinding]
    stats: dict[str, Any]
    notes: dict[str, list[str]]


async def play(folder: Path) -> OddMatrix:
    """Play all oddities on one server, side by side."""
    odd = oddities()
    names = [f"Odd{number}" for number in range(len(odd))]
    async with _opened(folder, odd, names) as url, aiohttp.ClientSession(url) as me:
        free = asyncio.Semaphore(16)

        async def one(cell: OddCell) -> OddFinding:
            async with free, asyncio.timeout(HANG):
                play_one = _ask_again if cell.oddity.again else ask
                return await play_one(me, cell)

        cells = [
            OddCell(name, each, asked)
            for name, each in zip(names, odd, strict=True)
            for asked in ASKED
            if asked.path in each.bodies or not each.bodies
        ]
        findings = await asyncio.gather(*map(one, cells))
        paths = {name: f"/v1/providers/{name}" for name in names}
        details = {name: await _get(me, path) for name, path in paths.items()}
        stats = {name: each["stats"] for name, each in details.items()}
        noted: dict[str, list[str]] = {name: [] for name in names}
        races = await _get(me, "/v1/races?limit=1000")
        for race in races["data"]:
            for racer in race["racers"]:
                noted[racer["id"]] += racer.get("notes", ())
        return OddMatrix(findings, stats, noted)


async def _get(me: aiohttp.ClientSession, path: str) -> Any:
    async with me.get(path) as answer:
        return await answer.json(loads=orjson.loads)


@asynccontextmanager
async def _opened(
    folder: Path, odd: Sequence[Oddity], names: Sequence[str]
) -> AsyncIterator[str]:
    async with AsyncExitStack() as stack:
        tables = []
        for name, each in zip(names, odd, strict=True):
            made = await stack.enter_async_context(upstream(each.steps))
            made.refuses = each.refusal if each.judge else None
            tables.append(table(name, each, made.port))
        server = await stack.enter_async_context(
            running(folder / "config.toml", "\n".join(tables))
        )
        yield server.url


def table(name: str, odd: Oddity, port: int) -> str:
    """Return the table of an oddity's provider: its vendor's row, at another host."""
    host = HOSTS.get(odd.vendor, "")
    row = vendors().get(odd.vendor, {"kind": odd.kind})
    keys = {
        "unknown_model": "default",
        "default_model": "m",
        **row,
        **odd.keys,
        "api_key": "k",
        "base_url": f"http://127.0.0.1:{port}{host}/v1",
        "enabled": True,
    }
    lines = [f"{key} = {_toml(value)}" for key, value in keys.items()]
    return "\n".join([f"[providers.{name}]", *lines])


def _toml(value: Any) -> str:
    if isinstance(value, Mapping):
        fields = (f"{json.dumps(n)} = {_toml(v)}" for n, v in value.items())
        return f"{{ {', '.join(fields)} }}"
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(_toml, value))}]"
    return json.dumps(value)


async def _ask_again(me: aiohttp.ClientSession, cell: OddCell) -> OddFinding:
    """Ask twice on one connection, the second time as soon as it has been told."""
    opened: list[Any] = []

    async def count(_: Any, __: Any, params: Any) -> None:
        opened.append(params)

    trace = aiohttp.TraceConfig()
    trace.on_connection_create_end.append(count)
    connector = aiohttp.TCPConnector(limit=1)
    base = me._base_url  # noqa: SLF001 - there is no public name of it
    async with aiohttp.ClientSession(
        base, connector=connector, trace_configs=[trace]
    ) as one:
        first, second = await ask(one, cell), await ask(one, cell)
    problems = [*first.problems, *second.problems]
    if first.outcome != second.outcome:
        problems.append(f"{cell.oddity.name}: {second.outcome} the second time")
    if len(opened) > 1:
        problems.append(f"{cell.oddity.name}: the connection was closed")
    return OddFinding(cell, first.outcome, problems)


async def ask(me: aiohttp.ClientSession, cell: OddCell) -> OddFinding:
    asked = cell.asked
    more = cell.oddity.bodies.get(asked.path, {})
    body = {**asked.request(cell.id), **more, "model": "m"}
    async with me.post(asked.path, json=body) as answer:
        text = await answer.text()
    try:
        told = asked.read(answer.status, text)
        problems = [*_problems(cell, told)]
        if told.ended and asked.stream and asked.path == MESSAGES:
            known = ("message_", "content_block_")  # others pass, for who knows them
            events = named(text.encode())
            check_order(each for each in events if each["type"].startswith(known))
        outcome = _outcome(told)
    except (ValueError, LookupError, TypeError, AttributeError, AssertionError) as exc:
        outcome, problems = "unreadable", [repr(exc)]
    name = f"{cell.oddity.section} {cell.oddity.name}, {asked.name}"
    return OddFinding(
        cell, outcome, [f"{name}: {each} in {text[-600:]}" for each in problems]
    )


def _outcome(told: Told) -> str:
    if told.status != 200:
        return str(told.status)
    if told.error:
        return "interrupted"
    said = "+".join(
        name for name in ("thought", "text", "calls") if getattr(told, name)
    )
    return f"{said or 'nothing'}: {told.finishes[-1]}"


def _problems(cell: OddCell, told: Told) -> Iterator[str]:
    odd = cell.oddity
    if odd.error is not None:
        yield from _error_problems(odd, told, cell.asked.path)
        return
    if told.status != 200 or told.error or not told.ended:
        yield f"no answer ({told.status} {told.error})"
        return
    if told.text != odd.text:
        yield f"the text {told.text!r}"
    if told.provider != cell.id:
        yield f"an answer of {told.provider}"
    if odd.tokens is not None and told.tokens != odd.tokens:
        yield f"{told.tokens} tokens"
    if cell.asked.path != COMPLETIONS:  # where there are neither thoughts nor calls
        yield from _chat_problems(odd, told)


def _chat_problems(odd: Oddity, told: Told) -> Iterator[str]:
    if told.thought != odd.thought:
        yield f"the thought {told.thought!r}"
    if told.finishes != [odd.finish]:
        yield f"the reasons {told.finishes}"
    yield from _call_problems(odd, told)


def _error_problems(odd: Oddity, told: Told, path: str) -> Iterator[str]:
    if not told.error or (odd.error or "") not in told.error:
        yield f"the error {told.error!r}"
    if told.ended or told.finishes:
        yield "an end as of a whole answer"
    # 500 is what Anthropic's clients know an upstream's failure by.
    if (told.status == 500 and path != MESSAGES) or (
        odd.status and told.status != odd.status
    ):
        yield f"the status {told.status}"


def _call_problems(odd: Oddity, told: Told) -> Iterator[str]:
    calls = list(told.calls.values())
    made = [(each.name, orjson.loads(each.arguments)) for each in calls]
    if made != [(name, orjson.loads(said)) for name, said in odd.calls]:
        yield f"the calls {made}"
    ids = {each.id for each in calls}
    if len(ids) != len(calls) or "" in ids:
        yield f"the ids {ids}"
