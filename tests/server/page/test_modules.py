"""The page's modules without a browser: by Node's own tests, and beside markdown-it."""

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from markdown_it import MarkdownIt
from pygments.lexers import JavascriptLexer
from pygments.token import Comment, Whitespace

from server.web.routes.page import files

HERE = Path(__file__).parent
PAGE = HERE.parents[2] / "server/page"
BLOCKS = "p|h[1-6]|pre|hr|blockquote|ul|ol|li|table|thead|tbody|tr|th|td"
# Bytes of all files together, as they are sent. Who makes the page larger says here
# what for.
LARGEST = 97_500


def test_modules(tmp_path: Path) -> None:
    """
    As they are sent, the splitter of events, the axis, races, conversations and
    Markdown hold.
    """
    tests = shutil.copytree(HERE, tmp_path / "tests/server/page")
    page = tmp_path / "server/page"
    page.mkdir(parents=True)
    for name, file in files().items():
        (page / name).write_bytes(file.body)
    (tmp_path / "package.json").write_text('{"type": "module"}')
    run = subprocess.run(
        ["node", "--test", *sorted(map(str, tests.glob("*.test.js")))],
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
    assert sum(len(file.body) for file in files().values()) <= LARGEST
    for file in filter(Path.is_file, PAGE.iterdir()):
        text = file.read_text(encoding="utf-8")
        made = r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|eval\("
        assert not re.search(rf"{made}|new Function|@import", text), file
        if file.suffix == ".html":
            assert not re.search(r"<style|<script>|style=|\son\w+=", text)
        for url in re.findall(r"https?://[\w.]+", text):
            assert url == "http://www.w3.org", (file, url)


@pytest.mark.parametrize("name", sorted(file.name for file in PAGE.glob("*.js")))
def test_what_is_sent_is_what_is_written(name: str) -> None:
    """A module loses comments and white space, and no character of its literals."""
    source = (PAGE / name).read_text(encoding="utf-8")
    assert list(words(files()[name].body.decode())) == list(words(source))
    # Neither the packer nor the lexer here takes this for a regular expression.
    assert not re.search(r"=>\s*/[^/*]", source)


def words(text: str) -> Iterator[str]:
    """Yield the tokens of a module's *text* that mean something."""
    for kind, value in JavascriptLexer().get_tokens(text):
        if value and kind not in Whitespace and kind not in Comment:
            yield value
