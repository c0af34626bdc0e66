// What holds the event loop up: a lease whose renewal was sent in time is kept, and one that is lost is
// told as that by every verb.

import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { test } from "node:test";
import { promisify } from "node:util";
import { connect } from "comity";
import { Redis } from "ioredis";
import { createClient } from "redis";
import { cleanup } from "./support/cleanup.mjs";
import { refuses, refusesNow } from "./support/refuses.mjs";
import { startRedis } from "./support/servers.mjs";

const CLIENTS = {
  ioredis: (port) => new Redis({ port, lazyConnect: true }),
  "node-redis": (port) => createClient({ socket: { port } }),
};

/** Work that lets nothing else happen. */
function blocks(ms) {
  const end = performance.now() + ms;
  while (performance.now() < end);
}

for (const [kind, make] of Object.entries(CLIENTS)) {
  test(`${kind}: nine seconds of work under a lock that was handed over`, async (t) => {
    const { port } = await startRedis(t);
    const [first, second] = await Promise.all([connect(make(port)), connect(make(port))]);
    cleanup(t, () => Promise.all([first.close(), second.close()]));
    const before = first.lock("x");
    await before.acquire();
    const queued = second.events();
    const work = second.withLock("x", { ttl: 30_000, onLost: () => assert.fail("lost") }, (held) => {
      // The claim alone: the answer to the first renewal is not here yet.
      assert.ok(held.remaining < 2_500, `${held.remaining}`);
      blocks(9_000);
      return held;
    });
    for await (const { kind } of queued) if (kind === "lockQueued") break;
    // Another waits, for whom a lease that is over would be taken at once.
    const other = first.lock("x", { wait: 60_000 });
    // What is handed over is the turn of who came first.
    const waits = other.acquire();
    await before.release();
    const held = await work;
    assert.equal(held.lost, false);
    assert.equal(await waits, true);
    await other.release();
  });

  test(`${kind}: a lease that was renewed in time outlasts a stall`, async (t) => {
    const { port } = await startRedis(t);
    const co = await connect(make(port));
    cleanup(t, () => co.close());
    let lost = 0;
    const options = { ttl: 4_000, renew: false, onLost: () => lost++ };
    const all = Array.from({ length: 20 }, (_, n) => co.lock(`x${n}`, options));
    await Promise.all(all.map((lock) => lock.acquire()));
    // Sent, and answered while nobody reads; the lease that is known here ends meanwhile.
    const renewals = all.map((lock) => lock.extend(30_000));
    renewals[0].catch(() => {}); // given back while it is renewed: whichever is answered first
    // They leave in this turn, by node-redis at its end.
    for (let turn = 0; turn < 2; turn++) await new Promise((resolve) => setImmediate(resolve));
    blocks(4_500);
    // A verb on one is no time for all others.
    await all[0].release();
    await Promise.all(renewals.slice(1));
    assert.deepEqual([lost, all.slice(1).every((lock) => lock.held)], [0, true]);
    await Promise.all(all.slice(1).map((lock) => lock.release()));
  });
}

test("a lost lease is LockLost to every verb, and stays lost", async (t) => {
  const co = await connect();
  cleanup(t, () => co.close());
  for (const [name, verb] of Object.entries({
    release: (lock) => lock.release(),
    extend: (lock) => lock.extend(),
    dispose: (lock) => lock[Symbol.asyncDispose](),
  })) {
    let lost = 0;
    const lock = co.lock(name, { ttl: 400, onLost: () => lost++ });
    await lock.acquire();
    blocks(500);
    // It is not proven; whether it is lost is told, to both at once, when what has arrived was read.
    assert.deepEqual([lock.held, lock.lost, lock.signal.aborted], [false, false, false]);
    const unproven = await refusesNow("LockLost", /not proven any more/, () => lock.check());
    assert.equal(unproven.lockName, name);
    const error = await refuses("LockLost", new RegExp(`'${name}'`), verb(lock));
    assert.equal(error.lockName, name);
    assert.deepEqual([lock.lost, lost, lock.signal.aborted], [true, 1, true], name);
    assert.equal(lock.signal.reason.name, "LockLost");
    // The handle can be used again.
    if (name === "extend") await refuses("LockLost", /extend/, lock.release());
    assert.equal(lock.lost, true);
    assert.equal(await lock.acquire({ wait: 0 }), true);
    assert.deepEqual([lock.held, lock.lost], [true, false]);
    await lock.release();
  }
  let lost = 0;
  const work = co.withLock("w", { ttl: 400, onLost: () => lost++ }, () => blocks(500));
  const error = await refuses("LockLost", /'w'/, work);
  assert.deepEqual([error.lockName, lost], ["w", 1]);
});

test("a lease is lost and its signal aborts at one moment", async (t) => {
  const { port } = await startRedis(t);
  const co = await connect(new Redis({ port, lazyConnect: true }));
  cleanup(t, () => co.close());
  const lock = co.lock("x", { ttl: 400, renew: false });
  await lock.acquire();
  const seen = new Set();
  const look = () => seen.add(`${lock.lost} ${lock.signal.aborted}`);
  const told = new Promise((resolve) => lock.signal.addEventListener("abort", () => resolve(look())));
  look();
  blocks(500);
  look();
  queueMicrotask(look);
  process.nextTick(look);
  setImmediate(look);
  const watching = setInterval(look, 1);
  await told;
  clearInterval(watching);
  assert.deepEqual([...seen], ["false false", "true true"]);
});

test("many waits on one signal are no leak", async () => {
  const program = `
    import { connect } from "comity";
    const co = await connect();
    const held = co.lock("x");
    await held.acquire();
    const giveUp = new AbortController();
    const { signal } = giveUp;
    const waits = Array.from({ length: 30 }, () => co.lock("x").acquire({ signal }).catch((e) => e.name));
    const watches = Array.from({ length: 15 }, () => co.events({ signal }).next().catch((e) => e.name));
    setTimeout(() => giveUp.abort());
    const ends = new Set(await Promise.all([...waits, ...watches]));
    await held.release();
    console.log(...[...ends].map((end) => end.value?.kind ?? end));
    await co.close();
  `;
  const { stdout, stderr } = await promisify(execFile)(
    process.execPath,
    ["--input-type=module", "-e", program],
    { cwd: new URL("..", import.meta.url) },
  );
  assert.match(stdout, /Aborted/);
  assert.equal(stderr, "");
});
