// How things are measured here: the contenders take turns in one process, and each is judged by the
// median of its turns, so that a machine that slows down for a while slows all of them.

const TURNS = 15;

export function median(numbers) {
  const sorted = [...numbers].sort((a, b) => a - b);
  return sorted[Math.floor(sorted.length / 2)];
}

/** A part of all that is smaller than `share` of it. */
export function quantile(numbers, share) {
  const sorted = [...numbers].sort((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))];
}

/**
 * Nanoseconds for each operation, by contender. Each of `contenders` does its operations once for
 * each turn, and says how many they were.
 */
export async function compare(contenders, turns = TURNS) {
  const times = Object.fromEntries(Object.keys(contenders).map((name) => [name, []]));
  // The first turn warms up and is not counted.
  for (let turn = -1; turn < turns; turn += 1) {
    for (const [name, work] of Object.entries(contenders)) {
      const before = performance.now();
      const operations = await work();
      const time = ((performance.now() - before) * 1e6) / operations;
      if (turn >= 0) times[name].push(time);
    }
  }
  return Object.fromEntries(Object.entries(times).map(([name, all]) => [name, median(all)]));
}

/** Prints a table; the first contender is the one that the others are compared with. */
export function table(title, results) {
  console.log(`\n${title}`);
  const [[, base]] = Object.entries(results);
  for (const [name, time] of Object.entries(results)) {
    const ratio = time === base ? "" : `${(time / base).toPrecision(3)} x`;
    console.log(`  ${name.padEnd(44)} ${shown(time).padStart(12)} ${ratio.padStart(10)}`);
  }
}

/** Says whether a target is met, as it was seen in this run. */
export function target(met, words) {
  console.log(`  ${met ? "met   " : "MISSED"}  ${words}`);
}

function shown(nanoseconds) {
  if (nanoseconds < 1e3) return `${nanoseconds.toFixed(1)} ns`;
  if (nanoseconds < 1e6) return `${(nanoseconds / 1e3).toFixed(2)} us`;
  return `${(nanoseconds / 1e6).toFixed(2)} ms`;
}
