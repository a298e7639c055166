// Where a message is written: its text, its files, and who is to answer it how.

import { lost } from "./api.js";
import { field, fill, h, icon, iconButton, segments } from "./dom.js";
import { Picker } from "./picker.js";

const DRAFT = "interference.draft";
const SETTINGS = "interference.settings";
const LARGEST = 12e6;
const MODES = [
  ["race", "Race", "All at once; the first token wins"],
  ["hedge", "Hedge", "A second one only if the first is late"],
  ["fallback", "Fallback", "The next one only if the one before fails"],
  ["compare", "Compare", "Each one's whole answer, side by side"],
];
const PARAMETERS = [
  ["temperature", "Temperature", { min: 0, max: 2, step: 0.1 }],
  ["top_p", "Top p", { min: 0, max: 1, step: 0.05 }],
  ["max_tokens", "Most tokens", { min: 1, step: 1 }],
  ["seed", "Seed", { step: 1 }],
  ["frequency_penalty", "Frequency penalty", { min: -2, max: 2, step: 0.1 }],
  ["presence_penalty", "Presence penalty", { min: -2, max: 2, step: 0.1 }],
];

export class Composer {
  settings = { providers: [], model: "", mode: "race", system: "", parameters: {}, ...JSON.parse(localStorage.getItem(SETTINGS) ?? "{}") };
  #files = [];
  #shelf = h("div", { class: "files", hidden: true });
  #text = h("textarea", {
    rows: 1, placeholder: "Ask something", "aria-label": "Message", value: localStorage.getItem(DRAFT) ?? "",
    oninput: () => {
      localStorage.setItem(DRAFT, this.#text.value);
      this.begin().catch(() => {});
    },
    onkeydown: (event) => this.#key(event),
    onpaste: (event) => event.clipboardData.files.length && (event.preventDefault(), this.#attach(event.clipboardData.files)),
  });
  #button = h("button", { type: "submit", class: "primary round", "aria-label": "Send", title: "Send (Enter)" }, icon("send"));
  #stop = null;
  #beginning = false;

  /** *send* is called with a message; *begin*, before it, gets what that needs. */
  constructor(send, begin) {
    this.send = send;
    this.begin = begin;
    this.picker = new Picker(this.settings, () => this.#keep());
    const file = h("input", { type: "file", multiple: true, class: "unseen", tabindex: "-1", "aria-label": "Files", onchange: () => this.#attach(file.files) });
    const attach = iconButton("attach", "Attach pictures or files", () => file.click());
    const mode = segments("How they are asked", "mode", MODES, this.settings.mode, (value) => this.#keep({ mode: value }));
    this.element = h("form", {
      class: "composer",
      onsubmit: (event) => { event.preventDefault(); this.#submit(); },
      ondragover: (event) => event.preventDefault(),
      ondrop: (event) => { event.preventDefault(); this.#attach(event.dataTransfer.files); },
    },
      this.picker.element,
      h("div", { class: "box" }, this.#shelf, this.#text,
        h("div", { class: "row" }, attach, file, mode, this.picker.input, this.#parameters(), h("span", { class: "spring" }), this.#button)));
  }

  show(providers) {
    this.picker.show(providers);
  }

  /** While something runs, the button stops it: *stop* is called; null: nothing runs. */
  busy(stop) {
    this.#stop = stop;
    this.#button.setAttribute("aria-label", stop ? "Stop" : "Send");
    this.#button.title = stop ? "Stop (Esc)" : "Send (Enter)";
    fill(this.#button, icon(stop ? "stop" : "send"));
  }

  focus() {
    this.#text.focus();
  }

  #parameters() {
    const { settings } = this;
    const system = h("textarea", { rows: 3, value: settings.system, oninput: () => this.#keep({ system: system.value }) });
    const numbers = PARAMETERS.map(([name, label, bounds]) => {
      const input = h("input", {
        type: "number", value: settings.parameters[name] ?? "", placeholder: "default", ...bounds,
        oninput: () => this.#keep({ parameters: { ...settings.parameters, [name]: input.value } }),
      });
      return field(label, input);
    });
    const panel = h("div", { class: "panel", id: "parameters", popover: "auto" }, field("System prompt", system), h("div", { class: "grid" }, numbers));
    const open = iconButton("sliders", "System prompt and parameters", null, { popovertarget: "parameters" });
    return [open, panel];
  }

  #keep(changed = {}) {
    Object.assign(this.settings, changed);
    localStorage.setItem(SETTINGS, JSON.stringify(this.settings));
  }

  #key(event) {
    if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
    event.preventDefault();
    if (!this.#stop) this.#submit();
  }

  async #submit() {
    if (this.#stop) return this.#stop();
    const text = this.#text.value.trim();
    if (this.#beginning || (!text && !this.#files.length)) return;
    this.#beginning = true;
    const ready = await this.begin().then(() => true, lost);
    this.#beginning = false;
    if (ready !== true) return; // the text is kept
    this.send(text, this.#files);
    this.#text.value = "";
    this.#files = [];
    localStorage.removeItem(DRAFT);
    this.#shown();
  }

  async #attach(files) {
    for (const file of files) {
      if (file.size > LARGEST) continue;
      const media = /^(image|audio)\/|^application\/pdf$/.test(file.type);
      const { name, type } = file;
      this.#files.push(media ? { name, type, url: await dataUrl(file) } : { name, type, text: await file.text() });
    }
    this.#shown();
  }

  #shown() {
    this.#shelf.hidden = !this.#files.length;
    fill(this.#shelf, this.#files.map((file) => {
      const drop = iconButton("close", `Remove ${file.name}`, () => {
        this.#files = this.#files.filter((each) => each !== file);
        this.#shown();
      });
      return h("span", { class: "file" }, thumbnail(file), drop);
    }));
  }
}

/** Return a small picture of a file, or its name. */
export function thumbnail(file) {
  if (file.url && file.type.startsWith("image/")) return h("img", { src: file.url, alt: file.name });
  return h("span", {}, file.name);
}

function dataUrl(file) {
  return new Promise((resolve, reject) => {
    const reader = new FileReader();
    reader.onload = () => resolve(reader.result);
    reader.onerror = () => reject(reader.error);
    reader.readAsDataURL(file);
  });
}
