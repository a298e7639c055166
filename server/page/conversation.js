// A conversation: a tree of messages, of which one branch is shown; and what is sent of it.

export function newId() {
  const bytes = crypto.getRandomValues(new Uint8Array(12));
  return [...bytes].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}

export function newConversation() {
  return { id: newId(), title: "", updated: Date.now(), nodes: {}, leaf: null };
}

/** Put a message below *parent*, and show its branch. */
export function add(conversation, parent, node) {
  const made = { id: newId(), parent, ...node };
  conversation.nodes[made.id] = made;
  conversation.leaf = made.id;
  if (!conversation.title && made.text) conversation.title = made.text.slice(0, 80);
  return made;
}

/** Return the messages that are shown, the first one first. */
export function branch(conversation, leaf = conversation.leaf) {
  const path = [];
  for (let id = leaf; id; id = conversation.nodes[id].parent) path.unshift(conversation.nodes[id]);
  return path;
}

/** Return the versions of a message, itself among them. */
export function versions(conversation, node) {
  return Object.values(conversation.nodes).filter((each) => each.parent === node.parent && each.role === node.role);
}

/** Show the branch of another version: to its newest message. */
export function choose(conversation, node) {
  let leaf = node;
  while (true) {
    const next = Object.values(conversation.nodes).filter((each) => each.parent === leaf.id).at(-1);
    if (!next) break;
    leaf = next;
  }
  conversation.leaf = leaf.id;
}

/** Return the messages of a request, in the words of OpenAI's API. */
export function messages(path, system) {
  const sent = path.map((node) =>
    node.role === "user" ? { role: "user", content: content(node) } : { role: "assistant", content: node.runs[node.chosen ?? 0].text });
  const said = sent.filter((message) => message.role === "user" || message.content);
  return system ? [{ role: "system", content: system }, ...said] : said;
}

function content({ text, files = [] }) {
  if (!files.length) return text;
  const texts = files.filter((file) => file.text !== undefined).map((file) => `${file.name}:\n\n${file.text}\n\n`);
  const parts = files.filter((file) => file.url).map(part);
  const words = texts.join("") + text;
  return parts.length ? [...parts, { type: "text", text: words }] : words;
}

function part(file) {
  if (file.type.startsWith("image/")) return { type: "image_url", image_url: { url: file.url } };
  if (file.type.startsWith("audio/")) {
    const format = file.type.includes("mp") ? "mp3" : "wav";
    return { type: "input_audio", input_audio: { data: file.url.split(",")[1], format } };
  }
  return { type: "file", file: { filename: file.name, file_data: file.url } };
}

const NUMBERS = ["temperature", "top_p", "max_tokens", "seed", "frequency_penalty", "presence_penalty"];

/** Return the requests of one turn: one race, or with "compare" one for each provider. */
export function requests(path, { model, providers, mode, system, parameters = {} }) {
  const given = NUMBERS.filter((name) => parameters[name] != null && parameters[name] !== "");
  const body = {
    model,
    messages: messages(path, system),
    stream: true,
    stream_options: { include_usage: true },
    ...Object.fromEntries(given.map((name) => [name, Number(parameters[name])])),
  };
  if (mode === "compare") return providers.map((provider) => ({ ...body, provider }));
  if (!providers.length) return [body];
  return [{ ...body, provider: providers.join(" "), race: { strategy: mode } }];
}

/** Take in one chunk of an answer. */
export function receive(run, chunk) {
  if (chunk.error) throw Object.assign(new Error(chunk.error.message), { code: chunk.error.code });
  run.provider = chunk.provider ?? run.provider;
  run.model = chunk.model ?? run.model;
  if (chunk.usage) run.usage = chunk.usage;
  const delta = chunk.choices?.[0]?.delta ?? {};
  const thought = delta.reasoning_content ?? delta.reasoning ?? "";
  const text = delta.content ?? delta.refusal ?? "";
  if (typeof thought === "string" && thought) run.thinking += thought;
  if (text) run.text += text;
  if (chunk.choices?.[0]?.finish_reason) run.finish = chunk.choices[0].finish_reason;
  return { thought: Boolean(thought), text: Boolean(text) };
}

/** Return tokens a second, without the time to the first one; null: nobody can know. */
export function speed(run) {
  const tokens = run.usage?.completion_tokens;
  if (!tokens || run.ttft == null || !(run.ms > run.ttft)) return null;
  return (tokens - 1) / ((run.ms - run.ttft) / 1000);
}
