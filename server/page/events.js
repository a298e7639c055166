// Server-sent events, read from a response: EventSource can send no key.

/** Splits text, however it is cut, into events: {event, data}. */
export class EventSplitter {
  #rest = "";
  #name = "";
  #data = [];

  /** Return the events that are complete with *text*. */
  push(text) {
    const lines = (this.#rest + text).split(/\r\n|\n|\r(?!$)/);
    this.#rest = lines.pop();
    const events = [];
    for (const line of lines) {
      if (line !== "") this.#take(line);
      else if (this.#data.length) events.push(this.#end());
      else this.#name = "";
    }
    return events;
  }

  #take(line) {
    const [, name, value] = /^([^:]*):? ?([^]*)$/.exec(line);
    if (name === "data") this.#data.push(value);
    if (name === "event") this.#name = value;
  }

  #end() {
    const event = { event: this.#name || "message", data: this.#data.join("\n") };
    this.#name = "";
    this.#data = [];
    return event;
  }
}

/** Yield the events of a response together with those that came in the same piece. */
export async function* readEvents(response) {
  const splitter = new EventSplitter();
  const decoder = new TextDecoder();
  const reader = response.body.getReader();
  try {
    while (true) {
      const { done, value } = await reader.read();
      if (done) return;
      yield splitter.push(decoder.decode(value, { stream: true }));
    }
  } finally {
    reader.cancel().catch(() => {});
  }
}
