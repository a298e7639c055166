// The view of conversations: messages, their branches, and what is asked next.

import { onBack } from "./api.js";
import { chats, fallbackModel, providers } from "./catalog.js";
import { Composer, thumbnail } from "./composer.js";
import { add, branch, choose, newConversation, newId, requests, versions } from "./conversation.js";
import { copyButton, fill, h, iconButton } from "./dom.js";
import { Shelf } from "./shelf.js";
import { save } from "./store.js";
import { ms } from "./words.js";

// Milliseconds after which an answer that still comes is kept as far as it is there.
const EVERY = 2000;
let Answer;
let prose;

/** Load what only messages need, which is a quarter of the page. */
async function load() {
  [{ Answer }, { prose }] = await Promise.all([import("./answer.js"), import("./prose.js")]);
}

class Chat {
  #log = h("div", { class: "log", role: "log", "aria-label": "Conversation", "aria-live": "off" });
  #composer = new Composer((text, files) => this.#say(text, files), load);
  #conversation = newConversation();
  #providers = [];
  #running = new Map();
  #shelf = new Shelf({ open: (conversation) => this.open(conversation), begin: () => this.open(newConversation()) });
  element = h("div", { class: "chat" }, this.#log, this.#composer.element);

  constructor() {
    onBack(() => this.refresh());
    document.addEventListener("keydown", (event) => event.key === "Escape" && this.#running.get(this.#conversation.id)?.abort());
    this.open(this.#conversation);
  }

  async refresh() {
    this.#providers = (await providers()).filter(chats);
    this.#composer.show(this.#providers);
    await this.#shelf.show(this.#conversation.id);
  }

  focus() {
    this.#composer.focus();
  }

  async open(conversation) {
    this.#conversation = conversation;
    this.#shelf.show(conversation.id);
    await this.#draw();
    this.#follow(true);
    this.#composer.busy(this.#stopper());
    this.focus();
  }

  #stopper() {
    const running = this.#running.get(this.#conversation.id);
    return running ? () => running.abort() : null;
  }

  async #draw() {
    if (this.#conversation.leaf) await load();
    const path = branch(this.#conversation);
    fill(this.#log, path.map((node) => this.#message(node)));
    if (!path.length) this.#log.append(welcome());
  }

  /** Keep the end in sight, if the reader is there. */
  #follow(always = false) {
    const { scrollHeight, scrollTop, clientHeight } = this.#log;
    if (always || scrollHeight - scrollTop - clientHeight < 120) this.#log.scrollTop = scrollHeight;
  }

  #message(node) {
    return node.role === "user" ? this.#question(node) : this.#answers(node, node.runs.map((run) => new Answer(run)));
  }

  #question(node) {
    const files = (node.files ?? []).map((file) => h("span", { class: "file" }, thumbnail(file)));
    const tools = [this.#versions(node), copyButton(() => node.text), iconButton("edit", "Edit, as a new branch", () => this.#edit(node, shown))];
    const shown = h("article", { class: "message user", "aria-label": "You" }, h("div", { class: "bubble" }, files, prose(node.text)), h("p", { class: "tools" }, tools));
    return shown;
  }

  #answers(node, answers) {
    const tools = [this.#versions(node), copyButton(() => node.runs[node.chosen ?? 0].text), iconButton("retry", "Ask again, as a new branch", () => this.#ask(node.parent))];
    const columns = answers.map((answer, index) => (answers.length === 1 ? answer.element : this.#column(node, answer, index)));
    return h("article", { class: "message assistant", "aria-label": "Answer" }, h("div", { class: answers.length > 1 ? "columns" : "" }, columns), h("p", { class: "tools" }, tools));
  }

  #column(node, answer, index) {
    const radio = h("input", { type: "radio", name: node.id, checked: index === (node.chosen ?? 0), onchange: () => this.#continueWith(node, index) });
    const head = h("label", {}, radio, answer.run.asked, h("small", {}, "go on with this"));
    return h("section", { class: "column", "aria-label": answer.run.asked }, head, answer.element);
  }

  #continueWith(node, index) {
    node.chosen = index;
    save(this.#conversation);
  }

  #versions(node) {
    const all = versions(this.#conversation, node);
    if (all.length < 2) return null;
    const at = all.indexOf(node);
    const go = (step) => () => {
      choose(this.#conversation, all[at + step]);
      save(this.#conversation);
      this.#draw();
    };
    return h("span", { class: "versions" },
      iconButton("left", "The version before", go(-1), { disabled: at === 0 }), `${at + 1}/${all.length}`,
      iconButton("right", "The next version", go(1), { disabled: at === all.length - 1 }));
  }

  #edit(node, shown) {
    const text = h("textarea", { value: node.text, "aria-label": "Edit the message", rows: 3 });
    const form = h("form", {
      class: "box editing",
      onsubmit: (event) => {
        event.preventDefault();
        const edited = add(this.#conversation, node.parent, { role: "user", text: text.value.trim(), files: node.files });
        this.#ask(edited.id);
      },
    }, text, h("div", { class: "row end" },
      h("button", { type: "button", class: "quiet", onclick: () => this.#draw() }, "Leave it"), h("button", { class: "primary" }, "Send")));
    fill(shown, form);
    text.focus();
  }

  #say(text, files) {
    const node = add(this.#conversation, this.#conversation.leaf, { role: "user", text, files });
    this.#ask(node.id);
  }

  /** Have the message *parent* answered, once more if it has been. */
  async #ask(parent) {
    const conversation = this.#conversation;
    conversation.leaf = parent;
    const { settings } = this.#composer;
    const asked = this.#asked(settings);
    const path = branch(conversation);
    const bodies = requests(path, { ...settings, ...asked });
    const runs = bodies.map((body) => ({ id: `page-${newId()}`, asked: body.provider, text: "", thinking: "", ttft: null }));
    const node = add(conversation, parent, { role: "assistant", mode: settings.mode, runs });
    const stop = new AbortController();
    this.#running.set(conversation.id, stop);
    await this.#draw();
    const answers = runs.map((run) => new Answer(run, () => this.#follow()));
    this.#log.lastChild.replaceWith(this.#answers(node, answers));
    this.#follow(true);
    this.#composer.busy(() => stop.abort());
    save(conversation).then(() => this.#shelf.show(this.#conversation.id));
    const saving = setInterval(() => save(conversation), EVERY);
    await Promise.all(answers.map((answer, index) => answer.stream(bodies[index], stop.signal)));
    clearInterval(saving);
    if (runs.length > 1) compare(runs);
    else expect(runs[0], this.#providers);
    this.#running.delete(conversation.id);
    await save(conversation);
    if (this.#conversation === conversation) {
      this.#composer.busy(null);
      if (conversation.leaf === node.id) this.#log.lastChild.replaceWith(this.#message(node));
      this.#follow();
    }
    this.#shelf.show(this.#conversation.id);
  }

  #asked({ providers: chosen, model, mode }) {
    const all = this.#providers.map(({ id }) => id);
    const those = mode === "compare" && !chosen.length ? all : chosen;
    return { providers: those, model: model || fallbackModel(this.#providers, those) };
  }
}

/** Say of answers side by side by how much the first was ahead. */
function compare(runs) {
  const heard = runs.filter((run) => run.ttft != null && !run.error).sort((a, b) => a.ttft - b.ttft);
  if (heard.length > 1) heard[0].ahead = `${ms(heard[1].ttft - heard[0].ttft)} before the second`;
}

/**
 * Say how much sooner the winner of a race was than the next would have been: losers are
 * cut off, so that nobody knows more than what they usually take.
 */
function expect(run, all) {
  if (!run.story || run.ttft == null) return;
  const lost = run.story.racers.filter((racer) => racer.outcome === "cut off").map(({ id }) => id);
  const usual = all.filter(({ id }) => lost.includes(id)).map(({ id, stats }) => [stats.ttft_ms.p50, id]);
  const [second] = usual.filter(([p50]) => p50 > run.ttft).sort(([a], [b]) => a - b);
  if (second) run.ahead = `about ${ms(second[0] - run.ttft)} before ${second[1]}'s usual`;
}

function welcome() {
  return h("div", { class: "empty" }, h("h1", {}, "Who is first?"),
    h("p", {}, "Choose providers and ask. All are asked at once; the first that really speaks is your answer, and you watch them run."));
}

let view = null;

export function show() {
  view ??= new Chat();
  view.refresh();
  queueMicrotask(() => view.focus());
  return view.element;
}
