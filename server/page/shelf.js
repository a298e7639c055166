// The list of conversations at the side: found, exported, removed.

import { newConversation } from "./conversation.js";
import { dialog, fill, h, icon, iconButton } from "./dom.js";
import { all, download, has, onChange, remove, save } from "./store.js";

export class Shelf {
  #search = h("input", { type: "search", placeholder: "Search", "aria-label": "Search the conversations", oninput: () => this.show(this.#current) });
  #list = h("ul");
  #current = null;

  /** *actions*: `open` shows a conversation, `begin` a new one. */
  constructor(actions) {
    this.actions = actions;
    const fresh = h("button", { type: "button", class: "wide-button", onclick: () => this.#begin() }, icon("plus"), "New chat");
    const all_ = iconButton("save", "Export all as JSON", async () => download("conversations.json", await all()));
    const bring = h("input", { type: "file", accept: ".json", class: "unseen", tabindex: "-1", "aria-label": "Import", onchange: () => this.#import(bring) });
    const open = iconButton("attach", "Import from JSON", () => bring.click());
    fill(document.querySelector("#shelf"), fresh, h("div", { class: "row" }, this.#search, all_, open, bring), this.#list);
    onChange(() => this.show(this.#current));
  }

  async show(current) {
    this.#current = current;
    const words = this.#search.value.trim();
    const found = (await all()).filter((each) => !words || has(each, words));
    fill(this.#list, found.map((each) => this.#entry(each)));
    if (!found.length) this.#list.append(h("li", { class: "muted" }, words ? "Nothing found." : "What you ask is kept here, in this browser only."));
  }

  #entry(conversation) {
    const title = conversation.title || "Untitled";
    const open = h("button", { type: "button", class: "entry", "aria-current": String(conversation.id === this.#current), onclick: () => this.#open(conversation) }, title);
    const kept = iconButton("save", `Export “${title}”`, () => download(`${conversation.id}.json`, [conversation]));
    const bin = iconButton("bin", `Delete “${title}”`, () => this.#ask(conversation, title));
    return h("li", {}, open, kept, bin);
  }

  #open(conversation) {
    location.hash = "#chat";
    document.body.classList.remove("side-open");
    this.actions.open(conversation);
  }

  #begin() {
    this.#open(newConversation());
  }

  #ask(conversation, title) {
    const sure = h("button", {
      type: "button", class: "danger",
      onclick: async () => {
        shown.close();
        await remove(conversation.id);
        if (conversation.id === this.#current) this.actions.begin();
        else this.show(this.#current);
      },
    }, "Delete");
    const shown = dialog("Delete this conversation?", h("div", {}, h("p", {}, `“${title}” is in this browser only, and will be gone.`), h("p", { class: "row end" }, sure)));
  }

  async #import(input) {
    const found = JSON.parse(await input.files[0].text());
    for (const each of found) if (each.id && each.nodes) await save(each);
    this.show(this.#current);
  }
}
