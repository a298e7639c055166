// A race as it is known so far: from events while it runs, from its story afterwards.

/** Return the race that a "race.started" event begins; *now* is performance.now(). */
export function begun(event, now) {
  return {
    id: event.id,
    model: event.model,
    strategy: event.strategy,
    anchor: now,
    created: Date.now() / 1000,
    lanes: ordered(event.racers.map(({ id, model }) => ({ id, model, outcome: "waiting" }))),
    decided: null,
    winner: null,
    story: null,
  };
}

/** Racers stand in the same order always, whoever was first. */
function ordered(lanes) {
  return lanes.sort((a, b) => a.id.localeCompare(b.id));
}

const TIMES = { started: "start", connected: "connect", headers: "headers", token: "token" };

/** Take in an event of *race*; its milliseconds count, not when it came. */
export function follow(race, name, event) {
  if (name === "race.ended") return told(race, event);
  if (name === "race.decided") {
    race.decided = event.ms;
    race.winner = event.winner;
  }
  const step = name.slice(name.indexOf(".") + 1);
  const lane = laneOf(race, event.racer);
  if (step === "started" && lane.start != null) {
    for (const key of ["connect", "headers", "token", "end", "reason"]) delete lane[key];
  }
  if (step in TIMES) lane[TIMES[step]] = event.ms;
  if (step === "started") lane.outcome = "running";
  if (step === "decided") lane.outcome = "won";
  if (step === "failed") Object.assign(lane, { outcome: "failed", reason: event.reason, end: event.ms });
  if (step === "cut_off") Object.assign(lane, { outcome: "cut off", end: event.ms });
  return race;
}

function laneOf(race, id) {
  let lane = race.lanes.find((each) => each.id === id);
  if (!lane) race.lanes.push((lane = { id, model: "", outcome: "running" }));
  return lane;
}

/** Return a race of which the whole story is known. */
export function fromStory(story) {
  return told({ id: story.id, anchor: null, lanes: [] }, story);
}

function told(race, story) {
  const latest = new Map(story.racers.map((racer) => [racer.id, racer]));
  const lanes = ordered([...latest.values()].map(laneFrom));
  const winner = lanes.find((lane) => lane.id === story.winner);
  return Object.assign(race, {
    model: story.model,
    strategy: story.strategy,
    created: story.created,
    lanes,
    decided: winner ? (winner.token ?? story.ms) : null,
    winner: story.winner,
    story,
  });
}

function laneFrom(racer) {
  return {
    id: racer.id,
    model: racer.model,
    outcome: racer.outcome,
    reason: racer.reason,
    status: racer.status,
    start: racer.start_ms,
    connect: racer.connect_ms,
    headers: racer.headers_ms,
    token: racer.first_token_ms,
    end: racer.end_ms,
    closed: racer.closed_ms,
    delay: racer.delay_ms,
    wasted: racer.tokens_wasted_at_least ?? 0,
    chunks: racer.chunks,
  };
}

/** Return the milliseconds that *race* has lasted; *now* is performance.now(). */
export function lasted(race, now) {
  return race.story ? race.story.ms : now - race.anchor;
}

/** Return what a lane was doing when: [phase, from, to] in milliseconds. */
export function phases(lane, until) {
  const end = lane.outcome === "won" || lane.end == null ? until : lane.end;
  if (lane.start == null) return [["waiting", 0, until]];
  const marks = [
    ["waiting", 0],
    ["connecting", lane.start],
    ["headers", lane.connect],
    ["token", lane.headers],
    ["streaming", lane.token],
  ].filter(([, from]) => from != null);
  return marks
    .map(([phase, from], index) => [phase, from, Math.min(marks[index + 1]?.[1] ?? end, end)])
    .filter(([phase, from, to]) => to > from || (phase === "streaming" && to >= from));
}

/** Return the tokens that losers had made when they were cut off: at least so many. */
export function wasted(race) {
  return race.lanes.reduce((sum, lane) => sum + (lane.id === race.winner ? 0 : (lane.wasted ?? 0)), 0);
}
