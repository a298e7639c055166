// Chips of providers, and the choice of a model: for chats, images, and snippets.

import { fill, h } from "./dom.js";
import { mark } from "./lanes.js";
import { modelsOf } from "./catalog.js";

let lists = 0;

/** Chooses among *providers*; *choice* has `providers` and `model`, and is changed. */
export class Picker {
  #chips = h("div", { class: "chips", role: "group", "aria-label": "Providers" });
  #list = h("datalist", { id: `models-${lists++}` });
  #key;
  #all = [];

  constructor(choice, onchange, key = "models") {
    this.choice = choice;
    this.onchange = onchange;
    this.#key = key;
    this.input = h("input", {
      list: this.#list.id, value: choice.model ?? "", placeholder: "Each one's default", "aria-label": "Model", class: "model",
      spellcheck: "false", autocomplete: "off",
      oninput: () => this.#change({ model: this.input.value.trim() }),
    });
    this.element = h("div", { class: "picker" }, this.#chips, this.#list);
  }

  show(all) {
    this.#all = all;
    this.choice.providers = this.choice.providers.filter((id) => all.some((each) => each.id === id));
    fill(this.#chips, all.map((provider) => this.#chip(provider)));
    if (!all.length) this.#chips.append(h("span", { class: "muted" }, "No provider for this is on."));
    this.#suggest();
  }

  #chip({ id, label, stats }) {
    const chosen = this.choice.providers.includes(id);
    const rests = stats.status === "resting";
    const properties = { type: "button", class: "chip", "aria-pressed": String(chosen), title: rests ? `${label}: rests after failures` : label };
    return h("button", { ...properties, onclick: (event) => this.#toggle(id, event.currentTarget) }, mark(id), id, rests && h("small", {}, " rests"));
  }

  #toggle(id, chip) {
    const { providers } = this.choice;
    const chosen = !providers.includes(id);
    chip.setAttribute("aria-pressed", String(chosen));
    this.#change({ providers: chosen ? [...providers, id] : providers.filter((each) => each !== id) });
    this.#suggest();
  }

  #suggest() {
    const names = modelsOf(this.#all, this.choice.providers, this.#key);
    fill(this.#list, names.slice(0, 500).map((name) => h("option", { value: name })));
  }

  #change(changed) {
    Object.assign(this.choice, changed);
    this.onchange(this.choice);
  }
}
