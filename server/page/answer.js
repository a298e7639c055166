// One answer on the page: its text as it comes, its race, and what became of it.

import { api, lost } from "./api.js";
import { receive, speed } from "./conversation.js";
import { announce, fill, h } from "./dom.js";
import { readEvents } from "./events.js";
import { Lanes, mark } from "./lanes.js";
import { lookUp, races, watch } from "./live.js";
import { Prose } from "./prose.js";
import { fromStory, wasted } from "./race.js";
import { count, dollars, ms, plural, reason } from "./words.js";

export class Answer {
  #prose = new Prose();
  #thoughts = new Prose();
  #lanes = new Lanes();
  #frame = 0;
  #thinking = h("details", { class: "thinking", hidden: true }, h("summary", {}, "Thinking"), this.#thoughts.element);
  #state = h("p", { class: "state" });
  #foot = h("p", { class: "foot" });
  element = h("div", { class: "answer" }, this.#thinking, this.#prose.element, this.#state, this.#lanes.element, this.#foot);

  /** *run* is what is kept of it; *follow* is called when it has grown on the page. */
  constructor(run, follow = () => {}) {
    this.run = run;
    this.follow = follow;
    this.#prose.append(run.text);
    this.#thoughts.append(run.thinking);
    this.#render();
    if (run.story) this.#lanes.show(fromStory(run.story));
    this.#end();
  }

  /** Send a request, and show what comes of it. Throws nothing: the run has the error. */
  async stream(body, signal) {
    const { run } = this;
    const begin = performance.now();
    this.element.setAttribute("aria-busy", "true");
    fill(this.#state, h("span", { class: "pulse" }), "Waiting for the first token");
    const stop = watch((race) => race.id === run.id && this.#lanes.show(race));
    try {
      const response = await api("v1/chat/completions", { body, signal, raw: true, headers: { "X-Request-ID": run.id } });
      for await (const events of readEvents(response)) this.#take(events, begin);
      if (!run.finish) run.error = { message: "The answer broke off." };
    } catch (error) {
      if (error.name === "AbortError") run.stopped = true;
      else run.error = failure(error);
    }
    run.ms = performance.now() - begin;
    await this.#learn(run);
    stop();
    this.element.removeAttribute("aria-busy");
    this.#render();
    this.#end();
    this.follow();
    announce(run.error ? run.error.message : run.stopped ? "Stopped" : `Done, ${plural(run.text.split(/\s+/).length, "word")}`);
  }

  #take(events, begin) {
    for (const { data } of events) {
      if (data === "[DONE]") continue;
      const { thought, text } = receive(this.run, JSON.parse(data));
      if ((thought || text) && this.run.ttft == null) this.#begin(performance.now() - begin);
      if (thought) this.#thoughts.append(data && this.run.thinking.slice(this.#thoughts.text.length));
      if (text) this.#prose.append(this.run.text.slice(this.#prose.text.length));
    }
    this.#frame ||= requestAnimationFrame(() => this.#render());
  }

  #begin(ttft) {
    this.run.ttft = ttft;
    fill(this.#state);
    announce(`${this.run.provider ?? "It"} answers`);
  }

  #render() {
    this.#frame = 0;
    const { run } = this;
    this.#thinking.hidden = !run.thinking;
    if (run.thinking) this.#thoughts.render();
    this.#prose.render();
    this.follow();
  }

  /** Keep the story of its race, which knows better than the page when what came. */
  async #learn(run) {
    try {
      const race = await lookUp(run.id);
      run.story = race.story;
      if (race.story?.ttft_ms != null) run.ttft = race.story.ttft_ms;
      this.#lanes.show(race);
    } catch {
      const race = races.get(run.id);
      if (race) this.#lanes.show(race);
    }
  }

  #end() {
    const { run } = this;
    if (run.error) fill(this.#state, h("span", { class: "error", role: "alert" }, run.error.message), failures(run.error));
    else fill(this.#state, run.stopped && h("span", { class: "muted" }, "Stopped. What was said is kept."));
    const silent = run.finish && !run.text && !run.thinking;
    if (silent) fill(this.#state, h("span", { class: "muted" }, `It ended without a word (${run.finish}).`));
    fill(this.#foot, facts(run));
  }
}

function failure(error) {
  if (!(error instanceof TypeError)) return { message: error.message, code: error.code, providers: error.providers };
  lost(); // it was being read, and broke
  return { message: "The connection to the server broke." };
}

function failures(error) {
  const known = error.providers ?? [];
  if (known.length < 2) return null; // the message has said it
  return h("ul", { class: "failures" }, known.map(({ id, status, code, message }) =>
    h("li", {}, mark(id), h("b", {}, id), ` ${message || reason(code, status)}`)));
}

/** Return what stands under an answer. */
function facts(run) {
  const made = [];
  const say = (text, title) => made.push(h("span", { title }, text));
  if (run.provider) made.push(h("span", { class: "winner" }, mark(run.provider), run.provider));
  if (run.model) say(run.model);
  if (run.ttft != null && (run.text || run.thinking)) say(`${ms(run.ttft)} to the first token`);
  const rate = speed(run);
  if (rate) say(`${rate < 10 ? rate.toFixed(1) : Math.round(rate)} tokens/s`, "Without the time to the first token");
  const { usage } = run;
  if (usage) say(`${count(usage.prompt_tokens)} → ${plural(usage.completion_tokens, "token")}`, "In and out");
  if (usage?.cost != null) say(dollars(usage.cost));
  if (run.ahead) say(run.ahead);
  const lost = run.story ? wasted(fromStory(run.story)) : 0;
  if (lost) say(`losers wasted at least ${plural(lost, "token")}`);
  return made;
}
