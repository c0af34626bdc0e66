// A key's node: comity beside hashring with its cache off, and many keys at once beside native Rust.

import HashRing from "hashring";
import { Ring } from "comity";
import { compare, table, target } from "./measure.mjs";

const NODES = Array.from({ length: 32 }, (_, node) => `node-${node}:6379`);
const KEYS = 10_000;

/** `native`: nanoseconds that Rust takes for one of the keys of a batch. */
export async function ring(native) {
  const ours = new Ring(NODES);
  const theirs = uncached(new HashRing(NODES));
  // With as many points as comity has: hashring makes four of each.
  const vnodes = Object.fromEntries(NODES.map((node) => [node, { vnodes: 128 }]));
  const even = uncached(new HashRing(vnodes));
  const texts = Array.from({ length: KEYS }, (_, key) => `user:${key}:profile`);
  const bytes = texts.map((text) => new TextEncoder().encode(text));
  const each = (lookup, keys) => () => {
    for (const key of keys) lookup(key);
    return keys.length;
  };
  const results = await compare({
    "comity, a string": each((key) => ours.node(key), texts),
    "comity, bytes": each((key) => ours.node(key), bytes),
    "comity, 10,000 strings at once": () => ours.lookupBatch(texts).length,
    "comity, 10,000 byte keys at once": () => ours.lookupBatch(bytes).length,
    "hashring, cache off, 160 points": each((key) => theirs.get(key), texts),
    "hashring, cache off, 512 points": each((key) => even.get(key), texts),
  });
  if (native !== undefined) results["Rust itself, 10,000 byte keys at once"] = native;
  table("ring: one key's node, of 32 nodes", results);
  const times = results["hashring, cache off, 160 points"] / results["comity, a string"];
  target(times >= 20, `a lookup is at least 20 times as fast as hashring's: ${times.toFixed(1)}`);
  if (native !== undefined) {
    const slower = results["comity, 10,000 byte keys at once"] / native;
    target(slower <= 3, `a batch is at most 3 times as slow as native Rust: ${slower.toFixed(2)}`);
  }
}

/** Its cache cannot be configured away: one of no entries fails. */
function uncached(ring) {
  ring.cache = { get: () => undefined, set: () => undefined };
  return ring;
}
