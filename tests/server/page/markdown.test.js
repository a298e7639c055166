import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";

import { parse, settled } from "../../../server/page/markdown.js";
import { rendered } from "./html.js";

const CORPUS = readFileSync(new URL("corpus.md", import.meta.url), "utf8").trimEnd().split("\n%%%\n");

test("a text that grows is at last what it is at once, if finished blocks are left alone", () => {
  for (const text of CORPUS) {
    let read = 0;
    let frozen = [];
    let blocks = [];
    for (let end = 1; end <= text.length; end++) {
      blocks = parse(text.slice(read, end));
      const done = settled(blocks, text.slice(read, end));
      if (done) read += blocks[done].start;
      frozen = frozen.concat(blocks.splice(0, done));
    }
    const plain = (list) => JSON.stringify(list, (key, value) => (["line", "start", "open"].includes(key) ? undefined : value));
    assert.equal(plain([...frozen, ...blocks]), plain(parse(text)), text.slice(0, 80));
  }
});

test("tags are text", () => {
  assert.equal(rendered("<img src=x onerror=alert(1)> &lt;b&gt;"), "<p>&lt;img src=x onerror=alert(1)&gt; &lt;b&gt;</p>");
});

test("what is meant to take long does not", () => {
  const mean = ["*a ".repeat(5000), "[".repeat(5000), "`".repeat(3000) + "a", "> ".repeat(3000), "- ".repeat(3000), "_*".repeat(3000), "![".repeat(3000), "&".repeat(5000), "|".repeat(5000) + "\n" + "|-".repeat(2500), "    - a\n".repeat(500)];
  for (const text of mean) {
    const begin = performance.now();
    parse(text);
    const took = performance.now() - begin;
    assert.ok(took < 1500, `${text.slice(0, 10)}: ${took} ms`);
  }
});
