// Conversations, kept in this browser and nowhere else.

const NAME = "interference";
const TABLE = "conversations";
const others = typeof BroadcastChannel === "undefined" ? null : new BroadcastChannel(NAME);
let opening = null;

function open() {
  opening ??= new Promise((resolve, reject) => {
    const request = indexedDB.open(NAME, 1);
    request.onupgradeneeded = () => request.result.createObjectStore(TABLE, { keyPath: "id" });
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error);
  });
  return opening;
}

async function run(mode, work) {
  const database = await open();
  return new Promise((resolve, reject) => {
    const transaction = database.transaction(TABLE, mode);
    const request = work(transaction.objectStore(TABLE));
    transaction.oncomplete = () => resolve(request.result);
    transaction.onerror = () => reject(transaction.error);
  });
}

/** Return all conversations, the last changed first. */
export async function all() {
  const found = await run("readonly", (table) => table.getAll());
  return found.sort((a, b) => b.updated - a.updated);
}

export async function save(conversation) {
  conversation.updated = Date.now();
  await run("readwrite", (table) => table.put(conversation));
  others?.postMessage("changed");
}

export async function remove(id) {
  await run("readwrite", (table) => table.delete(id));
  others?.postMessage("changed");
}

/** Call *back* when another tab has changed something. */
export function onChange(back) {
  others?.addEventListener("message", back);
}

/** Say whether *words* are in a conversation's title or messages. */
export function has(conversation, words) {
  const wanted = words.toLowerCase();
  const texts = Object.values(conversation.nodes).flatMap((node) => [node.text ?? "", ...(node.runs ?? []).map((run) => run.text)]);
  return [conversation.title, ...texts].some((text) => text.toLowerCase().includes(wanted));
}

/** Have the browser save *value* as a file of JSON. */
export function download(name, value) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([JSON.stringify(value, null, 2)], { type: "application/json" }));
  link.download = name;
  link.click();
  URL.revokeObjectURL(link.href);
}
