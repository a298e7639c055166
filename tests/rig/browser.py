"""Debian's Chromium on the server's page, and a look at what no page may do."""

import shutil
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from attrs import define, field
from playwright.async_api import Browser, ConsoleMessage, Page, async_playwright

from . import server_process as process
from .upstream import Step, Upstream, upstream

NAMES = ("chromium", "chromium-browser", "google-chrome")
CHROMIUM = next(filter(None, map(shutil.which, NAMES)), None)
# What the browser itself writes for answers that tests have errors in.
OF_THE_BROWSER = "Failed to load resource"
SERIOUS = {"serious", "critical"}


@asynccontextmanager
async def chromium() -> AsyncIterator[Browser]:
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=CHROMIUM)
        yield browser
        await browser.close()


@define(eq=False, slots=False)  # it marks the methods that it is given
class Rig:
    """
    Servers, scripted upstreams and pages of one test.

    *troubles* has what pages have done that no page may: write errors, break the policy
    (which the browser writes as an error), ask another host.
    """

    browser: Browser
    folder: Path
    stack: AsyncExitStack
    troubles: list[str] = field(factory=list)

    async def upstream(self, *script: Step, **more: Any) -> Upstream:
        return await self.stack.enter_async_context(upstream(script, **more))

    async def serve(self, *toml: str, arguments: tuple[str, ...] = ()) -> str:
        """Start a server, and return its address."""
        server = await self.start(*toml, arguments=arguments)
        return server.url

    async def start(
        self, *toml: str, arguments: tuple[str, ...] = ()
    ) -> process.Server:
        text = "\n".join(toml)
        config = self.folder / "config.toml"
        return await self.stack.enter_async_context(
            process.running(config, text, *arguments)
        )

    async def open(self, url: str, **context: Any) -> Page:
        """Open a page as a new visitor, and watch it."""
        visitor = await self.browser.new_context(**context)
        self.stack.push_async_callback(visitor.close)
        return await self.tab(visitor, url)

    async def tab(self, visitor: Any, url: str) -> Page:
        page: Page = await visitor.new_page()
        page.set_default_timeout(15_000)
        page.on("console", self._read)
        page.on("pageerror", lambda error: self.troubles.append(f"{error}"))
        host = url.partition("#")[0].rstrip("/")
        page.on("request", lambda request: self._look(request.url, host))
        await page.goto(url)
        return page

    def _read(self, message: ConsoleMessage) -> None:
        if message.type in {"error", "warning"} and (
            OF_THE_BROWSER not in message.text
        ):
            self.troubles.append(message.text)

    def _look(self, url: str, host: str) -> None:
        if not url.startswith((f"{host}/", "data:", "blob:")):
            self.troubles.append(f"asked for {url}")


async def violations(page: Page) -> list[str]:
    """Return what axe finds that shuts people out."""
    spec = find_spec("axe_playwright_python")
    assert spec is not None
    assert spec.origin is not None
    await page.evaluate(Path(spec.origin).with_name("axe.min.js").read_text())
    found = await page.evaluate("() => axe.run()")
    return [
        f"{each['id']}: {node['html']} {node['failureSummary']}"
        for each in found["violations"]
        if each["impact"] in SERIOUS
        for node in each["nodes"]
    ]
