// Elements made by hand: nothing here, or anywhere on the page, makes HTML of a string.

const SVG = "http://www.w3.org/2000/svg";

/** Return an element; a property that starts with "on" listens, others are attributes. */
export function h(tag, properties = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) put(node, name, value);
  node.append(...children.flat(3).filter((child) => child != null && child !== false));
  return node;
}

function put(node, name, value) {
  if (value == null || value === false) return;
  if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
  else if (name === "value" || name === "checked") node[name] = value;
  else node.setAttribute(name, value === true ? "" : value);
}

/** Replace what is in *node*. */
export function fill(node, ...children) {
  node.replaceChildren(...children.flat(3).filter((child) => child != null && child !== false));
  return node;
}

export function svg(tag, attributes = {}, ...children) {
  const node = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  node.append(...children);
  return node;
}

const ICONS = {
  send: "M8 13V3M4 7l4-4 4 4",
  stop: "M4.5 4.5h7v7h-7z",
  copy: "M6 6h7v7H6zM10 6V3H3v7h3",
  done: "M3 8.5l3.5 3.5L13 4.5",
  retry: "M13 8a5 5 0 1 1-1.6-3.7M13 2v3h-3",
  edit: "M3 13l.6-2.8L10.800 3l2.200 2.200-7.200 7.200z",
  attach: "M12.500 7.500l-4.700 4.700a3 3 0 0 1-4.200-4.200l5-5a2 2 0 0 1 2.800 2.800l-4.700 4.700a1 1 0 0 1-1.400-1.400l4-4",
  bin: "M3 4.500h10M6.500 4.500V3h3v1.500M4.500 4.500l.5 8.500h6l.5-8.500",
  left: "M10 3L5 8l5 5",
  right: "M6 3l5 5-5 5",
  plus: "M8 3v10M3 8h10",
  sliders: "M3 5h6M12 5h1M3 11h1M7 11h6M9 3.500v3M6 9.500v3",
  save: "M8 3v7M5 7l3 3 3-3M3 13h10",
  close: "M4 4l8 8M12 4l-8 8",
};

export function icon(name) {
  const path = svg("path", { d: ICONS[name] });
  return svg("svg", { viewBox: "0 0 16 16", class: "icon", "aria-hidden": "true" }, path);
}

/** Return a button that shows an icon, and says *label*. */
export function iconButton(name, label, onclick, properties = {}) {
  const shown = { type: "button", class: "quiet icon-button", title: label, "aria-label": label };
  return h("button", { ...shown, onclick, ...properties }, icon(name));
}

/** Return a button that copies what *text* returns, and says so for a moment. */
export function copyButton(text, label = "Copy") {
  const button = iconButton("copy", label, async () => {
    await copied(text());
    fill(button, icon("done"));
    announce("Copied");
    setTimeout(() => fill(button, icon("copy")), 1500);
  });
  return button;
}

async function copied(text) {
  if (navigator.clipboard) return navigator.clipboard.writeText(text);
  // Pages that came by plain HTTP from another machine have no clipboard.
  const area = h("textarea", { class: "unseen", value: text });
  document.body.append(area);
  area.select();
  document.execCommand("copy");
  area.remove();
}

/** Tell a screen reader something, in few words. */
export function announce(text) {
  document.querySelector("#announce").textContent = text;
}

/** Show a modal dialog with *title*; it is gone once it is closed. */
export function dialog(title, body, properties = {}) {
  const close = iconButton("close", "Close", () => shown.close());
  const head = h("header", {}, h("h2", { id: "dialog-title" }, title), close);
  const shown = h("dialog", { "aria-labelledby": "dialog-title", ...properties }, head, body);
  shown.addEventListener("close", () => shown.remove());
  shown.addEventListener("click", (event) => event.target === shown && shown.close());
  document.body.append(shown);
  shown.showModal();
  return shown;
}

/** Return radio buttons in a row; *choices* are [value, label, title?]. */
export function segments(legend, name, choices, value, onchange) {
  const options = choices.map(([choice, label, title]) =>
    h("label", { title },
      h("input", {
        type: "radio", name, value: choice, checked: choice === value,
        onchange: () => onchange(choice),
      }),
      h("span", {}, label)));
  return h("fieldset", { class: "segments" }, h("legend", { class: "unseen" }, legend), options);
}

export function field(label, control, hint) {
  return h("label", { class: "field" }, h("span", {}, label), control, hint && h("small", {}, hint));
}

export function empty(title, text, ...more) {
  return h("div", { class: "empty" }, h("h2", {}, title), h("p", {}, text), more);
}
