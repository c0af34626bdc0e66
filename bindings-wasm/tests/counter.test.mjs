// The counter as programs use it, on the embedded store.

import assert from "node:assert/strict";
import { test } from "node:test";
import { connect, MemoryStore, PNCounter } from "comity";
import { MemoryStore as TestStore } from "comity/testing";
import { refuses, refusesNow } from "./support/refuses.mjs";

test("each unit is counted once, whoever counts", async () => {
  const store = new MemoryStore();
  const clients = await Promise.all([connect(store), connect(store)]);
  const counters = clients.map((co) => co.counter("hits"));
  for (let n = 0; n < 5000; n++) {
    counters[n % 2].add(n % 3);
    if (n % 500 === 0) await counters[0].read();
  }
  counters[0].addMany([5, -10n, 3]);
  for (const counter of counters) await counter.flush();
  const expected = BigInt(Array.from({ length: 5000 }, (_, n) => n % 3).reduce((a, b) => a + b) - 2);
  for (const counter of counters) {
    const read = await counter.read();
    assert.deepEqual([read.value, read.pending, read.epoch], [expected, 0n, 0]);
    assert.ok(read.staleness >= 0);
    assert.equal((await counter.read("fresh", { atLeast: read.token })).value, expected);
    assert.equal(counter.value(), expected);
    assert.equal(counter.valueNumber(), Number(expected));
    assert.equal(clients[counters.indexOf(counter)].counter("hits"), counter);
  }
  for (const co of clients) await co.close();
});

test("what is counted is flushed by itself, and not before its time", async () => {
  const store = new TestStore();
  const co = await connect(store);
  const other = await connect(store);
  const slow = { durability: { kind: "batched", maxDelay: 1000 } };
  const hits = co.counter("hits", slow);
  const seen = other.counter("hits");
  hits.add(5);
  await store.advance(500);
  assert.equal((await hits.read("local")).pending, 5n);
  assert.equal((await seen.read()).value, 0n);
  hits.add(2);
  await store.advance(1000);
  assert.equal((await hits.read("local")).pending, 0n);
  assert.equal((await seen.read()).value, 7n);
  // And again, once nothing was pending.
  hits.add(1);
  await store.advance(1500);
  assert.equal((await seen.read()).value, 8n);

  const sync = co.counter("sync", { durability: "sync" });
  sync.add(3);
  await store.advance(0);
  assert.equal((await other.counter("sync").read()).value, 3n);
  await co.close();
  await other.close();
});

test("close flushes what was counted last", async () => {
  const store = new MemoryStore();
  const one = await connect(store);
  one.counter("hits").add(41);
  await one.close();
  const two = await connect(store);
  const hits = two.counter("hits");
  hits.add();
  await hits.close();
  await refusesNow("Closed", /counter is closed/, () => hits.add());
  await refusesNow("Closed", /counter is closed/, () => hits.value());
  await refuses("Closed", /counter is closed/, hits.flush());
  assert.equal((await two.counter("hits").read()).value, 42n);
  await two.close();
  await refusesNow("Closed", /./, () => two.counter("hits"));
});

test("numbers of any size that 64 bits hold", async () => {
  const co = await connect();
  const hits = co.counter("hits");
  hits.add(2n ** 63n);
  hits.add(2 ** 53 - 1);
  hits.add(2 ** 53 - 1);
  hits.add(-(2n ** 64n) + 1n);
  const expected = 2n ** 63n + 2n * (2n ** 53n - 1n) - 2n ** 64n + 1n;
  assert.equal(hits.value(), expected);
  await refusesNow("Overflow", /2\^53/, () => hits.valueNumber());
  await refusesNow("Overflow", /2\^64 - 1/, () => hits.add(-1));
  await refusesNow("Overflow", /2\^64 - 1/, () => hits.add(2n ** 64n));
  await refusesNow("Overflow", /2\^64 - 1/, () => hits.addMany([2n ** 63n, 2n ** 63n]));
  for (const wrong of [0.5, NaN, Infinity, 2 ** 53, "1", null, {}, true]) {
    await refusesNow("InvalidArgument", /n must be a whole number/, () => hits.add(wrong));
  }
  assert.equal(hits.value(), expected);
  await hits.flush();
  assert.equal((await hits.read()).value, expected);
  hits.add(0);
  await co.close();
});

test("a bound on what may be lost refuses what would pass it", async () => {
  const store = new TestStore();
  const co = await connect(store);
  const hits = co.counter("hits", { durability: { kind: "batched", maxDelay: 1000, maxUnits: 10 } });
  hits.add(4);
  await store.advance(0);
  hits.add(6);
  await refusesNow("LimitExceeded", /10 units/, () => hits.add(5));
  assert.equal(hits.value(), 10n);
  // Half of it was flushed at once.
  await store.advance(0);
  hits.add(10);
  await store.advance(2000);
  hits.add(5);
  assert.equal(hits.value(), 25n);
  await co.close();
});

test("durabilities that make no sense are refused", async () => {
  const co = await connect();
  const wrong = [
    ["never", /"sync", "batched", \{ kind: "batched" \}/],
    [{ kind: "never" }, /durability.kind must be one of "batched", "journaled"/],
    [{ kind: "batched", maxDelay: -1 }, /maxDelay must be 0\.\.3600000/],
    [{ kind: "batched", maxUnits: 1 }, /maxUnits must be.*2\.\./],
    [{ kind: "batched", maxUnits: 2n ** 64n }, /maxUnits/],
    [{ kind: "batched", write() {} }, /no option "write"/],
    [{ kind: "journaled" }, /write must be a function/],
    [null, /durability must be/],
  ];
  for (const [durability, pattern] of wrong) {
    await refusesNow("InvalidArgument", pattern, () => co.counter("hits", { durability }));
  }
  co.counter("hits", { durability: "sync" });
  await refusesNow("InvalidState", /open already/, () => co.counter("hits", { durability: "batched" }));
  await refusesNow("Corrupt", /./, () => co.counter("other", { restore: new Uint8Array(3) }));
  await refusesNow("InvalidArgument", /restore must be/, () => co.counter("other", { restore: 5 }));
  await co.close();
});

test("a journal is written before the flush is answered, and restored after a crash", async () => {
  const store = new TestStore();
  const dead = await connect(store);
  const journals = [];
  let fails = true;
  const write = async (journal) => {
    if (fails) throw new Error("the disk is full");
    journals.push(journal);
  };
  const warned = new Promise((resolve) => process.once("warning", resolve));
  const hits = dead.counter("hits", { durability: { kind: "journaled", write, maxDelay: 3_600_000 } });
  await store.advance(0);
  hits.add(5);
  const flushed = hits.flush();
  assert.match((await warned).message, /could not be written.*disk is full/);
  fails = false;
  await flushed;
  while (journals.length === 0) await store.advance(0);
  const heir = await connect(store);
  const again = heir.counter("hits", { restore: journals.at(-1) });
  await again.flush();
  assert.equal((await again.read()).value, 5n);
  await heir.close();
  await dead.close();
});

test("snapshots, peers, resets and audits", async () => {
  const store = new MemoryStore();
  const co = await connect(store);
  const hits = co.counter("hits", { durability: { kind: "batched", maxDelay: 3_600_000 } });
  hits.add(75);
  await hits.flush();
  hits.add(25);
  const snapshot = hits.snapshot();
  const heir = await connect(store);
  const again = heir.counter("hits");
  again.restore(snapshot);
  await again.flush();
  assert.equal((await again.read()).value, 100n);
  await refusesNow("InvalidState", /./, () => again.restore(snapshot));

  const peer = new PNCounter();
  peer.add(11);
  again.merge(peer.snapshot());
  again.merge(peer.snapshot());
  await again.flush();
  assert.equal((await again.read()).value, 111n);
  const audit = await again.audit({ prune: 3_600_000 });
  assert.deepEqual([audit.corrected, audit.pruned], [0n, 0]);
  assert.equal(await again.reset({ epoch: 0 }), 1);
  await refuses("InvalidState", /./, again.reset({ epoch: 0 }));
  assert.equal((await again.read()).value, 0n);
  await refuses("Aborted", /./, again.read("fresh", { signal: AbortSignal.abort() }));
  await refuses("InvalidArgument", /mode must be one of/, again.read("stale"));
  await co.close();
  await heir.close();
});
