import assert from "node:assert/strict";
import { test } from "node:test";

import { begun, follow, fromStory, lasted, phases, wasted } from "../../../server/page/race.js";

const STARTED = { id: "r", model: "m", strategy: "hedge", racers: [{ id: "B", model: "b" }, { id: "A", model: "a" }] };
const STORY = {
  id: "r", model: "m", strategy: "hedge", created: 1, winner: "A", ms: 900, ttft_ms: 300, outcome: "won",
  racers: [
    { id: "B", model: "b", outcome: "cut off", start_ms: 0, connect_ms: 1, headers_ms: null, end_ms: 301, closed_ms: 1, tokens_wasted_at_least: 2 },
    { id: "A", model: "a", outcome: "won", start_ms: 100, connect_ms: 110, headers_ms: 200, first_token_ms: 300, end_ms: 900 },
  ],
};

function play(...events) {
  const race = begun(STARTED, 1000);
  for (const [name, racer, ms, more] of events) follow(race, name, { id: "r", racer, ms, ...more });
  return race;
}

const RUN = [
  ["racer.started", "B", 0], ["racer.connected", "B", 1], ["racer.started", "A", 100], ["racer.connected", "A", 110],
  ["racer.headers", "A", 200], ["racer.token", "A", 300], ["race.decided", "A", 300, { winner: "A" }], ["racer.cut_off", "B", 301],
];

test("racers stand in one order, and a lane has its phases as far as they are known", () => {
  const race = play(...RUN.slice(0, 5));
  assert.deepEqual(race.lanes.map((lane) => lane.id), ["A", "B"]);
  const [a, b] = race.lanes;
  assert.deepEqual(phases(a, 250), [["waiting", 0, 100], ["connecting", 100, 110], ["headers", 110, 200], ["token", 200, 250]]);
  assert.deepEqual(phases(b, 250), [["connecting", 0, 1], ["headers", 1, 250]]);
  assert.deepEqual(phases({ id: "C", outcome: "waiting" }, 250), [["waiting", 0, 250]]);
  assert.equal(lasted(race, 1250), 250);
});

test("events and the story come to the same lanes", () => {
  const race = play(...RUN);
  const story = fromStory(STORY);
  assert.deepEqual([race.winner, race.decided], [story.winner, story.decided]);
  assert.deepEqual(race.lanes.map((lane) => phases(lane, 900)), story.lanes.map((lane) => phases(lane, 900)));
  assert.deepEqual(race.lanes.map((lane) => lane.outcome), ["won", "cut off"]);
  assert.equal(lasted(follow(race, "race.ended", STORY), 99999), 900);
  assert.equal(wasted(race), 2);
});

test("who fails says why, and one that starts again begins anew", () => {
  const race = play(["racer.started", "B", 0], ["racer.connected", "B", 2], ["racer.failed", "B", 9, { reason: "timeout" }]);
  const lane = race.lanes.find((each) => each.id === "B");
  assert.deepEqual([lane.outcome, lane.reason, lane.end], ["failed", "timeout", 9]);
  follow(race, "racer.started", { racer: "B", ms: 20 });
  assert.deepEqual([lane.outcome, lane.connect, lane.end], ["running", undefined, undefined]);
});
