// How others use this server: snippets with its address, the providers and the model.

import { base, storedKey } from "./api.js";
import { chats, fallbackModel, providers } from "./catalog.js";
import { copyButton, fill, h, segments } from "./dom.js";
import { Picker } from "./picker.js";

const choice = { providers: [], model: "" };
const picker = new Picker(choice, () => draw());
const shown = h("div", {});
let all = [];
let tool = "curl";

const CLIENTS = {
  curl: ["curl", ({ openai, model, key }) => `curl ${openai}/chat/completions \\
${key ? "  -H 'Authorization: Bearer YOUR_KEY' \\\n" : ""}  -H 'Content-Type: application/json' \\
  -d '{"model": "${model}", "messages": [{"role": "user", "content": "Say hello."}]}'`],
  python: ["Python", ({ openai, model, key }) => `from openai import OpenAI

client = OpenAI(base_url="${openai}", api_key="${key || "none"}")
answer = client.chat.completions.create(
    model="${model}",
    messages=[{"role": "user", "content": "Say hello."}],
)
print(answer.choices[0].message.content, answer.provider)`],
  node: ["Node", ({ openai, model, key }) => `import OpenAI from "openai";

const client = new OpenAI({ baseURL: "${openai}", apiKey: "${key || "none"}" });
const answer = await client.chat.completions.create({
  model: "${model}",
  messages: [{ role: "user", content: "Say hello." }],
});
console.log(answer.choices[0].message.content, answer.provider);`],
  claude: ["Claude Code", ({ anthropic, model, key }) => `export ANTHROPIC_BASE_URL=${anthropic}
export ANTHROPIC_AUTH_TOKEN=${key || "none"}
export ANTHROPIC_MODEL=${model}
export ANTHROPIC_SMALL_FAST_MODEL=${model}
claude`],
  codex: ["Codex", ({ openai, model, key }) => `# ~/.codex/config.toml
model = "${model}"
model_provider = "interference"
[model_providers.interference]
name = "Interference"
base_url = "${openai}"
wire_api = "responses"${key ? '\nenv_key = "INTERFERENCE_KEY"' : ""}`],
  webui: ["Open WebUI", ({ openai, key }) => `Admin Panel > Settings > Connections > OpenAI API > +

URL  ${openai}
Key  ${key || "none"}`],
};

function draw() {
  const root = base().replace(/\/$/, "");
  const racers = choice.providers.map(encodeURIComponent).join("+");
  const openai = racers ? `${root}/api/${racers}` : `${root}/v1`;
  const given = { openai, anthropic: racers ? openai : root, model: choice.model || fallbackModel(all, choice.providers), key: storedKey() ? "YOUR_KEY" : "" };
  const text = CLIENTS[tool][1](given);
  fill(shown, h("div", { class: "code" }, h("header", {}, h("span", {}, CLIENTS[tool][0]), copyButton(() => text)), h("pre", { tabindex: "0" }, h("code", {}, text))));
}

const tools = Object.entries(CLIENTS).map(([name, [label]]) => [name, label]);
const view = h("div", { class: "view" },
  h("header", { class: "head" }, h("h1", {}, "Use it"), h("p", { class: "muted" }, "Whatever speaks OpenAI's or Anthropic's API takes this server by another address.")),
  h("div", { class: "card controls" }, picker.element, h("div", { class: "field" }, h("span", {}, "Model"), picker.input), segments("Client", "client", tools, tool, (value) => { tool = value; draw(); })),
  shown,
  h("p", { class: "muted" }, "The providers stand in the address: all of them are asked at once. With none, whoever has the model is asked. ", h("a", { href: "docs" }, "Every route of the API")));

async function load() {
  draw();
  all = (await providers()).filter(chats);
  picker.show(all);
  draw();
}

export function show() {
  load();
  return view;
}
