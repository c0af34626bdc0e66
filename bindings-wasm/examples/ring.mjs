// Which server each key belongs to, the same in every process and every language. No server.
//
// tests/examples/ring.txt has what it prints; so do the programs of the other languages.

import { Ring } from "comity";

const ring = new Ring(["a", "b", "c"]);
for (const key of ["user:1", "user:2", "user:3", "invoice:42", "größe"]) {
  const [owner, ...others] = ring.replicas(key, 3);
  console.log(`${key} lies on ${owner}, then on ${others.join(", ")}`);
}

const bigger = ring.withNode("d");
console.log(`a fourth node takes ${(100 * ring.movedShare(bigger)).toFixed(1)} % of the keys`);
const same = bigger.withoutNode("d").fingerprint === ring.fingerprint;
console.log(`taking it away again gives the same ring: ${same ? "yes" : "no"}`);

const keys = Array.from({ length: 30_000 }, (_, n) => `key:${n}`);
const heavy = new Ring([{ id: "a", weight: 2 }, "b", "c"]);
const share = heavy.lookupBatch(keys).filter((node) => node === "a").length / keys.length;
console.log(`with twice the weight, a has ${(100 * share).toFixed(0)} % of the keys`);
