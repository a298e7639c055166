"""What the web page costs its browser: `python -m benchmarks.page` prints a table.

One answer of 100 events a second, eight racers: script and layout a frame. And what a
first visit takes from loopback.
"""

import asyncio
import sys
from contextlib import AsyncExitStack
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any

from playwright.async_api import CDPSession, Page

from tests.rig.browser import Rig, chromium
from tests.rig.upstream import HEAD, ROLE, Step, delta

RACERS = 8
EVENTS_A_SECOND = 100
SECONDS = 8
# Words as models write them: lists, code and emphasis among them.
WORDS = (
    "The ",
    "**race** ",
    "has ",
    "`lanes`; ",
    "the ",
    "*first* ",
    "token ",
    "decides.\n\n",
    "- item ",
    "with ",
    "text\n",
)
VISITS = 9
PAINT = "() => performance.getEntriesByName('first-contentful-paint')[0].startTime"
SIZE = """() => performance.getEntriesByType('resource')
  .concat(performance.getEntriesByType('navigation'))
  .filter(each => !each.name.includes('/v1/'))
  .reduce((sum, each) => sum + each.decodedBodySize, 0)"""
COUNT_FRAMES = """() => {
  window.frames_seen = 0;
  const count = () => { window.frames_seen++; requestAnimationFrame(count); };
  requestAnimationFrame(count);
}"""


def answer() -> list[Step]:
    """Return the script of an answer that goes on for longer than it is looked at."""
    events = (SECONDS + 4) * EVENTS_A_SECOND
    steps: list[Step] = [HEAD, ROLE]
    for number in range(events):
        word = WORDS[number % len(WORDS)]
        steps += [delta(content=word), 1 / EVENTS_A_SECOND]
    return steps


async def metrics(page: Page, session: CDPSession) -> dict[str, float]:
    """Return the browser's own counters, and the frames so far."""
    found: Any = await session.send("Performance.getMetrics")
    values = {each["name"]: each["value"] for each in found["metrics"]}
    frames = await page.evaluate("() => window.frames_seen")
    return {**values, "frames": frames}


async def streaming(rig: Rig) -> str:
    """Return a line about what each frame costs while an answer streams."""
    ups = [await rig.upstream(*answer()) for _ in range(RACERS)]
    tables = [each.table(f"Racer{number}") for number, each in enumerate(ups)]
    page = await rig.open(await rig.serve(*tables))
    for number in range(RACERS):
        name = f"Racer{number}"
        await page.get_by_role("button", name=name, exact=True).click()
    await page.evaluate(COUNT_FRAMES)
    await page.get_by_label("Message", exact=True).fill("Go")
    await page.keyboard.press("Enter")
    await page.locator(".answer > .prose p").first.wait_for()
    session = await page.context.new_cdp_session(page)
    await session.send("Performance.enable")
    before = await metrics(page, session)
    await asyncio.sleep(SECONDS)
    after = await metrics(page, session)
    frames = after["frames"] - before["frames"]
    script, layout = (
        1000 * (after[name] - before[name]) / frames
        for name in ("ScriptDuration", "LayoutDuration")
    )
    return (
        f"{EVENTS_A_SECOND} events/s, {RACERS} lanes: {frames / SECONDS:.0f} frames/s,"
        f" {script:.2f} ms of script and {layout:.2f} ms of layout a frame"
    )


async def visiting(rig: Rig) -> str:
    """Return a line about visits from loopback: when something is to be seen."""
    url = await rig.serve()
    first: list[float] = []
    again: list[float] = []
    size = 0
    for _ in range(VISITS):
        page = await rig.open(url)
        for paints in (first, again):
            await page.get_by_label("Message", exact=True).wait_for()
            paints.append(await page.evaluate(PAINT))
            size = max(size, await page.evaluate(SIZE))
            await page.reload()
    return (
        f"painted {median(first):.0f} ms after a visit in a new process of the browser,"
        f" {median(again):.0f} ms in one that is there (medians of {VISITS});"
        f" {size / 1000:.0f} KB"
    )


async def main() -> None:
    with TemporaryDirectory() as folder:
        async with chromium() as browser, AsyncExitStack() as stack:
            rig = Rig(browser, Path(folder), stack)
            sys.stdout.write(f"{await visiting(rig)}\n")
            sys.stdout.write(f"{await streaming(rig)}\n")


if __name__ == "__main__":
    asyncio.run(main())
