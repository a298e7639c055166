// A race drawn: a lane a racer, on one time axis, while it runs and afterwards.

import { axisEnd, position, ticks } from "./axis.js";
import { dialog, fill, h, svg } from "./dom.js";
import { api } from "./api.js";
import { lasted, phases, wasted } from "./race.js";
import { count, ms, reason } from "./words.js";

const SHAPES = [
  "M8 2a6 6 0 1 0 0 12A6 6 0 0 0 8 2z",
  "M3 3h10v10H3z",
  "M8 2l6.500 11.500h-13z",
  "M8 1l7 7-7 7-7-7z",
  "M8 14.500L1.500 3h13z",
  "M6 2h4v4h4v4h-4v4H6v-4H2V6h4z",
  "M8 1.500l6.500 4.700-2.500 7.800H4L1.500 6.200z",
  "M5 2h6l3.500 6L11 14H5L1.500 8z",
];
const ROLES = new Map();
// Milliseconds after which a race whose end was not told is drawn no further.
const LONGEST = 660000;
// While the reader wants no motion, lanes are drawn when something happens, only.
const still = matchMedia("(prefers-reduced-motion: reduce)");

/** Give racers their hues and shapes, in the order of *ids*. */
export function seed(ids) {
  for (const id of ids) hue(id);
}

function hue(id) {
  if (!ROLES.has(id)) ROLES.set(id, ROLES.size);
  return ROLES.get(id);
}

/** Return a racer's mark: its hue and its shape, which are the same everywhere. */
export function mark(id) {
  const role = hue(id);
  const shape = SHAPES[(role + Math.floor(role / 8)) % 8];
  return svg("svg", { viewBox: "0 0 16 16", class: `mark hue-${role % 8}`, "aria-hidden": "true" },
    svg("path", { d: shape }));
}

/** Say in words what became of a lane, or what it is doing. */
export function fate(lane, race) {
  if (lane.outcome === "won") return lane.token == null ? "won" : `won at ${ms(lane.token)}`;
  if (lane.outcome === "failed") return reason(lane.reason, lane.status);
  if (lane.outcome === "cut off") return `cut off at ${ms(lane.end)}`;
  if (lane.start == null) return race.story || race.decided != null ? "did not start" : "waits";
  if (lane.connect == null) return "connecting";
  return lane.headers == null ? "connected" : "answering";
}

const END = { won: "⚑", failed: "✕", "cut off": "✂" };

/** The lanes of one race. Call `show` when it changes; it moves by itself meanwhile. */
export class Lanes {
  #rows = new Map();
  #frame = 0;
  #race = null;
  #axis = h("div", { class: "axis", "aria-hidden": "true" });
  #list = h("ul");
  #end = 0;
  element = h("div", { class: "lanes" }, this.#list, this.#axis);

  show(race) {
    this.#race = race;
    this.#draw();
  }

  #draw = () => {
    cancelAnimationFrame(this.#frame);
    const race = this.#race;
    const length = lasted(race, performance.now());
    this.#scale(axisEnd(this.#span(race, length)));
    for (const lane of race.lanes) this.#row(lane).draw(race, lane, length, this.#end);
    const runs = !race.story && length < LONGEST && this.element.isConnected;
    if (runs && !document.hidden && !still.matches) this.#frame = requestAnimationFrame(this.#draw);
  };

  /** Who won streams on for long: what matters is what came before, and a little. */
  #span(race, length) {
    if (race.decided == null) return length;
    const ends = race.lanes.map((lane) => (lane.id === race.winner ? 0 : (lane.end ?? 0)));
    return Math.min(length, Math.max(race.decided, ...ends) * 1.6);
  }

  #row(lane) {
    let row = this.#rows.get(lane.id);
    if (!row) {
      row = new Row(lane, () => showStory(this.#race));
      this.#rows.set(lane.id, row);
      this.#list.append(row.element);
    }
    return row;
  }

  #scale(end) {
    if (end === this.#end) return;
    this.#end = end;
    fill(this.#axis, ticks(end).map((moment) => {
      const tick = h("span", {}, moment >= 1000 ? `${moment / 1000} s` : `${moment} ms`);
      tick.style.left = `${position(moment, end) * 100}%`;
      return tick;
    }));
  }
}

class Row {
  #track = h("span", { class: "track" });
  #fate = h("span", { class: "fate" });
  #line = h("i", { class: "decided" });
  #sign = h("b", { class: "sign" });
  #bars = {};
  #told = "";

  constructor(lane, onclick) {
    const name = h("span", { class: "name", title: lane.model }, mark(lane.id), h("span", {}, lane.id));
    this.button = h("button", { type: "button", class: `lane hue-${hue(lane.id) % 8}`, onclick }, name, this.#track, this.#fate);
    this.element = h("li", {}, this.button);
    for (const phase of ["waiting", "connecting", "headers", "token", "streaming"]) {
      this.#bars[phase] = h("i", { class: `bar ${phase}`, hidden: true });
    }
    this.#track.append(...Object.values(this.#bars), this.#line, this.#sign);
  }

  draw(race, lane, until, end) {
    const waited = lane.start == null ? (race.decided ?? until) : until;
    const shown = new Map(phases(lane, waited).map(([phase, from, to]) => [phase, [from, to]]));
    for (const [phase, bar] of Object.entries(this.#bars)) {
      const span = shown.get(phase);
      bar.hidden = !span;
      if (span) place(bar, position(span[0], end), position(span[1], end));
    }
    this.#line.hidden = race.decided == null;
    if (race.decided != null) this.#line.style.left = `${position(race.decided, end) * 100}%`;
    const moment = lane.outcome === "won" ? (lane.token ?? race.decided) : lane.end;
    this.#sign.style.left = `${position(moment ?? 0, end) * 100}%`;
    this.#say(race, lane);
  }

  #say(race, lane) {
    const words = fate(lane, race);
    if (words === this.#told) return;
    this.#told = words;
    this.#fate.textContent = words;
    this.#sign.textContent = END[lane.outcome] ?? "";
    this.button.className = this.button.className.replace(/ is-.*|$/, ` is-${lane.outcome.replace(" ", "-")}`);
    this.button.setAttribute("aria-label", `${lane.id}: ${words}. Show the race's story`);
  }
}

function place(bar, from, to) {
  bar.style.left = `${from * 100}%`;
  bar.style.width = `${(to - from) * 100}%`;
}

/** What the marks of lanes mean. */
export function legend() {
  const item = (phase, text) => h("span", {}, h("i", { class: `bar ${phase}` }), text);
  return h("p", { class: "legend lane hue-0" },
    item("waiting", "waits its turn"), item("connecting", "connecting"), item("headers", "waits for headers"),
    item("token", "waits for a token"), item("streaming", "streaming"),
    h("span", {}, h("b", {}, "⚑"), "won"), h("span", {}, h("b", {}, "✂"), "cut off"), h("span", {}, h("b", {}, "✕"), "failed"));
}

const COLUMNS = [
  ["starts", "start"], ["connected", "connect"], ["headers", "headers"], ["first token", "token"], ["ends", "end"],
];

/** Show the story of a race: as a table, and as JSON. */
export async function showStory(race) {
  const story = race.story ?? (await api(`v1/races/${encodeURIComponent(race.id)}`).catch(() => null));
  const head = h("tr", {}, h("th", { scope: "col" }, "racer"), h("th", { scope: "col" }, "what became of it"),
    COLUMNS.map(([title]) => h("th", { scope: "col", class: "number" }, title)),
    h("th", { scope: "col", class: "number" }, "events"));
  const rows = race.lanes.map((lane) => h("tr", {},
    h("th", { scope: "row" }, h("span", { class: "name" }, mark(lane.id), lane.id)), h("td", {}, fate(lane, race)),
    COLUMNS.map(([, key]) => h("td", { class: "number" }, ms(lane[key]))),
    h("td", { class: "number" }, count(lane.chunks))));
  const table = h("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": "The race as a table" },
    h("table", {}, h("thead", {}, head), h("tbody", {}, rows)));
  const json = story
    ? h("pre", { class: "json", tabindex: "0" }, JSON.stringify(story, null, 2))
    : h("p", { class: "muted" }, "The race is not over yet.");
  const lost = wasted(race);
  const note = lost > 0 && h("p", { class: "muted" }, `Losers had made at least ${count(lost)} tokens.`);
  dialog("The race's story", h("div", { class: "story" }, table, note, json), { class: "wide" });
}
