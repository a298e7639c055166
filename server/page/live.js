// What happens in races now: one stream of events, while the page is looked at.

import { api, lost, onBack } from "./api.js";
import { readEvents } from "./events.js";
import { begun, follow, fromStory } from "./race.js";

const KEPT = 60;
// Milliseconds before the stream is opened again, where the server has ended it.
const AGAIN = 1000;

/** The races that are known, by id, the oldest first. */
export const races = new Map();
const watchers = new Set();
let reading = null;

/** Call *watcher* with each race that changes; return what ends that. */
export function watch(watcher) {
  watchers.add(watcher);
  return () => watchers.delete(watcher);
}

function changed(race) {
  for (const watcher of watchers) watcher(race);
}

function keep(race) {
  races.delete(race.id);
  races.set(race.id, race);
  while (races.size > KEPT) races.delete(races.keys().next().value);
  changed(race);
}

export function take({ event, data }) {
  if (event === "resync") return catchUp();
  const told = JSON.parse(data);
  if (event === "race.started") return keep(begun(told, performance.now()));
  const race = races.get(told.id);
  if (race) changed(follow(race, event, told));
  else if (event === "race.ended") keep(fromStory(told));
}

/** Look up the last races, for what has been missed. */
export async function catchUp() {
  const { data } = await api("v1/races?limit=50");
  for (const story of data.reverse()) {
    const race = races.get(story.id);
    if (!race?.story) race ? changed(follow(race, "race.ended", story)) : keep(fromStory(story));
  }
}

/** Find out what became of one race, where the stream of events has not told. */
export async function lookUp(id) {
  const race = races.get(id);
  if (race?.story) return race;
  const story = await api(`v1/races/${encodeURIComponent(id)}`);
  keep(race ? follow(race, "race.ended", story) : fromStory(story));
  return races.get(id);
}

async function read(signal) {
  while (!signal.aborted) {
    try {
      const response = await api("v1/races/events", { signal, raw: true });
      await catchUp();
      for await (const events of readEvents(response)) events.forEach(take);
    } catch (error) {
      if (signal.aborted) return;
      if (error.status === 401 || error.offline) return void (reading = null);
      if (!error.status) return void ((reading = null), lost());
    }
    await new Promise((go) => setTimeout(go, AGAIN));
  }
}

function look() {
  if (document.hidden) {
    // A browser opens six connections to a host, for all of its pages.
    reading?.abort();
    reading = null;
  } else if (!reading) {
    reading = new AbortController();
    read(reading.signal);
  }
}

export function begin() {
  document.addEventListener("visibilitychange", look);
  onBack(look);
  look();
}
