// A bug in the module: it is dead from then on, and says so. In a process of its own, as each file is.

import assert from "node:assert/strict";
import { test } from "node:test";
import { connect, PNCounter, Ring, version } from "comity";
import { Coordinator, MemoryStore } from "comity/core";
import { refusesNow } from "./support/refuses.mjs";

test("what traps in the module marks it dead, for all that comes from it", async () => {
  const core = new Coordinator({ nodes: ["a"], now: 0 });
  const other = new Coordinator({ nodes: ["a"], now: 0 });
  const ring = new Ring(["a"]);
  // Where no memory is: the call traps in the module, as a panic does.
  core.owned().__wbg_ptr = 0x7fff_fff0;
  const calls = [
    () => core.handleTimeout(1),
    () => core.handleTimeout(1),
    () => other.handleTimeout(1),
    () => other.lockAcquire("x", 1),
    () => other[Symbol.dispose](),
    () => ring.node("k"),
    () => new Coordinator({ nodes: ["a"], now: 0 }),
    () => new PNCounter(),
    () => new Ring(["a"]),
    () => version(),
    () => connect(),
  ];
  const dead = /a bug in comity: this instance is dead.*RuntimeError: memory access out of bounds/;
  for (const call of calls) await refusesNow("Internal", dead, call);
  // The store is an instance of its own.
  const asked = [new TextEncoder().encode("EXISTS"), new TextEncoder().encode("k")];
  assert.equal(new MemoryStore().execute(asked, 1), 0);
});
