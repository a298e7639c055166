"""The web page, as people use it: in Chromium, on a real server."""

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from hashlib import sha256
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import pytest_asyncio
from playwright.async_api import Browser, Page, expect

from tests.rig.browser import CHROMIUM, Rig, chromium, violations
from tests.rig.pictures import generated, picture
from tests.rig.upstream import HEAD, ROLE, answers, delta, says

pytestmark = [
    pytest.mark.asyncio(loop_scope="session"),
    pytest.mark.skipif(
        CHROMIUM is None, reason="needs Chromium or Chrome: apt-get install chromium"
    ),
]
VIEWS = ("chat", "races", "providers", "images", "policy", "use")
HOSTILE = """<img src=x onerror="document.title='owned'"><b>bold</b>
<script>document.title='owned'</script>

[run](javascript:document.title='owned') [data](data:text/html,<script>1</script>)
[ok](https://example.com/) ![look](https://evil.example/a.png?secret)

```html
<script>document.title='owned'</script>
```
"""


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def browser() -> AsyncIterator[Browser]:
    async with chromium() as made:
        yield made


@pytest_asyncio.fixture(loop_scope="session")
async def rig(browser: Browser, tmp_path: Path) -> AsyncIterator[Rig]:
    """Give a test what it needs; afterwards, no page has done what none may."""
    async with AsyncExitStack() as stack:
        made = Rig(browser, tmp_path, stack)
        yield made
        assert made.troubles == []


async def choose(page: Page, *providers: str) -> None:
    for provider in providers:
        await page.get_by_role("button", name=provider, exact=True).click()


async def ask(page: Page, text: str = "Hello?") -> None:
    await page.get_by_label("Message", exact=True).fill(text)
    await page.keyboard.press("Enter")


def lane(page: Page, provider: str) -> Any:
    return page.get_by_role("button", name=f"{provider}: ")


async def test_lanes_move_before_the_answer_is_there(rig: Rig) -> None:
    """
    A race is seen while nobody has won: who answers, who has failed; then the answer
    grows, the loser is cut off, and the foot tells who won.
    """
    go_on = asyncio.Event()
    first = await rig.upstream(HEAD, ROLE, go_on, *says("Hi ", "**there**")[2:])
    never = await rig.upstream(...)
    broken = await rig.upstream(*answers(503, {"error": {"message": "no"}}))
    page = await rig.open(
        await rig.serve(
            first.table("First"), never.table("Never"), broken.table("Broken")
        )
    )
    await choose(page, "First", "Never", "Broken")

    await ask(page)

    await expect(lane(page, "First")).to_have_accessible_name(re.compile("answering"))
    await expect(lane(page, "Never")).to_have_accessible_name(re.compile("connected"))
    await expect(lane(page, "Broken")).to_have_accessible_name(re.compile("server err"))
    bar = lane(page, "Never").locator(".bar.headers")
    width = await bar.evaluate("each => each.getBoundingClientRect().right")
    await page.wait_for_function(
        "before => [...document.querySelectorAll('.bar.headers')]"
        ".some(each => each.getBoundingClientRect().right > before)",
        arg=width,
    )
    assert await page.locator(".answer > .prose").inner_text() == ""
    go_on.set()
    await expect(page.locator(".assistant strong")).to_have_text("there")
    await expect(page.locator(".foot")).to_contain_text("First")
    await expect(page.locator(".foot")).to_contain_text("3 → 2 tokens")
    await expect(lane(page, "First")).to_have_accessible_name(re.compile("won at"))
    await expect(lane(page, "Never")).to_have_accessible_name(re.compile("cut off at"))
    await lane(page, "First").click()
    dialog = page.get_by_role("dialog")
    await expect(dialog).to_contain_text('"winner": "First"')
    await expect(dialog.get_by_role("row", name="Broken")).to_contain_text("503")


async def test_stop_keeps_what_was_said(rig: Rig) -> None:
    """Esc hangs up on the upstream at once; the text stays, also after a reload."""
    endless = await rig.upstream(HEAD, ROLE, delta(content="Once upon"), ...)
    page = await rig.open(await rig.serve(endless.table("Endless")))
    await choose(page, "Endless")
    await ask(page)
    await expect(page.locator(".answer > .prose")).to_have_text("Once upon")

    await page.keyboard.press("Escape")

    async with asyncio.timeout(5):
        await endless.hung_up.get()
    await expect(page.locator(".state")).to_contain_text("Stopped")
    await expect(page.get_by_role("button", name="Send", exact=True)).to_be_visible()
    await page.reload()
    await page.locator(".entry").first.click()
    await expect(page.locator(".answer > .prose")).to_have_text("Once upon")


async def test_compare_and_branches(rig: Rig) -> None:
    """
    Each provider answers in its own column; one of them is gone on with. An edited
    message is another branch, and the one before is still there.
    """
    one = await rig.upstream(*says("I am One"))
    two = await rig.upstream(*says("I am Two"))
    page = await rig.open(await rig.serve(one.table("One"), two.table("Two")))
    await choose(page, "One", "Two")
    await page.get_by_text("Compare", exact=True).click()
    await ask(page, "Who are you?")
    columns = page.locator(".column")
    await expect(columns.nth(0)).to_contain_text("I am One")
    await expect(columns.nth(1)).to_contain_text("I am Two")
    await expect(page.locator(".foot", has_text="before the second")).to_have_count(1)

    await page.get_by_role("radio", name=re.compile("Two")).check()
    await page.get_by_text("Race", exact=True).click()
    await ask(page, "Really?")
    await expect(page.locator(".assistant")).to_have_count(2)
    await expect(page.locator(".assistant").last).to_contain_text("I am")
    last = (one.requests + two.requests)[-1].json["messages"]
    assert [message["content"] for message in last] == [
        "Who are you?",
        "I am Two",
        "Really?",
    ]

    await page.get_by_role("button", name="Edit, as a new branch").last.click()
    await page.get_by_label("Edit the message").fill("Truly?")
    await page.get_by_role("button", name="Send", exact=True).first.click()
    await expect(page.locator(".user").last).to_contain_text("2/2")
    await expect(page.locator(".assistant").last.locator(".foot")).not_to_be_empty()
    await page.get_by_role("button", name="The version before").click()
    await expect(page.locator(".user").last).to_contain_text("Really?")


async def test_images(rig: Rig) -> None:
    """A prompt comes to a picture that this server keeps, with its lanes."""
    painter = await rig.upstream(*answers(200, generated(picture())))
    page = await rig.open(
        await rig.serve(
            painter.table("Painter"),
            '[providers.Painter.image_models]\n"flux" = "flux"',
        )
        + "/#images"
    )
    await page.get_by_label("Prompt").fill("a red square")
    await page.get_by_role("button", name="Paint", exact=True).click()

    shown = page.get_by_role("img", name="a red square")
    await expect(shown).to_be_visible()
    await page.wait_for_function(
        "() => document.querySelector('.pictures img').naturalWidth === 8"
    )
    assert "/media/" in (await shown.get_attribute("src") or "")
    await expect(lane(page, "Painter")).to_have_accessible_name(re.compile("won"))


async def test_a_key_is_asked_for_in_place(rig: Rig) -> None:
    """A wrong one is asked for again; the right one is kept in the tab, in no URL."""
    good = await rig.upstream(*says("Good"))
    digest = sha256(b"right").hexdigest()
    url = await rig.serve(
        good.table("Good"), f"[[auth.keys]]\nname = 'me'\nsha256 = '{digest}'"
    )
    page = await rig.open(url)
    urls: list[str] = []
    page.on("request", lambda request: urls.append(request.url))

    dialog = page.get_by_role("dialog", name="A key is needed")
    for key in ("wrong", "right"):
        await dialog.get_by_label("API key").fill(key)
        await dialog.get_by_role("button", name="Go on").click()
        if key == "wrong":
            await expect(dialog).to_contain_text("not known")
    await choose(page, "Good")
    await ask(page)

    await expect(page.locator(".answer > .prose")).to_have_text("Good")
    await expect(lane(page, "Good")).to_have_accessible_name(re.compile("won"))
    kept = await page.evaluate("JSON.stringify([localStorage, sessionStorage])")
    assert kept.count("right") == 1
    assert "right" in await page.evaluate("JSON.stringify(sessionStorage)")
    assert not any("right" in each for each in urls)


async def test_server_gone_and_back(rig: Rig) -> None:
    """A banner says so, what was written is kept, and the page goes on by itself."""
    good = await rig.upstream(*says("Good"))
    server = await rig.start(good.table("Good"))
    page = await rig.open(server.url)
    await choose(page, "Good")
    await server.stop()
    banner = page.locator("#banner")
    await expect(banner).to_be_visible()
    await ask(page, "A long thought")
    port = server.url.rpartition(":")[2]
    await rig.start(good.table("Good"), arguments=("--port", port))

    await expect(banner).to_be_hidden()
    box = page.get_by_label("Message", exact=True)
    await expect(box).to_have_value("A long thought")
    await box.press("Enter")
    await expect(page.locator(".answer > .prose")).to_have_text("Good")
    await expect(lane(page, "Good")).to_have_accessible_name(re.compile("won"))


async def test_keyboard_only(rig: Rig) -> None:
    """Providers are chosen, a question asked and a view changed without a mouse."""
    good = await rig.upstream(*says("Good"))
    page = await rig.open(await rig.serve(good.table("Good")))
    await expect(page.get_by_role("button", name="Good", exact=True)).to_be_visible()
    await expect(page.get_by_label("Message", exact=True)).to_be_focused()

    await page.keyboard.press("Shift+Tab")
    await page.keyboard.press("Space")
    await expect(page.get_by_role("button", name="Good")).to_have_attribute(
        "aria-pressed", "true"
    )
    await page.keyboard.press("Tab")
    await page.keyboard.type("Hello")
    await page.keyboard.press("Shift+Enter")
    await page.keyboard.type("there")
    await page.keyboard.press("Enter")
    await expect(page.locator(".user")).to_contain_text("Hello\nthere")
    await expect(page.locator(".foot")).to_contain_text("Good")
    await expect(page.locator("#announce")).to_have_text("Done, 1 word")

    link = page.get_by_role("link", name="Races")
    for _ in range(60):
        if await link.evaluate("each => each === document.activeElement"):
            break
        await page.keyboard.press("Tab")
    await page.keyboard.press("Enter")
    await expect(page.get_by_role("heading", name="Races")).to_be_visible()
    await expect(page.locator(".card")).to_have_count(1)


async def test_two_tabs(rig: Rig) -> None:
    """What one tab asks, the other sees: the race as it runs, and the conversation."""
    go_on = asyncio.Event()
    good = await rig.upstream(HEAD, ROLE, go_on, *says("Good")[2:])
    url = await rig.serve(good.table("Good"))
    first = await rig.open(url)
    second = await rig.tab(first.context, f"{url}/#races")
    await expect(second.get_by_text("No race yet")).to_be_visible()
    await choose(first, "Good")

    await ask(first, "For both")
    await expect(lane(second, "Good")).to_have_accessible_name(re.compile("answering"))
    go_on.set()
    await expect(lane(second, "Good")).to_have_accessible_name(re.compile("won"))
    await second.get_by_role("link", name="Chat").click()
    await expect(second.locator(".entry", has_text="For both")).to_be_visible()
    await expect(first.locator(".foot")).to_contain_text("Good")


async def test_hostile_model(rig: Rig) -> None:
    """
    HTML, scripts and `javascript:` links are text; an image from elsewhere is a link
    that names its host, and nobody is asked for it.
    """
    bad = await rig.upstream(*says(HOSTILE))
    page = await rig.open(await rig.serve(bad.table("Bad")))
    await choose(page, "Bad")
    await ask(page)
    await expect(page.locator(".foot")).to_contain_text("Bad")

    shown = page.locator(".answer > .prose")
    assert await page.title() == "Chat · Interference"
    await expect(shown).to_contain_text("<img src=x onerror")
    assert await shown.locator("script, img, iframe").count() == 0
    links = await shown.locator("a").evaluate_all("all => all.map(a => a.href)")
    assert links == ["https://example.com/", "https://evil.example/a.png?secret"]
    await expect(shown).to_contain_text("image at evil.example")


@pytest.mark.parametrize(("scheme", "width"), [("light", 1280), ("dark", 320)])
async def test_everybody_can_use_it(rig: Rig, scheme: Any, width: int) -> None:
    """No view shuts anybody out, or is wider than its window."""
    good = await rig.upstream(*says("# Good\n\n- a\n\n`b`\n\n| a |\n|---|\n| b |"))
    broken = await rig.upstream(*answers(500))
    url = await rig.serve(good.table("Good"), broken.table("Broken"))
    page = await rig.open(
        url, color_scheme=scheme, viewport={"width": width, "height": 640}
    )
    await choose(page, "Good", "Broken")
    await ask(page)
    await expect(page.locator(".foot")).to_contain_text("Good")
    for view in VIEWS:
        await page.goto(f"{url}/#{view}")
        await expect(
            page.locator(f"body[data-view={view}] main h1").first
        ).to_be_visible()
        await page.wait_for_load_state("networkidle") if view == "none" else None
        assert await violations(page) == [], view
        wide = "document.documentElement.scrollWidth - innerWidth"
        assert await page.evaluate(wide) <= 0, view


async def test_embedded_model(rig: Rig, embedded_url: str) -> None:
    """A newcomer with no key types a prompt, and the embedded model answers."""
    page = await rig.open(embedded_url)
    await page.get_by_role("button", name="System prompt and parameters").click()
    await page.get_by_label("Most tokens").fill("12")
    await page.keyboard.press("Escape")
    await ask(page, "Say hello.")

    await expect(page.locator(".foot")).to_contain_text("SmolLM2", timeout=60_000)
    assert await page.locator(".answer > .prose").inner_text() != ""


async def test_a_visit_is_small(rig: Rig) -> None:
    """What a visitor loads before asking anything is at most 80 KB, unpacked."""
    page = await rig.open(await rig.serve())
    await expect(page.get_by_label("Message", exact=True)).to_be_focused()
    await expect(page.get_by_text("No provider for this is on")).to_be_visible()

    size = await page.evaluate(
        """() => ["navigation", "resource"]
          .flatMap(type => performance.getEntriesByType(type))
          .filter(each => !each.name.includes("/v1/"))
          .reduce((sum, each) => sum + each.decodedBodySize, 0)"""
    )

    assert 40_000 < size <= 80_000


async def test_what_is_served(rig: Rig) -> None:
    """Browsers get the page under a strict policy, others JSON; files have ETags."""
    url = await rig.serve()
    async with aiohttp.ClientSession(url) as session:
        page = await session.get("/", headers={"Accept": "text/html,*/*;q=0.8"})
        assert page.content_type == "text/html"
        policy = page.headers["Content-Security-Policy"]
        assert "script-src 'self'" in policy
        assert "require-trusted-types-for 'script'; trusted-types 'none'" in policy
        assert "unsafe" not in policy
        named = re.findall(r'(?:src|href)="(page/[^"]+)"', await page.text())
        assert len(named) > 10
        for name in named:
            file = await session.get(f"/{name}")
            assert file.headers["X-Content-Type-Options"] == "nosniff"
            known = {"If-None-Match": file.headers["ETag"]}
            assert (await session.get(f"/{name}", headers=known)).status == 304
        assert (await session.get("/page/nothing.js")).status == 404
        told = await (await session.get("/", headers={"Accept": "*/*"})).json()
        assert told["openai_base_url"] == f"{url}/v1"
