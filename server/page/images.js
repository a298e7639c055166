// Pictures from a prompt: raced like chats, in the same lanes.

import { api, base } from "./api.js";
import { newId } from "./conversation.js";
import { modelsOf, paints, providers } from "./catalog.js";
import { announce, empty, field, fill, h } from "./dom.js";
import { Lanes, mark } from "./lanes.js";
import { lookUp, watch } from "./live.js";
import { Picker } from "./picker.js";
import { ms } from "./words.js";

const SIZES = ["1024x1024", "512x512", "1024x1536", "1536x1024"];
const choice = { providers: [], model: "" };
let all = [];
const picker = new Picker(choice, () => (picker.input.placeholder = model() ?? ""), "image_models");
const prompt = h("textarea", { rows: 2, placeholder: "Describe a picture", required: true, "aria-label": "Prompt" });
const size = h("select", {}, SIZES.map((each) => h("option", {}, each)));
const number = h("input", { type: "number", min: 1, max: 8, value: 1 });
const results = h("div", { class: "cards" });
const nothing = empty("No picture yet", "The first provider whose bytes really are a picture wins.");
const form = h("form", { class: "composer", onsubmit: (event) => { event.preventDefault(); paint(); } },
  picker.element,
  h("div", { class: "box" }, prompt, h("div", { class: "row" },
    picker.input, field("Size", size), field("How many", number), h("span", { class: "spring" }), h("button", { class: "primary" }, "Paint"))));
const view = h("div", { class: "view" }, h("header", { class: "head" }, h("h1", {}, "Images")), form, nothing, results);

async function paint() {
  const id = `page-${newId()}`;
  const words = prompt.value.trim();
  const lanes = new Lanes();
  const state = h("p", { class: "state" }, h("span", { class: "pulse" }), "Waiting for the first picture");
  const shown = h("div", { class: "pictures" });
  results.prepend(h("article", { class: "card" }, h("header", {}, h("h2", {}, words)), shown, state, lanes.element));
  nothing.hidden = true;
  const stop = watch((race) => race.id === id && lanes.show(race));
  const begin = performance.now();
  const named = choice.providers.length ? { provider: choice.providers.join(" ") } : {};
  const body = { prompt: words, size: size.value, n: Number(number.value), model: model(), ...named };
  try {
    const answer = await api("v1/images/generations", { body, headers: { "X-Request-ID": id } });
    fill(shown, answer.data.map((each) => picture(each, words)));
    fill(state, h("span", { class: "winner" }, mark(answer.provider), answer.provider), h("span", {}, answer.model), h("span", {}, ms(performance.now() - begin)));
    announce("The picture is there");
  } catch (error) {
    fill(state, h("span", { class: "error", role: "alert" }, error.message));
  }
  await lookUp(id).catch(() => {});
  stop();
}

/** Show what this server keeps, by its address here: it may stand behind a proxy's path. */
function picture({ url, b64_json: data }, words) {
  const kept = /\/(media\/[0-9a-f]{64}\.\w+)$/.exec(url ?? "");
  const src = kept ? base() + kept[1] : `data:image/png;base64,${data}`;
  const image = h("img", { src, alt: words });
  return kept ? h("a", { href: src, target: "_blank" }, image) : image;
}

/** Return the model that is named, or the first that those who are chosen have. */
function model() {
  return choice.model || modelsOf(all, choice.providers, "image_models")[0];
}

async function load() {
  all = (await providers()).filter(paints);
  picker.show(all);
  picker.input.placeholder = model() ?? "";
}

export function show() {
  load();
  return view;
}
