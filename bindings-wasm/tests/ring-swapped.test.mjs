// Clients that have the same ids, and do not mean the same servers by them.

import assert from "node:assert/strict";
import { test } from "node:test";
import { connect } from "comity";
import { Redis } from "ioredis";
import { cleanup } from "./support/cleanup.mjs";
import { refuses } from "./support/refuses.mjs";
import { startRedis } from "./support/servers.mjs";

const to = ({ port }, more) => new Redis({ port, host: "127.0.0.1", lazyConnect: true, ...more });

test("swapped servers are refused, by connect and by every verb", async (t) => {
  const [first, second] = [await startRedis(t), await startRedis(t)];
  const co = await connect({ a: to(first), b: to(second) }, { timeout: 30_000 });
  cleanup(t, () => co.close());
  const name = Array.from({ length: 500 }, (_, n) => `k${n}`).find((key) => co.ring.node(key) === "a");
  const held = co.lock(name);
  await held.acquire();
  const swapped = () => ({ b: to(first), a: to(second) });
  await refuses("RingMismatch", /'a' is recorded as 'b'/, connect(swapped(), { timeout: 30_000 }));
  const other = await connect(swapped(), { timeout: 30_000, check: false });
  cleanup(t, () => other.close());
  const verbs = {
    lock: () => other.lock(name).acquire({ wait: 0 }),
    inspect: () => other.inspect(name),
    fenceCheck: () => other.fenceCheck(name, 1),
    counter: () => other.counter(name).read(),
    transaction: () => other.transaction((tx) => tx.set(name, 1)),
  };
  for (const [verb, begin] of Object.entries(verbs)) {
    const error = await refuses("RingMismatch", /'a' is recorded as 'b'/, begin());
    assert.equal(error.server, "a", verb);
  }
  await held.release();
});

test("one server under two ids is refused by connect", async (t) => {
  const server = await startRedis(t);
  // Without a stamp, and with the one that it has got from the first attempt.
  for (const host of ["127.0.0.1", "localhost"]) {
    const twice = { a: to(server), b: to(server, { host }) };
    await refuses("RingMismatch", /'a' and 'b' are one server/, connect(twice, { timeout: 30_000 }));
  }
});
