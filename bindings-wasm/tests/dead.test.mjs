// A bug in the module: it is dead from then on, and says so. In a process of its own, as each file is.

import assert from "node:assert/strict";
import { test } from "node:test";
import { connect, ErrorCode, PNCounter, Ring, version } from "comity";
import { Coordinator, MemoryStore } from "comity/core";
import { refuses, refusesNow } from "./support/refuses.mjs";

test("what traps in the module marks it dead, for all that comes from it", async () => {
  const core = new Coordinator({ nodes: ["a"], now: 0 });
  const other = new Coordinator({ nodes: ["a"], now: 0 });
  const ring = new Ring(["a"]);
  const co = await connect();
  const [lost, hits] = [[], co.counter("hits")];
  const held = co.lock("job", { ttl: 5_000, onLost: (lock) => lost.push(lock) });
  await held.acquire();
  const waited = co.lock("job").acquire();
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
  // A timer of the coordinator meets it next. It has nobody to throw at, so everybody is told.
  await refuses("Internal", dead, waited);
  await new Promise((resolve) => setImmediate(resolve));
  assert.deepEqual(lost, [held]);
  assert.equal(held.held, false);
  assert.equal(held.signal.reason.code, ErrorCode.Internal);
  for (const call of [() => hits.add(1), () => held.extend(), () => co.lock("other").acquire()]) {
    await refusesNow("Internal", dead, call);
  }
  await co.close();
  // The store is an instance of its own.
  const asked = [new TextEncoder().encode("EXISTS"), new TextEncoder().encode("k")];
  assert.equal(new MemoryStore().execute(asked, 1), 0);
});
