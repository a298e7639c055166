// The page: which view is shown, and what all of them share.

import { announce, fill, h } from "./dom.js";
import { base, onBack } from "./api.js";
import { begin } from "./live.js";

const VIEWS = {
  chat: ["Chat", () => import("./chat.js")],
  races: ["Races", () => import("./races.js")],
  providers: ["Providers", () => import("./providers.js")],
  images: ["Images", () => import("./images.js")],
  policy: ["Try a policy", () => import("./policy.js")],
  use: ["Use it", () => import("./use.js")],
};
const main = document.querySelector("#main");
const menu = document.querySelector("#menu");

async function go() {
  const name = location.hash.slice(1) in VIEWS ? location.hash.slice(1) : "chat";
  const [title, load] = VIEWS[name];
  for (const link of document.querySelectorAll("nav a")) {
    link.toggleAttribute("aria-current", false);
    if (link.hash === `#${name}`) link.setAttribute("aria-current", "page");
  }
  document.body.dataset.view = name;
  toggle(false);
  const { show } = await load();
  const element = show();
  if (document.body.dataset.view !== name) return;
  fill(main, element);
  document.title = `${title} · Interference`;
  announce(title);
}

function toggle(open) {
  document.body.classList.toggle("side-open", open);
  menu.setAttribute("aria-expanded", String(open));
}

async function version() {
  const told = await fetch(base(), { headers: { Accept: "application/json" } }).then((answer) => answer.json()).catch(() => null);
  fill(document.querySelector("#version"), told ? h("span", {}, `v${told.version}`) : "");
}

menu.addEventListener("click", () => toggle(!document.body.classList.contains("side-open")));
document.addEventListener("keydown", (event) => event.key === "Escape" && toggle(false));
addEventListener("hashchange", go);
onBack(version);
addEventListener("unhandledrejection", (event) => event.reason?.offline && event.preventDefault());
go();
begin();
version();
