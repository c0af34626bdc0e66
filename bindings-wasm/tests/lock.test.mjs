// The lock as programs use it, on the embedded store.

import assert from "node:assert/strict";
import { test } from "node:test";
import { connect, MemoryStore } from "comity";
import { MemoryStore as TestStore } from "comity/testing";
import { refuses, refusesNow } from "./support/refuses.mjs";

test("withLock holds, gives the result, and releases", async () => {
  const co = await connect();
  const fences = [];
  const result = await co.withLock("x", { ttl: 10_000, label: "me" }, async (held) => {
    fences.push(held.fence);
    assert.ok(held.held && !held.lost && held.remaining > 9000);
    assert.ok(held.validUntil > performance.now());
    held.check();
    const seen = await co.inspect("x");
    assert.deepEqual([seen.capacity, seen.holdersTotal, seen.waitersTotal], [1, 1, 0]);
    assert.deepEqual([seen.holders[0].label, seen.holders[0].fence], ["me", held.fence]);
    assert.equal(await co.lock("x").acquire({ wait: 0 }), false);
    const error = await refuses("LockTimeout", /'x'.*held by me/, co.withLock("x", { wait: 10 }, () => {}));
    assert.deepEqual([error.holder, error.lockName], ["me", "x"]);
    return 7;
  });
  assert.equal(result, 7);
  assert.equal((await co.inspect("x")).holdersTotal, 0);
  await co.withLock(new Uint8Array([0, 255]), (held) => fences.push(held.fence));
  await co.close();
});

test("what the body throws comes out, and the lock is free", async () => {
  const co = await connect();
  const mine = new Error("mine");
  await assert.rejects(co.withLock("x", () => Promise.reject(mine)), mine);
  assert.equal(await co.lock("x").acquire({ wait: 0 }), true);
  await co.close();
});

test("first come, first served, with rising fences, between coordinators", async () => {
  const store = new MemoryStore();
  const clients = await Promise.all([connect(store), connect(store)]);
  const order = [];
  const held = clients[0].lock("x");
  await held.acquire();
  const waiting = [];
  for (let n = 0; n < 6; n++) {
    waiting.push(clients[n % 2].withLock("x", (lock) => order.push([n, lock.fence])));
    while ((await clients[0].inspect("x")).waitersTotal <= n);
  }
  await held.release();
  await Promise.all(waiting);
  assert.deepEqual(order.map(([n]) => n), [0, 1, 2, 3, 4, 5]);
  assert.ok(order.every(([, fence], at) => at === 0 || fence > order[at - 1][1]));
  for (const co of clients) await co.close();
});

test("an AbortSignal ends a wait and leaves nothing behind", async () => {
  const co = await connect();
  const held = co.lock("x");
  await held.acquire();
  const controller = new AbortController();
  const why = new Error("enough");
  const waiting = co.withLock("x", { signal: controller.signal }, () => assert.fail("held"));
  while ((await co.inspect("x")).waitersTotal < 1);
  controller.abort(why);
  const error = await refuses("Aborted", /enough/, waiting);
  assert.equal(error.cause, why);
  while ((await co.inspect("x")).waitersTotal > 0);
  // One that has aborted before sends nothing.
  const { lockAcquires } = co.stats();
  await refuses("Aborted", /./, co.lock("y").acquire({ signal: AbortSignal.abort() }));
  assert.equal(co.stats().lockAcquires, lockAcquires);
  await refuses("InvalidArgument", /signal must be/, co.lock("y").acquire({ signal: 5 }));
  await held.release();
  await co.close();
});

test("an aborted release goes on in the background", async () => {
  const co = await connect();
  const lock = co.lock("x");
  await lock.acquire();
  await refuses("Aborted", /./, lock.release({ signal: AbortSignal.abort() }));
  assert.equal(await co.lock("x").acquire({ wait: 1000 }), true);
  await co.close();
});

test("a lease that runs out is lost: the handle, its signal and its owner are told", async () => {
  const store = new TestStore();
  const co = await connect(store);
  const told = [];
  const lock = co.lock("x", { ttl: 1000, renew: false, onLost: (lost) => told.push(lost) });
  await lock.acquire();
  assert.equal(lock.signal.aborted, false);
  await store.advance(2000);
  assert.deepEqual([lock.held, lock.lost, told[0] === lock], [false, true, true]);
  assert.equal(lock.signal.reason.name, "LockLost");
  await refusesNow("LockLost", /'x'/, () => lock.check());
  await refuses("LockLost", /'x'/, lock.release());
  await refuses("LockLost", /'x'/, lock.release());

  await refuses(
    "LockLost",
    /./,
    co.withLock("x", { ttl: 1000, renew: false }, () => store.advance(5000)),
  );
  await co.close();
});

test("a lease is renewed for as long as it is held, and by hand", async () => {
  const store = new TestStore();
  const co = await connect(store);
  const lock = co.lock("x", { ttl: 1000 });
  await lock.acquire();
  await store.advance(60_000);
  assert.ok(lock.held);
  await lock.extend(30_000);
  assert.ok(lock.remaining > 29_000);
  await refuses("InvalidArgument", /ttl must be 50\.\.86400000/, lock.extend(1));
  await lock.release();
  const short = co.lock("x", { ttl: 1000, maxHold: 5000 });
  await short.acquire();
  await store.advance(10_000);
  assert.ok(short.lost);
  await co.close();
});

test("a handle is used again, and for one thing at a time", async () => {
  const co = await connect();
  const lock = co.lock("x");
  await refusesNow("NotHeld", /'x'/, () => lock.fence);
  assert.deepEqual([lock.held, lock.lost, lock.remaining], [false, false, 0]);
  for (let time = 0; time < 3; time++) {
    assert.equal(await lock.acquire(), true);
    await refuses("InvalidState", /held already/, lock.acquire());
    await lock[Symbol.asyncDispose]();
  }
  await lock[Symbol.asyncDispose]();
  await co.close();
});

test("fences are numbers, which JSON takes, and the guard compares them", async () => {
  const co = await connect();
  const fence = await co.withLock("x", (held) => held.fence);
  assert.deepEqual(JSON.parse(JSON.stringify({ fence })), { fence });
  assert.equal(await co.fenceCheck("ledger", fence), true);
  assert.equal(await co.fenceCheck("ledger", fence - 1), false);
  for (const wrong of [0, -1, 0.5, 2 ** 53, "1", null]) {
    await refuses("InvalidArgument", /fence must be/, co.fenceCheck("ledger", wrong));
  }
  await co.close();
});

test("options of another type or range are refused by name, and nothing is sent", async () => {
  const co = await connect();
  const { commands } = co.stats();
  const wrong = [
    [{ ttl: 49 }, /ttl must be 50\.\.86400000 milliseconds, not 49/],
    [{ ttl: "10" }, /ttl must be.*not "10"/],
    [{ ttl: NaN }, /ttl/],
    [{ ttl: 10n }, /ttl must be.*not 10n/],
    [{ wait: -1 }, /wait/],
    [{ wait: Infinity }, /wait/],
    [{ maxHold: 1 }, /maxHold/],
    [{ renew: 1 }, /renew must be true or false, not 1/],
    [{ label: 5 }, /label must be a string or a Uint8Array, not number/],
    [{ onLost: "cancel" }, /onLost must be a function, not string/],
    [{ tll: 5 }, /^there is no option "tll": ttl, wait/],
    [null, /options must be an object/],
  ];
  for (const [options, pattern] of wrong) {
    await refusesNow("InvalidArgument", pattern, () => co.lock("x", options));
  }
  await refusesNow("InvalidArgument", /1\.\.512 bytes, not empty/, () => co.lock(""));
  await refusesNow("LimitExceeded", /1\.\.512 bytes, not 513/, () => co.lock("x".repeat(513)));
  await refusesNow("InvalidArgument", /lone surrogate/, () => co.lock("\udfff"));
  await refuses("LimitExceeded", /label/, co.lock("x", { label: "y".repeat(257) }).acquire());
  await refuses("InvalidArgument", /fn must be a function/, co.withLock("x", {}));
  assert.equal(co.stats().commands, commands);
  await co.close();
});

test("close releases what is held and tells who waits", async () => {
  const store = new MemoryStore();
  const [one, two] = await Promise.all([connect(store), connect(store)]);
  const held = one.lock("x");
  await held.acquire();
  const mine = refuses("Closed", /closed/, one.lock("x").acquire());
  const theirs = two.lock("x").acquire();
  while ((await two.inspect("x")).waitersTotal < 2);
  await one.close();
  await mine;
  assert.equal(await theirs, true);
  await one.close();
  await refuses("Closed", /./, one.lock("x").acquire());
  await refuses("Closed", /./, one.inspect("x"));
  await refusesNow("Closed", /./, () => one.events());
  await two[Symbol.asyncDispose]();
  assert.ok(two.closed);
});

for (const first of ["check", "extend", "release"]) {
  test(`what is held at a close is lost: ${first} says so first, and then all`, async () => {
    const co = await connect();
    let calls = 0;
    const lock = co.lock("x", { onLost: () => calls++ });
    await lock.acquire();
    const { signal } = lock;
    const closing = co.close();
    const says = (verb) =>
      assert.rejects(async () => lock[verb](), {
        name: "LockLost",
        lockName: "x",
        message: /lock 'x' was given back when the coordinator was closed/,
      });
    await says(first);
    await closing;
    for (const verb of [first, "check", "extend", "release", "extend", "check"]) await says(verb);
    assert.deepEqual([lock.held, lock.lost, signal.aborted, signal.reason.name], [false, true, true, "LockLost"]);
    // Who closes knows it.
    assert.equal(calls, 0);
    await assert.rejects(lock.acquire(), { name: "Closed" });
  });
}
