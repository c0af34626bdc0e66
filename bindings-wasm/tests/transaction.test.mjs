// Transactions as programs use them, on the embedded store.

import assert from "node:assert/strict";
import { once } from "node:events";
import { test } from "node:test";
import { connect, MemoryStore } from "comity";
import { refuses, refusesNow } from "./support/refuses.mjs";

const text = (value) => (value === null ? null : new TextDecoder().decode(value));

test("all is applied, and the replies come in order", async () => {
  const store = new MemoryStore();
  const co = await connect(store);
  const tx = co.transaction();
  assert.equal(tx.set("alice", 100).incrBy("alice", -30).get("alice").size, 3);
  assert.equal(tx.id, null);
  assert.deepEqual(await tx.execute(), ["OK", 70, "70"]);
  assert.match(tx.id, /./);
  assert.equal(text(store.execute("GET", "alice")), "70");
  assert.deepEqual(await tx.execute(), []);
  const replies = await co.transaction(async (each) => {
    await null;
    each.incrBy("alice", 1).incrBy("bob", 9_007_199_254_740_993n);
  });
  assert.deepEqual(replies, [71, 9_007_199_254_740_993n]);
  assert.equal(await co.transactionStatus(tx.id), await co.transactionStatus(tx.id));
  await co.close();
});

test("nothing is applied where one fails or is not as it should be", async () => {
  const store = new MemoryStore();
  const co = await connect(store);
  store.execute("SET", "alice", 5);
  store.execute("RPUSH", "list", "a");
  const all = (tx) => tx.incrBy("alice", 1).incrBy("list", 1);
  await refuses("CommandFailed", /Command # 2/, co.transaction(all));
  const conditions = [
    ["alice", { value: 6 }],
    ["alice", { exists: false }],
    ["nobody", { exists: true }],
  ];
  for (const [key, condition] of conditions) {
    const checked = (tx) => tx.check(key, condition).incrBy("alice", 1);
    await refuses("Conflict", new RegExp(key), co.transaction(checked));
  }
  await co.transaction((tx) => tx.check("alice", { value: "5" }).check("nobody", { exists: false }));
  assert.equal(text(store.execute("GET", "alice")), "5");
  await refuses("Unsupported", /./, co.transaction((tx) => tx.command("FLUSHALL")));
  await assert.rejects(
    co.transaction(() => Promise.reject(new Error("mine"))),
    /mine/,
  );
  await co.close();
});

test("what is watched has to stay as it was", async () => {
  const store = new MemoryStore();
  const co = await connect(store);
  store.execute("SET", "alice", "7");
  store.execute("HSET", "hash", "f", "v");
  store.execute("ZADD", "zset", 1.5, "m");
  const tx = co.transaction();
  const seen = await tx.watch(["alice", "hash", "none", "alice"]);
  assert.equal(await seen.get("alice"), "7");
  assert.deepEqual(await seen.hGetAll("hash"), new Map([["f", "v"]]));
  assert.deepEqual(await seen.zRangeWithScores("zset", 0, -1), [{ value: "m", score: 1.5 }]);
  assert.deepEqual(await seen.mGet(["alice", "none"]), ["7", null]);
  assert.equal(await seen.command("STRLEN", "alice"), 1);
  store.execute("SET", "alice", "8");
  // What was read stays what it was.
  assert.equal(await seen.get("alice"), "7");
  await refuses("Conflict", /./, tx.set("bob", 1).execute());
  assert.equal(store.execute("GET", "bob"), null);

  const again = await tx.watch("alice");
  store.execute("HSET", "hash", "f", "other");
  assert.deepEqual(await tx.set("bob", await again.get("alice")).execute(), ["OK"]);
  await tx.watch("alice");
  tx.unwatch();
  store.execute("SET", "alice", "9");
  await tx.set("bob", 2).execute();
  await refuses("InvalidArgument", /no key/, tx.watch([]));
  await co.close();
});

test("a conflict is tried again", async () => {
  const store = new MemoryStore();
  const clients = await Promise.all([connect(store), connect(store)]);
  store.execute("SET", "n", 0);
  const add = (co) =>
    co.runTransaction("n", async (tx, seen) => tx.set("n", Number(await seen.get("n")) + 1), {
      attempts: 1000,
    });
  await Promise.all(Array.from({ length: 20 }, (_, n) => add(clients[n % 2])));
  assert.equal(text(store.execute("GET", "n")), "20");
  let tries = 0;
  const never = clients[0].runTransaction(
    "n",
    (tx) => {
      tries += 1;
      store.execute("INCR", "n");
      tx.set("n", 0);
    },
    { attempts: 3 },
  );
  await refuses("Conflict", /./, never);
  assert.equal(tries, 3);
  const outOfRange = clients[0].runTransaction("n", () => {}, { attempts: 0 });
  await refuses("InvalidArgument", /attempts must be.*1\.\.1000/, outOfRange);
  for (const co of clients) await co.close();
});

test("the store has no replicas, which is said at once", async () => {
  const store = new MemoryStore();
  const co = await connect(store);
  const events = co.events();
  const warned = once(process, "warning");
  const before = performance.now();
  const tx = co.transaction({ durability: { replicas: 1, timeout: 60_000 } });
  assert.equal(tx.replicas, null);
  assert.deepEqual(await tx.set("a", 1).execute(), ["OK"]);
  assert.deepEqual([tx.replicas, text(store.execute("GET", "a"))], [0, "1"]);
  assert.ok(performance.now() - before < 50_000);
  const [lacking, done] = [(await events.next()).value, (await events.next()).value];
  assert.deepEqual([lacking.kind, done.kind], ["transactionNotDurable", "transactionCommitted"]);
  assert.deepEqual([lacking.replicas, done.replicas], [0, 0]);
  assert.deepEqual([lacking.id, lacking.transaction], [done.id, done.transaction]);
  assert.equal(done.id, tx.id);
  assert.equal(lacking.error.message, "0 of 1 replicas are known to have it");
  const [{ name, message }] = await warned;
  assert.equal(name, "ComityWarning");
  assert.match(message, /is committed, and not durable: the server memory: 0 of 1 replicas/);
  await tx.get("a").execute();
  assert.equal(tx.replicas, null);
  await co.close();
});

test("bytes come back as they are, and strings as they read", async () => {
  const co = await connect();
  const all = Uint8Array.from({ length: 256 }, (_, byte) => byte);
  await co.transaction((tx) => tx.set("k", all).set("größe", "日本"));
  const binary = co.transaction({ bytes: true });
  const [value] = await binary.get("k").execute();
  assert.deepEqual(value, all);
  assert.deepEqual(await co.snapshot(["größe", "none"]), ["日本", null]);
  const [same] = await co.snapshot("k", { bytes: true });
  assert.deepEqual(same, all);
  assert.deepEqual(await (await binary.watch("k")).get("k"), all);
  await co.close();
});

test("savepoints, and what is forgotten", async () => {
  const co = await connect();
  const tx = co.transaction().set("a", 1);
  const mark = tx.savepoint();
  tx.set("b", 2).check("c", { exists: true });
  const later = tx.savepoint();
  tx.rollback(mark);
  await refusesNow("InvalidState", /savepoint/, () => tx.rollback(later));
  tx.set("d", 4);
  tx.rollback(mark);
  assert.deepEqual(await tx.execute(), ["OK"]);
  assert.deepEqual(await co.snapshot(["a", "b", "d"]), ["1", null, null]);
  await refusesNow("InvalidState", /savepoint/, () => tx.rollback(mark));
  tx.set("a", 2);
  tx.discard();
  assert.equal(tx.size, 0);
  await co.close();
});

test("the commands say what they mean", async () => {
  const co = await connect();
  const replies = await co.transaction((tx) =>
    tx
      .set("s", "abc", { EX: 100, NX: true })
      .set("s", "x", { NX: true })
      .set("s", "def", { GET: true, KEEPTTL: true })
      .append("s", "g")
      .strLen("s")
      .getRange("s", 1, 2)
      .setRange("s", 0, "D")
      .incrByFloat("f", 1.5)
      .mSet({ "{m}1": 1, "{m}2": 2 })
      .mGet(["{m}1", "{m}2", "{m}3"])
      .exists(["{m}1", "{m}2", "{m}3"])
      .del(["{m}1", "{m}2"])
      .type("s")
      .persist("s")
      .pExpire("s", 5000, "NX"),
  );
  assert.deepEqual(replies, [
    "OK", null, "abc", 4, 4, "ef", 4, 1.5, "OK", ["1", "2", null], 2, 2, "string", true, true,
  ]);
  const collections = await co.transaction((tx) =>
    tx
      .hSet("h", { a: 1, b: 2 })
      .hSet("h", new Map([["c", 3]]))
      .hGetAll("h")
      .hIncrBy("h", "a", 5n)
      .hDel("h", "b")
      .hExists("h", "b")
      .hmGet("h", ["a", "b"])
      .rPush("l", ["a", "b", "c"])
      .lRange("l", 0, -1)
      .lPop("l")
      .lLen("l")
      .sAdd("set", ["x", "y"])
      .sIsMember("set", "x")
      .sCard("set")
      .zAdd("z", [
        { score: 2, value: "b" },
        { score: -Infinity, value: "a" },
      ])
      .zRangeWithScores("z", 0, -1)
      .zIncrBy("z", 1.5, "b")
      .zScore("z", "nobody")
      .zRank("z", "b")
  );
  assert.deepEqual(collections, [
    2, 1, new Map([["a", "1"], ["b", "2"], ["c", "3"]]), 6, 1, false, ["6", null],
    3, ["a", "b", "c"], "a", 2, 2, true, 2, 2,
    [{ value: "a", score: -Infinity }, { value: "b", score: 2 }], 3.5, null, 1,
  ]);
  await co.close();
});

test("arguments that make no sense are refused, and nothing is buffered", async () => {
  const co = await connect();
  const tx = co.transaction();
  const wrong = [
    [() => tx.set("k", null), /Command # 1 \(SET\): argument 2 must be.*not null/],
    [() => tx.set("k", NaN), /must be a finite number/],
    [() => tx.set("k", "\ud800"), /lone surrogate/],
    [() => tx.set("k", "v", { EX: 1, PX: 1 }), /EX and PX exclude/],
    [() => tx.set("k", "v", { NX: true, XX: true }), /NX and XX exclude/],
    [() => tx.set("k", "v", { ex: 1 }), /no option "ex"/],
    [() => tx.hSet("h", {}), /no fields/],
    [() => tx.mSet(5), /mSet takes/],
    [() => tx.zAdd("z", [], { GT: true, LT: true }), /GT and LT exclude/],
    [() => tx.expire("k", 1, "SOON"), /mode must be one of/],
    [() => tx.check("k", {}), /check # 1 needs exactly one/],
    [() => tx.check("k", { value: 1, exists: true }), /needs exactly one/],
    [() => co.transaction({ ack: "soon" }), /ack must be one of/],
    [() => co.transaction({ timeout: 5 }), /timeout must be 10\.\.60000/],
    [() => co.transaction({ copyBytes: -1 }), /copyBytes must be/],
    [() => co.transaction({ bytes: 1 }), /bytes must be true or false/],
    [() => co.transaction({ durability: 1 }), /durability must be an object/],
    [() => co.transaction({ durability: null }), /durability must be an object/],
    [() => co.transaction({ durability: { kind: "wait" } }), /durability has no option "kind"/],
    [() => co.transaction({ durability: { replicas: 0 } }), /durability.replicas must be.*1\.\.64/],
    [() => co.transaction({ durability: { replicas: 65 } }), /durability.replicas must be.*1\.\.64/],
    [() => co.transaction({ durability: { replicas: true } }), /durability.replicas must be/],
    [() => co.transaction({ durability: { timeout: 9 } }), /durability.timeout must be 10\.\.60000/],
    [() => co.transaction({ durability: { timeout: null } }), /durability.timeout must be/],
    [() => co.transaction({ durability: {}, ack: "decided" }), /durability waits.*ack "applied"/],
    [() => co.runTransaction("k", () => {}, { durability: { replicas: -1 } }), /1\.\.64/],
    [() => co.snapshot("k", { durability: {} }), /snapshot has no durability/],
  ];
  for (const [call, pattern] of wrong) await refusesNow("InvalidArgument", pattern, call);
  assert.equal(tx.size, 0);
  await refuses("InvalidArgument", /heuristic must be/, co.resolve("id", { heuristic: "x" }));
  await refuses("InvalidArgument", /./, co.transactionStatus("no such id"));
  assert.equal(await co.sweep(), 0);
  await refuses("Aborted", /./, co.transaction((each) => each.get("k"), { signal: AbortSignal.abort() }));
  await co.close();
  await refuses("Closed", /./, tx.set("k", 1).execute());
});
