// How the page speaks with its server: the key, errors, and whether it is there at all.

import { dialog, field, h } from "./dom.js";

const KEY = "interference.key";
const backs = new Set();
let gone = false;
let entering = null;

/** What the server answered in place of what was wanted. */
export class ApiError extends Error {
  constructor(status, error) {
    super(error?.message ?? `The server answered with status ${status}.`);
    this.status = status;
    this.code = error?.code;
    this.providers = error?.providers ?? [];
  }
}

/** The server can't be reached. */
export class Offline extends Error {
  offline = true;
}

/** Call *back* whenever the server is there again, or the key has changed. */
export function onBack(back) {
  backs.add(back);
}

/** Return the server's address, with the path below which a proxy may show it. */
export function base() {
  return document.baseURI.replace(/[?#].*$/, "").replace(/[^/]*$/, "");
}

export function storedKey() {
  return sessionStorage.getItem(KEY);
}

/**
 * Send a request below the page's own address; ask for a key where one is needed.
 *
 * Return the answer's JSON, or with *raw* the response. Throws ApiError, Offline.
 */
export async function api(path, { raw, body, headers = {}, ...options } = {}) {
  const key = storedKey();
  const sent = { ...headers };
  if (key) sent.Authorization = `Bearer ${key}`;
  if (body !== undefined) sent["Content-Type"] = "application/json";
  let response;
  try {
    response = await fetch(base() + path, {
      method: body === undefined ? "GET" : "POST",
      headers: sent,
      body: body === undefined ? undefined : JSON.stringify(body),
      ...options,
    });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    lost();
    throw new Offline("The server does not answer.");
  }
  if (response.ok) return raw ? response : response.json();
  const { error } = await response.json().catch(() => ({}));
  if (response.status !== 401) throw new ApiError(response.status, error);
  await newKey(key, error?.message);
  return api(path, { raw, body, headers, ...options });
}

/** Ask for another key than *tried*, once for all who need it. */
function newKey(tried, message) {
  if (storedKey() !== tried) return Promise.resolve();
  entering ??= askForKey(message, tried).finally(() => {
    entering = null;
    setTimeout(() => backs.forEach((back) => back()));
  });
  return entering;
}

function askForKey(message, tried) {
  return new Promise((resolve) => {
    const input = h("input", { type: "password", autocomplete: "off", required: true, id: "key" });
    const form = h("form", {
      onsubmit: (event) => {
        event.preventDefault();
        sessionStorage.setItem(KEY, input.value.trim());
        resolve();
        shown.close();
      },
    },
      h("p", {}, tried ? message : "This server answers to those who have a key."),
      field("API key", input, "Kept in this tab until it is closed, and sent to nobody else."),
      h("p", { class: "row end" }, h("button", { class: "primary" }, "Go on")));
    const shown = dialog("A key is needed", form);
    shown.querySelector("header button").remove();
    shown.addEventListener("cancel", (event) => event.preventDefault());
    input.focus();
  });
}

/** A connection broke: say so if the server is gone, and look for it until it is back. */
export async function lost() {
  if (gone) return;
  gone = true;
  const banner = document.querySelector("#banner");
  for (let wait = 300; !(await lives()); wait = Math.min(wait * 1.5, 3000)) {
    banner.textContent = "The server does not answer. What you write is kept; this page goes on by itself when it is back.";
    banner.hidden = false;
    await new Promise((go) => setTimeout(go, wait));
  }
  gone = false;
  banner.hidden = true;
  backs.forEach((back) => back());
}

async function lives() {
  const answer = await fetch(`${base()}healthz`, { cache: "no-store" }).catch(() => null);
  return answer?.ok;
}
