import assert from "node:assert/strict";
import { test } from "node:test";

import { EventSplitter, readEvents } from "../../../server/page/events.js";

const SENT = ": ping\n\nevent: race.started\ndata: {\"a\":1}\n\ndata:no space\ndata: two\n\ndata: [DONE]\n\n";
const TOLD = [
  { event: "race.started", data: '{"a":1}' },
  { event: "message", data: "no space\ntwo" },
  { event: "message", data: "[DONE]" },
];

for (const [name, ends] of Object.entries({ "\\n": "\n", "\\r\\n": "\r\n", "\\r": "\r" })) {
  test(`events whose lines end with ${name} are the same, wherever they are cut`, () => {
    const text = SENT.replaceAll("\n", ends) + (ends === "\r" ? ":" : "");
    for (let size = 1; size <= text.length; size++) {
      const splitter = new EventSplitter();
      const got = [];
      for (let at = 0; at < text.length; at += size) got.push(...splitter.push(text.slice(at, at + size)));
      assert.deepEqual(got, TOLD, `in pieces of ${size}`);
    }
  });
}

test("an event's name does not outlive an event without data", () => {
  assert.deepEqual(new EventSplitter().push("event: a\n\ndata: b\n\n"), [{ event: "message", data: "b" }]);
});

test("characters that are cut in two are whole again", async () => {
  const bytes = new TextEncoder().encode("data: é€😀\n\n");
  const body = new ReadableStream({
    start(controller) {
      for (const byte of bytes) controller.enqueue(new Uint8Array([byte]));
      controller.close();
    },
  });
  const got = [];
  for await (const events of readEvents({ body })) got.push(...events);
  assert.deepEqual(got, [{ event: "message", data: "é€😀" }]);
});
