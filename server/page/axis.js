// A time axis that grows in steps, so that lanes do not tremble while they run.

const NICE = [1, 2, 5];

/** Return the end of an axis that has to show *ms*: 250, 500, 1000, 2000, 5000 … */
export function axisEnd(ms) {
  if (ms <= 250) return 250;
  if (ms <= 500) return 500;
  let power = 1000;
  while (true) {
    for (const step of NICE) if (ms <= step * power) return step * power;
    power *= 10;
  }
}

/** Return about *count* round moments from 0 to *end*, both included. */
export function ticks(end, count = 5) {
  const rough = end / count;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 2.5, 5, 10].map((nice) => nice * power).find((nice) => nice >= rough);
  const made = [];
  for (let moment = 0; moment <= end + step / 1000; moment += step) made.push(moment);
  return made;
}

/** Return where *ms* is on an axis, from 0 to 1. */
export function position(ms, end) {
  return Math.min(Math.max(ms / end, 0), 1);
}
