// Who can be asked, and how each of them has done in the last hour.

import { api } from "./api.js";
import { providers } from "./catalog.js";
import { empty, fill, h, svg } from "./dom.js";
import { mark } from "./lanes.js";
import { ago, clock, count, ms, plural, reason } from "./words.js";

const EVERY = 10000;
const HOUR = 60;
const list = h("div", { class: "cards providers" });
const view = h("div", { class: "view" },
  h("header", { class: "head" }, h("h1", {}, "Providers"), h("p", { class: "muted" }, "Times to the first token, over the last hour")), list);
let timer = 0;

async function load() {
  clearTimeout(timer);
  if (view.isConnected && !document.hidden) {
    try {
      const [all, summary] = await Promise.all([providers(), api("v1/races/summary")]);
      const hours = new Map(summary.data.map((each) => [each.id, each]));
      fill(list, all.map((provider) => card(provider, hours.get(provider.id))));
      if (!all.length) list.append(empty("No provider is on", "Give this server a key, or start a local one. `interference setup` asks for what it needs."));
    } catch (error) {
      if (!error.offline) fill(list, h("p", { class: "error", role: "alert" }, error.message));
    }
  }
  if (view.isConnected) timer = setTimeout(load, EVERY);
}

function card(provider, hour) {
  const { id, label, stats, url } = provider;
  const rests = stats.status === "resting";
  const state = h("span", { class: `badge ${rests ? "bad" : "good"}` }, rests ? `rests until ${clock(stats.resting_until)}` : "ready");
  const name = h("h2", {}, mark(id), id, url && h("small", {}, h("a", { href: safe(url), target: "_blank", rel: "noopener noreferrer" }, label)));
  return h("article", { class: "card" }, h("header", {}, name, h("span", { class: "spring" }), state),
    h("div", { class: "facts" }, h("div", { class: "times" }, ["p50", "p90", "p99"].map((rank) => time(rank, stats.ttft_ms[rank], hour))), h("dl", { class: "numbers" },
      number("Asked", stats.requests), number("Won", stats.wins), number("Lost", stats.losses), number("Failed", stats.failures),
      number("Tokens wasted", hour?.tokens_wasted_at_least ?? 0, "At least so many, in the last hour"))),
    trouble(stats, hour), models(provider));
}

function safe(url) {
  return /^https?:/.test(url) ? url : null;
}

function number(label, value, title) {
  return h("div", { title }, h("dt", {}, label), h("dd", {}, count(value)));
}

function time(rank, now, hour) {
  return h("div", {}, h("span", {}, rank), h("b", {}, ms(now)), sparkline(hour?.minutes ?? [], rank));
}

/** Draw one quantile over the minutes of the last hour. */
function sparkline(minutes, rank) {
  const first = Math.floor(Date.now() / 60000) * 60 - (HOUR - 1) * 60;
  const points = minutes.filter((minute) => minute[rank] != null).map((minute) => [(minute.start - first) / 60, minute[rank]]);
  const top = Math.max(...points.map(([, value]) => value), 1) * 1.1;
  const at = ([x, y]) => `${x.toFixed(1)} ${(20 - (y / top) * 18).toFixed(1)}`;
  const line = points.length > 1 ? [svg("path", { d: `M${points.map(at).join("L")}`, class: "spark" })] : [];
  const dots = points.slice(-1).map((point) => svg("path", { d: `M${at(point)}h0.001`, class: "dot" }));
  const label = points.length ? `${rank} in the last hour, from ${ms(points[0][1])} to ${ms(points.at(-1)[1])}` : `no ${rank} in the last hour`;
  return svg("svg", { viewBox: "-1 0 62 21", class: "sparkline", role: "img", "aria-label": label, preserveAspectRatio: "none" },
    svg("path", { d: "M0 20H60", class: "ground" }), ...line, ...dots);
}

function trouble(stats, hour) {
  const last = hour?.last_failure;
  if (!last && !stats.last_error) return null;
  const when = last ? `${ago(last.at)}: ${reason(last.reason, last.status)}. ` : "";
  return h("p", { class: "trouble" }, h("b", {}, "Last failure "), when, h("span", { class: "muted" }, stats.last_error ?? ""));
}

function models(provider) {
  const names = [...new Set([...provider.models, ...provider.image_models])];
  if (!names.length) return null;
  return h("details", {}, h("summary", {}, plural(names.length, "model")), h("ul", { class: "names" }, names.slice(0, 300).map((name) => h("li", {}, name))));
}

document.addEventListener("visibilitychange", load);

export function show() {
  queueMicrotask(load);
  return view;
}
