// Everybody's races, as they run: the newest first.

import { empty, fill, h, segments } from "./dom.js";
import { Lanes, legend, showStory } from "./lanes.js";
import { races, watch } from "./live.js";
import { clock, ms } from "./words.js";

const SHOWN = 40;
const FILTERS = [["all", "All"], ["several", "Several racers"], ["failed", "With failures"]];

class Races {
  #cards = new Map();
  #filter = "all";
  #list = h("div", { class: "cards" });
  #empty = empty("No race yet", "As soon as anybody asks this server something, you see it run here.");
  element = h("div", { class: "view" },
    h("header", { class: "head" }, h("h1", {}, "Races"), segments("Which", "which", FILTERS, "all", (value) => this.#choose(value))),
    legend(), this.#empty, this.#list);

  constructor() {
    this.#choose("all");
    watch((race) => this.element.isConnected && this.#show(race));
  }

  #choose(filter) {
    this.#filter = filter;
    this.#cards.clear();
    fill(this.#list);
    for (const race of [...races.values()].slice(-SHOWN)) this.#show(race);
    this.#empty.hidden = this.#cards.size > 0;
  }

  #wanted(race) {
    if (this.#filter === "several") return race.lanes.length > 1;
    return this.#filter === "all" || race.lanes.some((lane) => lane.outcome === "failed");
  }

  #show(race) {
    if (!this.#cards.has(race.id)) {
      if (!this.#wanted(race)) return;
      this.#add(race);
    }
    this.#cards.get(race.id)(race);
  }

  #add(race) {
    const lanes = new Lanes();
    const end = h("span", { class: "muted" });
    const head = h("h2", {}, race.model ?? "no model", h("small", {}, `${race.strategy} · ${clock(race.created)}`));
    const story = h("button", { type: "button", class: "quiet", onclick: () => showStory(race) }, "Story");
    const card = h("article", { class: "card" }, h("header", {}, head, h("span", { class: "spring" }), end, story), lanes.element);
    this.#list.prepend(card);
    this.#empty.hidden = true;
    this.#cards.set(race.id, (changed) => {
      lanes.show(changed);
      end.textContent = changed.story ? `${changed.story.outcome} · ${ms(changed.story.ms)}` : "running";
    });
    if (this.#cards.size > SHOWN) {
      this.#cards.delete(this.#cards.keys().next().value);
      this.#list.lastChild.remove();
    }
  }

  again() {
    this.#choose(this.#filter);
    return this.element;
  }
}

let view = null;

export function show() {
  view ??= new Races();
  return view.again();
}
