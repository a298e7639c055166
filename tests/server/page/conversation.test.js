import assert from "node:assert/strict";
import { test } from "node:test";

import { add, branch, choose, newConversation, receive, requests, speed, versions } from "../../../server/page/conversation.js";

function talked() {
  const conversation = newConversation();
  const question = add(conversation, null, { role: "user", text: "Hello?" });
  const answer = add(conversation, question.id, { role: "assistant", runs: [{ text: "one" }, { text: "two" }], chosen: 1 });
  return { conversation, question, answer };
}

test("another version is another branch, and both are kept", () => {
  const { conversation, question, answer } = talked();
  const edited = add(conversation, null, { role: "user", text: "Hi?" });
  assert.deepEqual(branch(conversation), [edited]);
  assert.deepEqual(versions(conversation, edited), [question, edited]);
  choose(conversation, question);
  assert.deepEqual(branch(conversation), [question, answer]);
  assert.equal(conversation.title, "Hello?");
});

test("a request has the answers that were chosen, files as parts, and what was set only", () => {
  const { conversation, answer } = talked();
  const files = [{ name: "a.txt", type: "text/plain", text: "A" }, { name: "b.png", type: "image/png", url: "data:image/png;base64,AA" }];
  add(conversation, answer.id, { role: "user", text: "See.", files });
  const settings = { model: "m", providers: ["A", "B"], mode: "hedge", system: "Be short.", parameters: { temperature: "0.5", seed: "" } };
  const [body] = requests(branch(conversation), settings);
  assert.deepEqual(body.messages, [
    { role: "system", content: "Be short." },
    { role: "user", content: "Hello?" },
    { role: "assistant", content: "two" },
    { role: "user", content: [{ type: "image_url", image_url: { url: "data:image/png;base64,AA" } }, { type: "text", text: "a.txt:\n\nA\n\nSee." }] },
  ]);
  assert.deepEqual([body.provider, body.race, body.temperature], ["A B", { strategy: "hedge" }, 0.5]);
  assert.ok(!("seed" in body));
  const compared = requests(branch(conversation), { ...settings, mode: "compare" });
  assert.deepEqual(compared.map((each) => [each.provider, each.race]), [["A", undefined], ["B", undefined]]);
});

test("an answer grows by its chunks; an error among them is raised", () => {
  const run = { text: "", thinking: "", ttft: 100, ms: 1100 };
  receive(run, { provider: "A", model: "m", choices: [{ delta: { role: "assistant", content: "" } }] });
  assert.deepEqual(receive(run, { choices: [{ delta: { reasoning_content: "Hm." } }] }), { thought: true, text: false });
  receive(run, { choices: [{ delta: { content: "Yes" }, finish_reason: "stop" }] });
  receive(run, { choices: [], usage: { completion_tokens: 11 } });
  assert.deepEqual([run.provider, run.thinking, run.text, run.finish], ["A", "Hm.", "Yes", "stop"]);
  assert.equal(speed(run), 10);
  assert.equal(speed({ ...run, ttft: null }), null);
  assert.throws(() => receive(run, { error: { message: "broken", code: "stream_interrupted" } }), /broken/);
});
