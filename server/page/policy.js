// What another policy would have made of the races that this server has had.

import { api } from "./api.js";
import { empty, field, fill, h, segments } from "./dom.js";
import { count, ms, plural } from "./words.js";

const policy = { strategy: "hedge", hedge_delay: "p90", hedge_budget: 0.1, parallel: 8 };
const STRATEGIES = [["race", "Race"], ["hedge", "Hedge"], ["fallback", "Fallback"]];
const QUANTILES = [["p50", "p50"], ["p75", "p75"], ["p90", "p90"], ["p95", "p95"], ["p99", "p99"]];
const result = h("div", { "aria-live": "polite" });
const hedging = h("div", { class: "grid" });
const parallel = slider("Racers at a time, at most", 1, 16, 1, "parallel", String);
const view = h("div", { class: "view" },
  h("header", { class: "head" }, h("h1", {}, "Try a policy"), h("p", { class: "muted" }, "The recorded races, run again on paper. Nobody is called.")),
  h("div", { class: "card controls" }, segments("Strategy", "strategy", STRATEGIES, policy.strategy, (strategy) => change({ strategy })), hedging, parallel),
  result);
let timer = 0;

fill(hedging,
  h("div", { class: "field" }, h("span", {}, "The second starts after"), segments("The second starts after", "delay", QUANTILES, policy.hedge_delay, (hedge_delay) => change({ hedge_delay }))),
  slider("Extra calls a request, at most", 0, 2, 0.05, "hedge_budget", (value) => Number(value).toFixed(2)));

function slider(label, min, max, step, name, shown) {
  const output = h("output", {}, shown(policy[name]));
  const input = h("input", {
    type: "range", min, max, step, value: policy[name],
    oninput: () => {
      output.textContent = shown(input.value);
      change({ [name]: Number(input.value) });
    },
  });
  return field(h("span", {}, label, " ", output), input);
}

function change(changed) {
  Object.assign(policy, changed);
  hedging.hidden = policy.strategy !== "hedge";
  parallel.hidden = policy.strategy === "fallback";
  clearTimeout(timer);
  timer = setTimeout(replay, 150);
}

async function replay() {
  try {
    const told = await api("v1/races/replay", { body: policy });
    fill(result, told.races ? comparison(told) : empty("Nothing to go by yet", "As soon as some chats have been streamed, they can be run again by another policy."));
  } catch (error) {
    if (!error.offline) fill(result, h("p", { class: "error", role: "alert" }, error.message));
  }
}

function comparison({ races, recorded, replayed, same_winner: same, drawn, known, unknown }) {
  const top = Math.max(recorded.p99_ms ?? 0, replayed.p99_ms ?? 0, 1);
  const calls = Math.max(recorded.calls, replayed.calls, 1);
  const rows = [
    ...["p50", "p90", "p99"].map((rank) => [`${rank} to the first token`, `${rank}_ms`, ms, top]),
    ["Calls", "calls", (value) => `${count(value)} (${(value / races).toFixed(2)} a race)`, calls],
    ["Failed", "failed", count, Math.max(recorded.failed, replayed.failed, 1)],
  ];
  const table = h("table", { class: "compared" },
    h("thead", {}, h("tr", {}, h("td", {}), h("th", { scope: "col" }, "As recorded"), h("th", { scope: "col" }, "With this policy"))),
    h("tbody", {}, rows.map(([label, key, words, most]) => h("tr", {}, h("th", { scope: "row" }, label), bar(recorded[key], most, words), bar(replayed[key], most, words, true)))));
  const left = unknown.length ? ` Left out, as nothing is known of them: ${unknown.join(", ")}.` : "";
  const note = `${plural(races, "race")}; ${count(same)} with the same winner. ${count(drawn)} of ${count(drawn + known)} times are not known, since a racer was cut off or never started: they are drawn from the same provider's other races.${left}`;
  return h("div", { class: "card" }, h("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": "Both side by side" }, table), h("p", { class: "muted" }, note));
}

function bar(value, most, words, ours) {
  const drawn = h("i", { class: ours ? "meter ours" : "meter" });
  drawn.style.width = `${((value ?? 0) / most) * 100}%`;
  return h("td", {}, h("span", {}, words(value)), drawn);
}

export function show() {
  change({});
  return view;
}
