// What the page's Markdown is as HTML, in the way that markdown-it writes it: for tests.

import { parse } from "../../../server/page/markdown.js";

const VOID = new Set(["hr", "br", "img"]);
const BLOCKS = new Set(["p", "h1", "h2", "h3", "h4", "h5", "h6", "pre", "hr", "blockquote", "ul", "ol", "li", "table", "thead", "tbody", "tr", "th", "td"]);

const escaped = (text) =>
  text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;").replaceAll('"', "&quot;");

function attributes(node) {
  const given = {
    href: node.href, src: node.src, alt: node.tag === "img" ? node.alt : undefined,
    title: node.title, start: node.first, style: node.align ? `text-align:${node.align}` : undefined,
  };
  return Object.entries(given)
    .filter(([, value]) => value !== undefined)
    .map(([name, value]) => ` ${name}="${escaped(String(value))}"`)
    .join("");
}

function html(node) {
  if (typeof node === "string") return escaped(node);
  if (node.tag === "pre") {
    const name = node.language ? ` class="language-${escaped(node.language)}"` : "";
    return `<pre><code${name}>${escaped(node.text)}</code></pre>`;
  }
  const inside = VOID.has(node.tag) ? "" : `${node.children.map(html).join("")}</${node.tag}>`;
  return `<${node.tag}${attributes(node)}>${inside}`;
}

/** Return the HTML of a text, without the line ends between its blocks. */
export function rendered(text) {
  return parse(text).map(html).join("");
}

if (process.argv[2] === "--stdin") {
  const chunks = [];
  for await (const chunk of process.stdin) chunks.push(chunk);
  const texts = JSON.parse(Buffer.concat(chunks).toString());
  process.stdout.write(JSON.stringify(texts.map(rendered)));
}
