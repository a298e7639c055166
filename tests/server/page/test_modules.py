"""The page's modules without a browser: by Node's own tests, and beside markdown-it."""

import json
import re
import subprocess
from pathlib import Path

from markdown_it import MarkdownIt

HERE = Path(__file__).parent
PAGE = HERE.parents[2] / "server/page"
BLOCKS = "p|h[1-6]|pre|hr|blockquote|ul|ol|li|table|thead|tbody|tr|th|td"
# Bytes of all files together. Who makes the page larger says here what for.
LARGEST = 124_000


def test_modules() -> None:
    """The splitter of events, the axis, races, conversations and Markdown hold."""
    files = sorted(str(file) for file in HERE.glob("*.test.js"))
    run = subprocess.run(
        ["node", "--test", *files],
        capture_output=True,
        text=True,
        check=False,
        timeout=100,
    )
    assert run.returncode == 0, run.stdout
    assert "# pass 0" not in run.stdout


def test_markdown_is_as_others_read_it() -> None:
    """Each text of the corpus comes to the same HTML as with markdown-it."""
    reader = MarkdownIt("commonmark", {"html": False})
    reader.enable(["table", "strikethrough"])
    texts = (HERE / "corpus.md").read_text().removesuffix("\n").split("\n%%%\n")
    run = subprocess.run(
        ["node", str(HERE / "html.js"), "--stdin"],
        input=json.dumps(texts),
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    for text, html in zip(texts, json.loads(run.stdout), strict=True):
        assert compact(html) == compact(reader.render(text)), text


def compact(html: str) -> str:
    """Return *html* without the line ends that are between blocks, and mean nothing."""
    parts = re.split(r"(<pre>.*?</pre>)", html.replace(" />", ">"), flags=re.DOTALL)
    tag = rf"\s*(</?(?:{BLOCKS})(?: [^>]*)?>)\s*"
    made = "".join(
        part.replace("\n</code>", "</code>")
        if part.startswith("<pre>")
        else re.sub(tag, r"\1", part.replace("<br>\n", "<br>"))
        for part in parts
    )
    return re.sub(r"\s*(<pre>|</pre>)\s*", r"\1", made)


def test_page_is_small_and_stands_alone() -> None:
    """It has a bound, names no other host, and makes no HTML of strings."""
    files = [file for file in PAGE.iterdir() if file.is_file()]
    assert sum(file.stat().st_size for file in files) <= LARGEST
    for file in files:
        text = file.read_text(encoding="utf-8")
        made = r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|eval\("
        assert not re.search(rf"{made}|new Function|@import", text), file
        if file.suffix == ".html":
            assert not re.search(r"<style|<script>|style=|\son\w+=", text)
        for url in re.findall(r"https?://[\w.]+", text):
            assert url == "http://www.w3.org", (file, url)
