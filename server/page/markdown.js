// Markdown, read to a tree of {tag, …, children}: no HTML in, and no HTML out.

const FENCE = /^( {0,3})(`{3,}|~{3,})[ \t]*(.*)$/;
const HEADING = /^ {0,3}(#{1,6})(?:[ \t]+(.*?))?(?:[ \t]+#+)?[ \t]*$/;
const RULE = /^ {0,3}([-*_])[ \t]*(?:\1[ \t]*){2,}$/;
const QUOTE = /^ {0,3}>/;
const ITEM = /^( {0,3})([-+*]|(\d{1,9})[.)])(?:( +)(.*)|)$/;
const BLANK = /^[ \t]*$/;
const UNDERLINE = /^ {0,3}(=+|-+)[ \t]*$/;
const DIVIDER = /^ {0,3}\|?[ \t]*:?-+:?[ \t]*(\|[ \t]*:?-+:?[ \t]*)*\|?[ \t]*$/;
const DEEPEST = 24;

/** Return the blocks of *text*; `start` of each is its line's offset in it. */
export function parse(text) {
  const lines = text.replace(/\r\n?/g, "\n").split("\n");
  let offset = 0;
  const starts = lines.map((line) => [offset, (offset += line.length + 1)][0]);
  const blocks = readBlocks(lines.map(expand), 0);
  for (const block of blocks) block.start = starts[block.line];
  return blocks;
}

/**
 * Return how many of *blocks*, which *text* was read to, can't change any more, however
 * it goes on: all but the last, and the one before while the last has but begun a line.
 */
export function settled(blocks, text) {
  const begun = blocks.length > 0 && !text.includes("\n", blocks.at(-1).start);
  return Math.max(blocks.length - (begun ? 2 : 1), 0);
}

/** Turn the tabs before a line's text, and behind its marker, into spaces. */
function expand(line) {
  line = line.replace(/^( *(?:[-+*>]|\d{1,9}[.)]) *)\t/, "$1 ");
  if (!/^[ ]*\t/.test(line)) return line;
  let made = "";
  for (let index = 0; index < line.length; index++) {
    if (line[index] === "\t") made += " ".repeat(4 - (made.length % 4));
    else if (line[index] === " ") made += " ";
    else return made + line.slice(index);
  }
  return made;
}

const blank = (line) => BLANK.test(line);
const indent = (line) => line.length - line.trimStart().length;

function readBlocks(lines, depth) {
  const blocks = [];
  let gap = false;
  for (let at = 0; at < lines.length; ) {
    if (blank(lines[at])) {
      gap = blocks.length > 0;
      at++;
      continue;
    }
    if (gap) blocks.spaced = true;
    gap = false;
    const [block, next] = readBlock(lines, at, depth);
    block.line = at;
    blocks.push(block);
    // What a block has swallowed at its end is a gap before the next.
    gap = next > at && blank(lines[next - 1]);
    at = next;
  }
  return blocks;
}

function readBlock(lines, at, depth) {
  const line = lines[at];
  if (indent(line) >= 4) return readIndented(lines, at);
  if (opensFence(line)) return readFence(lines, at);
  const heading = HEADING.exec(line);
  if (heading) return [{ tag: `h${heading[1].length}`, children: inline((heading[2] ?? "").trim()) }, at + 1];
  if (RULE.test(line)) return [{ tag: "hr" }, at + 1];
  if (depth < DEEPEST && QUOTE.test(line)) return readQuote(lines, at, depth);
  if (depth < DEEPEST && ITEM.test(line)) return readList(lines, at, depth);
  if (opensTable(lines, at)) return readTable(lines, at);
  return readParagraph(lines, at);
}

function opensFence(line) {
  const fence = FENCE.exec(line);
  return fence && !(fence[2][0] === "`" && fence[3].includes("`")) ? fence : null;
}

function readIndented(lines, at) {
  let end = at;
  let next = at;
  for (; next < lines.length && (blank(lines[next]) || indent(lines[next]) >= 4); next++) {
    if (!blank(lines[next])) end = next + 1;
  }
  const text = lines.slice(at, end).map((line) => line.slice(4)).join("\n");
  return [{ tag: "pre", language: "", text: `${text}\n` }, end];
}

function readFence(lines, at) {
  const [, margin, marks, info] = opensFence(lines[at]);
  const closing = new RegExp(`^ {0,3}\\${marks[0]}{${marks.length},}[ \\t]*$`);
  let end = at + 1;
  while (end < lines.length && !closing.test(lines[end])) end++;
  const strip = new RegExp(`^ {0,${margin.length}}`);
  const text = lines.slice(at + 1, end).map((line) => line.replace(strip, "") + "\n").join("");
  const open = end === lines.length;
  const language = unescaped(info.trim().split(/\s+/)[0]);
  return [{ tag: "pre", language, text, open }, open ? end : end + 1];
}

/** Say whether a line ends the paragraph before it. */
function interrupts(line) {
  if (indent(line) >= 4) return false;
  const item = ITEM.exec(line);
  const begins = item && item[5]?.trim() && (item[3] === undefined || item[3] === "1");
  return begins || opensFence(line) || HEADING.test(line) || RULE.test(line) || QUOTE.test(line);
}

/** Say whether a line without its container's mark goes on with a paragraph in it. */
function lazy(line, inner) {
  const last = inner.at(-1);
  if (last === undefined || blank(last) || blank(line) || interrupts(line)) return false;
  return goesOn(readBlocks(inner, DEEPEST - 2).at(-1));
}

function goesOn(block) {
  if (!block) return false;
  if (block.tag === "p") return true;
  if (["ul", "ol", "blockquote"].includes(block.tag)) return goesOn(block.children.at(-1));
  return block.tag === "li" ? typeof block.children.at(-1) === "string" || goesOn(block.children.at(-1)) || block.tight : false;
}

function readQuote(lines, at, depth) {
  const inner = [];
  for (; at < lines.length; at++) {
    if (QUOTE.test(lines[at])) inner.push(expand(lines[at].replace(/^ {0,3}> ?/, "")));
    else if (lazy(lines[at], inner)) inner.push(lines[at].trimStart());
    else break;
  }
  return [{ tag: "blockquote", children: readBlocks(inner, depth + 1) }, at];
}

function readList(lines, at, depth) {
  const kind = ITEM.exec(lines[at])[2].at(-1);
  const start = ITEM.exec(lines[at])[3];
  const items = [];
  let loose = false;
  while (at < lines.length) {
    const item = ITEM.exec(lines[at]);
    if (!item || item[2].at(-1) !== kind || RULE.test(lines[at])) break;
    const [inner, next] = readItem(lines, at, item);
    at = next;
    const children = readBlocks(inner, depth + 1);
    const last = inner.length > 1 && blank(inner.at(-1));
    const more = at < lines.length && ITEM.exec(lines[at])?.[2].at(-1) === kind && !RULE.test(lines[at]);
    loose ||= Boolean(children.spaced) || (last && more);
    items.push({ tag: "li", children });
  }
  if (!loose) items.forEach(tighten);
  const list = { tag: start === undefined ? "ul" : "ol", children: items };
  if (start !== undefined && Number(start) !== 1) list.first = Number(start);
  return [list, at];
}

/** Paragraphs of a tight list's items are no elements of their own. */
function tighten(item) {
  item.tight = item.children.at(-1)?.tag === "p";
  item.children = item.children.flatMap((child) => (child.tag === "p" ? child.children : [child]));
}

function readItem(lines, at, item) {
  const [, margin, mark, , space, text] = item;
  const wide = space === undefined || !text?.trim() || space.length > 4 ? 1 : space.length;
  const inset = margin.length + mark.length + wide;
  const inner = [expand(lines[at].slice(inset))];
  let next = at + 1;
  for (; next < lines.length; next++) {
    const line = lines[next];
    if (blank(line)) {
      if (next === at + 1 && blank(inner[0])) break;
      inner.push("");
    } else if (indent(line) >= inset) inner.push(line.slice(inset));
    else if (!ITEM.test(line) && lazy(line, inner)) inner.push(line.trimStart());
    else break;
  }
  return [inner, next];
}

function cells(line) {
  const row = line.trim().replace(/^\|/, "").replace(/(?<!\\)\|$/, "");
  return row.split(/(?<!\\)\|/).map((cell) => cell.trim().replaceAll("\\|", "|"));
}

function opensTable(lines, at) {
  const divider = lines[at + 1];
  if (divider === undefined || !lines[at].includes("|") || !DIVIDER.test(divider) || ITEM.test(divider)) return false;
  return cells(lines[at]).length === cells(divider).length;
}

function readTable(lines, at) {
  const aligns = cells(lines[at + 1]).map((cell) =>
    cell.endsWith(":") ? (cell.startsWith(":") ? "center" : "right") : cell.startsWith(":") ? "left" : null);
  const row = (line, tag) => {
    const given = cells(line);
    const children = aligns.map((align, index) => ({ tag, align, children: inline(given[index] ?? "") }));
    return { tag: "tr", children };
  };
  const head = { tag: "thead", children: [row(lines[at], "th")] };
  const rows = [];
  let next = at + 2;
  while (next < lines.length && !blank(lines[next]) && !interrupts(lines[next])) rows.push(row(lines[next++], "td"));
  const body = rows.length ? [{ tag: "tbody", children: rows }] : [];
  return [{ tag: "table", children: [head, ...body] }, next];
}

function readParagraph(lines, at) {
  const text = [lines[at]];
  let next = at + 1;
  for (; next < lines.length; next++) {
    const line = lines[next];
    const under = UNDERLINE.exec(line);
    if (under) {
      const tag = under[1][0] === "=" ? "h1" : "h2";
      return [{ tag, children: inline(joined(text)) }, next + 1];
    }
    if (blank(line) || interrupts(line) || opensTable(lines, next)) break;
    text.push(line);
  }
  return [{ tag: "p", children: inline(joined(text)) }, next];
}

function joined(lines) {
  return lines.map((line) => line.trimStart()).join("\n").trimEnd();
}

// What is within a paragraph.

const ESCAPED = /\\([!-/:-@[-`{-~])/g;
const ENTITIES = {
  amp: "&", lt: "<", gt: ">", quot: '"', apos: "'", nbsp: "\u00a0", copy: "©", hellip: "…", mdash: "—",
  ndash: "–", rarr: "→", larr: "←", times: "×", deg: "°", euro: "€", middot: "·", bull: "•", reg: "®", trade: "™",
};
const ENTITY = /&(?:#(\d{1,7})|#[xX]([\da-fA-F]{1,6})|(\w{2,8}));/y;
const PLAIN = /[^\\`*_~[\]!&<\n ]+/y;
const AUTOLINK = /<([a-zA-Z][a-zA-Z\d+.-]{1,31}:[^\s<>]*|[\w.+-]+@[\w-]+(?:\.[\w-]+)+)>/y;
const SPACE = /^\s?$/u;
const PUNCTUATION = /^[\p{P}\p{S}]$/u;

function unescaped(text) {
  return text.replace(ESCAPED, "$1").replace(/&[#\w]+;/g, (entity) => decoded(entity, 0)?.[0] ?? entity);
}

function decoded(text, at) {
  ENTITY.lastIndex = at;
  const found = ENTITY.exec(text);
  if (!found) return null;
  const [whole, decimal, hex, name] = found;
  if (name) return name in ENTITIES ? [ENTITIES[name], whole.length] : null;
  const code = decimal ? Number(decimal) : parseInt(hex, 16);
  return [code && code <= 0x10ffff ? String.fromCodePoint(code) : "\ufffd", whole.length];
}

export function inline(text) {
  return new Inline(text).read();
}

class Inline {
  #at = 0;
  #nodes = [];
  #brackets = [];

  constructor(text) {
    this.text = text;
  }

  read() {
    while (this.#at < this.text.length) this.#step();
    return emphasized(this.#nodes);
  }

  #step() {
    PLAIN.lastIndex = this.#at;
    const plain = PLAIN.exec(this.text);
    if (plain) return this.#push(plain[0], plain[0].length);
    switch (this.text[this.#at]) {
      case "\\": return this.#backslash();
      case "`": return this.#code();
      case "*": case "_": case "~": return this.#delimiter();
      case "[": return this.#open(1);
      case "!": return this.text[this.#at + 1] === "[" ? this.#open(2) : this.#push("!", 1);
      case "]": return this.#close();
      case "&": return this.#push(...(decoded(this.text, this.#at) ?? ["&", 1]));
      case "<": return this.#autolink();
      default: return this.#space();
    }
  }

  #push(node, length) {
    this.#nodes.push(node);
    this.#at += length;
  }

  #backslash() {
    const next = this.text[this.#at + 1];
    if (next === "\n") {
      this.#push({ tag: "br" }, 2);
      return this.#skipSpaces();
    }
    if (next && /[!-/:-@[-`{-~]/.test(next)) this.#push(next, 2);
    else this.#push("\\", 1);
  }

  #skipSpaces() {
    while (this.text[this.#at] === " ") this.#at++;
  }

  #space() {
    const [run] = /^ *\n?/.exec(this.text.slice(this.#at));
    if (!run.endsWith("\n")) return this.#push(run, run.length);
    this.#push(run.length > 2 ? { tag: "br" } : "\n", run.length);
    this.#skipSpaces();
  }

  #code() {
    const [marks] = /^`+/.exec(this.text.slice(this.#at));
    const end = new RegExp(`(?<!\`)${marks}(?!\`)`, "g");
    end.lastIndex = this.#at + marks.length;
    const found = end.exec(this.text);
    if (!found) return this.#push(marks, marks.length);
    let text = this.text.slice(this.#at + marks.length, found.index).replaceAll("\n", " ");
    if (/^ .* $/.test(text) && text.trim()) text = text.slice(1, -1);
    this.#push({ tag: "code", children: [text] }, found.index + marks.length - this.#at);
  }

  #autolink() {
    AUTOLINK.lastIndex = this.#at;
    const found = AUTOLINK.exec(this.text);
    if (!found) return this.#push("<", 1);
    const [whole, address] = found;
    const href = address.includes(":") ? address : `mailto:${address}`;
    this.#push({ tag: "a", href, children: [address] }, whole.length);
  }

  #delimiter() {
    const mark = this.text[this.#at];
    let end = this.#at;
    while (this.text[end] === mark) end++;
    const length = end - this.#at;
    const before = [...this.text.slice(Math.max(this.#at - 2, 0), this.#at)].at(-1) ?? "";
    const after = String.fromCodePoint(this.text.codePointAt(end) ?? 32);
    const left = !SPACE.test(after) && (!PUNCTUATION.test(after) || SPACE.test(before) || PUNCTUATION.test(before));
    const right = !SPACE.test(before) && (!PUNCTUATION.test(before) || SPACE.test(after) || PUNCTUATION.test(after));
    const word = mark === "_";
    const opens = left && (!word || !right || PUNCTUATION.test(before));
    const closes = right && (!word || !left || PUNCTUATION.test(after));
    this.#push({ mark, length, whole: length, opens, closes }, length);
  }

  #open(length) {
    this.#brackets.push({ index: this.#nodes.length, image: length === 2, active: true });
    this.#push(length === 2 ? "![" : "[", length);
  }

  #close() {
    const opener = this.#brackets.pop();
    const target = opener?.active ? this.#target(this.#at + 1) : null;
    if (!target) return this.#push("]", 1);
    const children = emphasized(this.#nodes.splice(opener.index).slice(1));
    const { href, title, end } = target;
    if (opener.image) {
      this.#nodes.push({ tag: "img", src: href, alt: plainText(children), title });
    } else {
      this.#nodes.push({ tag: "a", href, title, children });
      for (const each of this.#brackets) each.active &&= each.image; // no link in a link
    }
    this.#at = end;
  }

  /** Read "(address "title")". */
  #target(at) {
    const found = /^\(\s*(?:<([^<>\n]*)>|((?:\\.|[^\s\\()]|\((?:\\.|[^\s\\()])*\))*))(?:\s+("(?:\\.|[^"\\])*"|'(?:\\.|[^'\\])*'|\((?:\\.|[^)\\])*\)))?\s*\)/.exec(this.text.slice(at));
    if (!found) return null;
    const [whole, angled, bare, title] = found;
    return {
      href: unescaped(angled ?? bare),
      title: title === undefined ? undefined : unescaped(title.slice(1, -1)),
      end: at + whole.length,
    };
  }
}

export function plainText(nodes) {
  return nodes.map((node) => (typeof node === "string" ? node : (node.alt ?? node.text ?? plainText(node.children ?? [])))).join("");
}

/** Pair the delimiters among *nodes*, as CommonMark has it. */
function emphasized(nodes) {
  for (let closer = 0; closer < nodes.length; closer++) {
    const close = nodes[closer];
    if (!close.mark || !close.closes || !close.length) continue;
    const opener = openerOf(nodes, closer);
    if (opener < 0) continue;
    const open = nodes[opener];
    const used = close.mark === "~" || (open.length > 1 && close.length > 1) ? 2 : 1;
    const tag = close.mark === "~" ? "s" : used === 2 ? "strong" : "em";
    const inside = nodes.slice(opener + 1, closer).flatMap(spent);
    open.length -= used;
    close.length -= used;
    const rest = [open.length && open, { tag, children: merged(inside) }, close.length && close].filter(Boolean);
    nodes.splice(opener, closer - opener + 1, ...rest);
    closer = opener + (open.length ? 1 : 0);
  }
  return merged(nodes.flatMap(spent));
}

function openerOf(nodes, closer) {
  const close = nodes[closer];
  for (let index = closer - 1; index >= 0; index--) {
    const open = nodes[index];
    if (open.mark !== close.mark || !open.opens || !open.length) continue;
    if (close.mark === "~") {
      if (open.length >= 2 && close.length >= 2) return index;
      continue;
    }
    const both = (open.closes || close.opens) && (open.whole + close.whole) % 3 === 0;
    if (!both || (open.whole % 3 === 0 && close.whole % 3 === 0)) return index;
  }
  return -1;
}

/** Delimiters that found no partner are what they look like. */
function spent(node) {
  return node.mark ? [node.mark.repeat(node.length)] : [node];
}

function merged(nodes) {
  const made = [];
  for (const node of nodes) {
    if (typeof node === "string" && typeof made.at(-1) === "string") made[made.length - 1] += node;
    else made.push(node);
  }
  return made;
}
