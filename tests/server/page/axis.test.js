import assert from "node:assert/strict";
import { test } from "node:test";

import { axisEnd, position, ticks } from "../../../server/page/axis.js";

test("an axis grows in steps, and has room for what it has to show", () => {
  const ends = [0, 250, 251, 700, 1500, 4000, 8000, 12000, 45000, 600000].map(axisEnd);
  assert.deepEqual(ends, [250, 250, 500, 1000, 2000, 5000, 10000, 20000, 50000, 1000000]);
  for (let ms = 0; ms < 20000; ms += 7) assert.ok(axisEnd(ms) >= ms);
});

test("ticks are few, round, and begin and end with the axis", () => {
  for (const end of [250, 500, 1000, 2000, 5000, 10000, 20000, 50000, 100000]) {
    const made = ticks(end);
    assert.deepEqual([made[0], made.at(-1)], [0, end]);
    assert.ok(made.length >= 3 && made.length <= 6, `${end}: ${made}`);
  }
});

test("nothing is outside of its axis", () => {
  assert.deepEqual([-5, 0, 125, 250, 900].map((ms) => position(ms, 250)), [0, 0, 0.5, 1, 1]);
});
