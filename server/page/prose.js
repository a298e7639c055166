// Markdown on the page: DOM nodes, which change only where the text did.

import { copyButton, h } from "./dom.js";
import { parse, settled } from "./markdown.js";

/** Return *address* if a link may go there: nothing that runs, or is of this machine. */
function linkTo(address) {
  if (!/^(https?:|mailto:)/i.test(address.trim())) return null;
  try {
    return new URL(address).href;
  } catch {
    return null;
  }
}

/** Say whether an image may be shown: what comes from elsewhere would tell them that it is. */
function ours(address) {
  return /^(data:image\/(png|jpeg|gif|webp);|blob:)/i.test(address) || /^\/?media\/[0-9a-f]{64}\.\w+$/.test(address);
}

function link(node) {
  const href = linkTo(node.href);
  if (!href) return h("span", { title: "This link leads nowhere safe." }, build(node.children));
  return h("a", { href, title: node.title, target: "_blank", rel: "noopener noreferrer nofollow" }, build(node.children));
}

function image(node) {
  if (ours(node.src)) return h("img", { src: node.src.replace(/^\//, ""), alt: node.alt, loading: "lazy" });
  const href = linkTo(node.src);
  if (!href) return document.createTextNode(node.alt);
  const host = new URL(href).host;
  return link({ href, children: [`${node.alt || "image"} (image at ${host})`] });
}

function code(node) {
  const text = h("code", {}, node.text);
  const head = h("header", {}, h("span", {}, node.language || "text"), copyButton(() => text.textContent, "Copy the code"));
  return h("div", { class: "code" }, head, h("pre", { tabindex: "0" }, text));
}

function create(node) {
  if (typeof node === "string") return document.createTextNode(node);
  let made;
  if (node.tag === "pre") made = code(node);
  else if (node.tag === "a") made = link(node);
  else if (node.tag === "img") made = image(node);
  else made = h(node.tag, { start: node.first, class: node.align }, build(node.children ?? []));
  if (node.tag === "table") made = h("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": "Table" }, made);
  made.as = signature(node);
  return made;
}

function build(nodes) {
  return nodes.map(create);
}

/** What must be alike for an element to be changed, in place of made anew. */
function signature(node) {
  return [node.tag, node.language, node.href, node.src, node.align, node.first].join("\n");
}

/** Make the children of *parent*, from the one at *first*, what *nodes* say. */
function patch(parent, first, nodes) {
  nodes.forEach((node, index) => {
    const there = parent.childNodes[first + index];
    if (!there) parent.append(create(node));
    else if (!patched(there, node)) there.replaceWith(create(node));
  });
  while (parent.childNodes.length > first + nodes.length) parent.lastChild.remove();
}

function patched(there, node) {
  if (typeof node === "string") {
    if (there.nodeType !== Node.TEXT_NODE) return false;
    if (there.data !== node) there.data = node;
    return true;
  }
  if (there.as !== signature(node) || node.tag === "img") return false;
  if (node.tag === "pre") {
    const shown = there.querySelector("code").firstChild;
    if (!shown) return false;
    if (node.text.startsWith(shown.data)) shown.appendData(node.text.slice(shown.data.length));
    else shown.data = node.text;
    return true;
  }
  patch(node.tag === "table" ? there.firstChild : there, 0, node.children ?? []);
  return true;
}

/** A growing text: what is finished of it is left alone. */
export class Prose {
  #text = "";
  #read = 0;
  #frozen = 0;
  element = h("div", { class: "prose" });

  append(text) {
    this.#text += text;
  }

  get text() {
    return this.#text;
  }

  render() {
    const text = this.#text.slice(this.#read);
    const blocks = parse(text);
    patch(this.element, this.#frozen, blocks);
    const done = settled(blocks, text);
    this.#frozen += done;
    if (done) this.#read += blocks[done].start;
  }
}

/** Return *text* as elements. */
export function prose(text) {
  const made = new Prose();
  made.append(text);
  made.render();
  return made.element;
}
