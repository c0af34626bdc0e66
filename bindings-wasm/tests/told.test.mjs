// What callers are told: which server, which lock, which counter; in numbers, in JSON, on the console.

import assert from "node:assert/strict";
import { hostname } from "node:os";
import { test } from "node:test";
import { inspect } from "node:util";
import { ComityError, connect, MemoryStore, PNCounter, Ring } from "comity";
import { Redis } from "ioredis";
import { createClient } from "redis";
import { cleanup } from "./support/cleanup.mjs";
import { refuses } from "./support/refuses.mjs";
import { freePort, startProxy, startRedis } from "./support/servers.mjs";

const CLIENTS = {
  ioredis: (port, more) => new Redis({ port, lazyConnect: true, ...more }),
  "node-redis": (port, { db: database, ...more } = {}) =>
    createClient({ socket: { port }, database, ...more }),
};

/** A key of each of these servers. */
function keysOf(co, ids) {
  const all = Array.from({ length: 500 }, (_, n) => `k${n}`);
  return ids.map((id) => all.find((key) => co.ring.node(key) === id));
}

test("every error and every event about one server names it", async (t) => {
  const [a, b] = [await startRedis(t), await startRedis(t)];
  const servers = { a: new Redis({ port: a.port, lazyConnect: true }), b: new Redis({ port: b.port, lazyConnect: true }) };
  const co = await connect(servers, { timeout: 400 });
  cleanup(t, () => co.close());
  const [onA, onB] = keysOf(co, ["a", "b"]);
  const seen = [];
  const events = co.events();
  const watching = (async () => {
    for await (const event of events) seen.push(event);
  })();
  await co.withLock(onB, (held) => {
    assert.equal(seen.length >= 0 && held.id > 0, true);
  });
  const held = co.lock(onB);
  await held.acquire();
  const timeout = await refuses("LockTimeout", /held by/, co.withLock(onB, { wait: 20 }, () => {}));
  assert.deepEqual([timeout.server, timeout.node, timeout.lockName], ["b", 1, onB]);
  assert.match(timeout.message, /another handle of this coordinator/);
  const twice = await refuses("InvalidState", /held already/, held.acquire());
  assert.equal(twice.lockName, onB);
  const hits = co.counter(onB);
  hits.add(1);
  await hits.flush();
  await hits.read("fresh");
  await hits.audit();
  await hits.reset();
  await b.stop("SIGKILL");
  const failures = {
    acquire: co.lock(onB).acquire({ wait: 5_000 }),
    inspect: co.inspect(onB),
    fenceCheck: co.fenceCheck(onB, 1),
    read: co.counter(onB).read(),
    flush: (async () => {
      co.counter(onB).add(1);
      await co.counter(onB).flush();
    })(),
  };
  const ends = Object.entries(failures).map(([name, failed]) =>
    failed.then(() => assert.fail(name), (thrown) => [name, thrown]),
  );
  for (const [name, error] of await Promise.all(ends)) {
    assert.ok(error instanceof ComityError, name);
    assert.deepEqual([name, error.server, error.node], [name, "b", 1]);
  }
  assert.equal(await co.fenceCheck(onA, 1), true);
  events.close();
  await watching;
  const locks = seen.filter(({ kind }) => /^lock(Granted|Released|Queued|Failed)$/.test(kind));
  assert.ok(locks.length >= 4);
  for (const event of locks) {
    assert.deepEqual([event.name, event.server, event.node], [onB, "b", 1], event.kind);
  }
  const counted = seen.filter(({ kind }) => /^counter(Flushed|Read|Audited|Reset)$/.test(kind));
  assert.equal(new Set(counted.map(({ kind }) => kind)).size, 4);
  for (const event of counted) {
    assert.deepEqual([event.name, event.server, event.node], [onB, "b", 1], event.kind);
  }
  const failed = seen.find(({ kind }) => kind === "callFailed");
  assert.deepEqual([failed.server, failed.error.server, failed.error.node], ["b", "b", 1]);
});

for (const [kind, make] of Object.entries(CLIENTS)) {
  test(`${kind}: why a server cannot be reached is told, at once where waiting does not help`, async (t) => {
    const nowhere = `/tmp/comity-no-such-socket-${process.pid}`;
    const client =
      kind === "ioredis"
        ? new Redis({ path: nowhere, lazyConnect: true })
        : createClient({ socket: { path: nowhere } });
    const before = performance.now();
    const failed = connect({ one: client }, { timeout: 60_000 });
    const lasting = await refuses("Unreachable", /^one: .*could not be reached: .*ENOENT/, failed);
    assert.ok(lasting.cause instanceof Error && !(lasting.cause instanceof ComityError), "the client's own");
    assert.deepEqual([lasting.server, lasting.node], ["one", 0]);
    assert.ok(performance.now() - before < 30_000, "long before the timeout");
    // Whoever refuses now may be there soon: it is tried until the time is over, and then told.
    const refused = make(await freePort());
    const error = await refuses("Unreachable", /ECONNREFUSED/, connect(refused, { timeout: 300 }));
    assert.equal(error.cause.code ?? error.cause.errors?.[0].code, "ECONNREFUSED");
  });
}

test("a transaction in doubt names the server that decides", async (t) => {
  const [a, b] = [await startRedis(t), await startRedis(t)];
  const proxy = await startProxy(t, a.port);
  const client = (port) => new Redis({ port, lazyConnect: true });
  const co = await connect({ a: client(proxy.port), b: client(b.port) }, { timeout: 400 });
  cleanup(t, () => co.close());
  const [onA, onB] = keysOf(co, ["a", "b"]);
  await co.transaction((tx) => tx.set(onA, 1).set(onB, 1));
  // Commands arrive, answers do not.
  proxy.mute = true;
  const error = await refuses("OutcomeUnknown", /resolve\(/, co.transaction((tx) => tx.incr(onA).incr(onB)));
  assert.deepEqual([error.server, error.node], ["a", 0]);
  assert.match(error.transactionId, /@a$/);
  proxy.mute = false;
  proxy.cut();
});

test("of several transactions that a silent server holds up, each names it", async (t) => {
  const [a, b] = [await startRedis(t), await startRedis(t)];
  const proxy = await startProxy(t, b.port);
  const client = (port) => new Redis({ port, lazyConnect: true });
  const co = await connect({ a: client(a.port), b: client(proxy.port) }, { timeout: 2_000 });
  cleanup(t, () => co.close());
  const all = Array.from({ length: 200 }, (_, n) => `k${n}`);
  const [onA, onB] = ["a", "b"].map((id) => all.filter((key) => co.ring.node(key) === id));
  await co.transaction((tx) => tx.incr(onA[0]).incr(onB[0]));
  proxy.hang = true;
  const runs = Array.from({ length: 8 }, (_, at) =>
    co.runTransaction([onA[at % 4]], async (tx, seen) => {
      await seen.get(onA[at % 4]);
      tx.incrBy(onA[at % 4], -1).incrBy(onB[at % 4], 1);
    }),
  );
  for (const { status, reason } of await Promise.allSettled(runs)) {
    assert.equal(status, "rejected");
    assert.deepEqual([reason.server, reason.node], ["b", 1], String(reason));
  }
  proxy.hang = false;
  proxy.cut();
});

test("integers have numbers beside them, and JSON", async () => {
  const co = await connect();
  const events = co.events();
  const hits = co.counter("hits");
  hits.add(3);
  const value = await hits.read();
  assert.deepEqual([value.value, value.valueNumber, value.pendingNumber], [3n, 3, Number(value.pending)]);
  assert.equal(JSON.parse(JSON.stringify(value)).value, 3);
  assert.equal(JSON.parse(JSON.stringify({ at: value })).at.value, 3);
  const audit = await hits.audit();
  assert.deepEqual([audit.correctedNumber, JSON.parse(JSON.stringify(audit)).corrected], [0, 0]);
  hits.add(2n ** 60n);
  const large = await hits.read();
  assert.throws(() => large.valueNumber, { name: "Overflow" });
  assert.equal(JSON.parse(JSON.stringify(large)).value, String(2n ** 60n + 3n));
  await hits.close();
  for await (const event of events) {
    if (event.kind !== "counterClosed") continue;
    assert.deepEqual([event.units, event.unitsNumber, event.name], [0n, 0, "hits"]);
    assert.equal(JSON.parse(JSON.stringify(event)).units, 0);
    break;
  }
  await co.close();
});

test("the console shows what things are", async () => {
  const co = await connect();
  const lock = co.lock("x");
  assert.equal(inspect(lock), "Lock { name: 'x', id: null, held: false, lost: false }");
  await lock.acquire();
  assert.match(inspect(lock), /^Lock \{\s+name: 'x',\s+id: \d+,\s+held: true,[^]*fence: \d+,\s+remaining: \d+/);
  assert.equal(inspect(co), "Coordinator { servers: [ 'memory' ], closed: false }");
  assert.equal(inspect(co.counter("hits")), "Counter { name: 'hits', value: 0n, closed: false }");
  assert.equal(inspect(co.transaction().incr("a")), "Transaction { commands: 1, id: null }");
  assert.match(inspect(new Ring(["a"])), /^Ring \{ nodes: \[ \{ id: 'a', weight: 1 \} \], points: 512 \}$/);
  assert.equal(inspect(new PNCounter()), "PNCounter { value: 0n }");
  assert.equal(inspect([lock], { depth: 0 }), "[ [Lock] ]");
  const error = await refuses("NotHeld", /'y'/, co.lock("y").release());
  assert.match(inspect(error), /^NotHeld: lock 'y' is not held[^]*lockName: 'y'/);
  assert.doesNotMatch(inspect(error), /name: 'NotHeld'/);
  const disposed = new Ring(["a"]);
  disposed[Symbol.dispose]();
  assert.equal(inspect(disposed), "[Ring]");
  await lock.release();
  await co.close();
});

test("a holder without a label is called by its host and process", async () => {
  const store = new MemoryStore();
  const [co, other] = [await connect(store), await connect(store)];
  const held = co.lock("x");
  await held.acquire();
  assert.equal((await co.inspect("x")).holders[0].label, `${hostname().slice(0, 200)}:${process.pid}`);
  const mine = await refuses("LockTimeout", /this one is called too/, other.withLock("x", { wait: 0 }, () => {}));
  assert.equal(mine.holder, `${hostname().slice(0, 200)}:${process.pid}`);
  await held.release();
  await Promise.all([co.close(), other.close()]);
});

for (const [kind, make] of Object.entries(CLIENTS)) {
  test(`${kind}: the database that the client has chosen is used`, async (t) => {
    const { port } = await startRedis(t);
    for (const [way, client] of Object.entries({
      option: make(port, { db: 3 }),
      select: await (async () => {
        const chosen = make(port);
        await chosen.connect();
        cleanup(t, () => (chosen.disconnect ?? chosen.destroy).call(chosen));
        await chosen.select(5);
        return chosen;
      })(),
    })) {
      const co = await connect(client);
      await co.transaction((tx) => tx.set(`k:${way}`, 1));
      await co.close();
    }
    const info = await keyspace(port);
    assert.match(info, /db3:/);
    assert.match(info, /db5:/);
    assert.doesNotMatch(info, /db0:/);
  });
}

test("what a client is made of is no client, and that is said", async () => {
  for (const [given, words] of [
    [{ host: "localhost", port: 6379 }, /\{ host, port \}.*"redis:.*createClient.*new Redis/],
    [{ url: "redis://localhost" }, /\{ url \}/],
    [{ socket: { port: 6379 } }, /\{ socket \}/],
  ]) {
    await refuses("Unsupported", words, connect(given));
  }
  // Who calls a server so may.
  const port = await freePort();
  const client = new Redis({ port, lazyConnect: true });
  const co = await connect({ host: client }, { check: false });
  assert.equal(co.ring.node("x"), "0", "one alone needs no name in its ring");
  await co.close();
});

async function keyspace(port) {
  const client = new Redis({ port });
  const info = await client.info("keyspace");
  client.disconnect();
  return info;
}
