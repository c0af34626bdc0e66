// Transactions that replicas are to have, on real servers with a real replica each.

import assert from "node:assert/strict";
import { after, test } from "node:test";
import { setTimeout as pause } from "node:timers/promises";
import { connect, http, MemoryStore } from "comity";
import { Coordinator as Core } from "comity/core";
import { Redis } from "ioredis";
import { createClient } from "redis";
import { TransportDriver } from "../dist/esm/driver/driver.js";
import { Session } from "../dist/esm/session.js";
import { cleanup } from "./support/cleanup.mjs";
import { refuses } from "./support/refuses.mjs";
import { command, startRedis, startWebdis } from "./support/servers.mjs";
import { startUpstash } from "./support/upstash.mjs";

const warnings = [];
process.on("warning", ({ message }) => warnings.push(message));
after(() => process.removeAllListeners("warning"));

/** A client of each kind that has connections, for one port of Redis. */
const SOCKETS = {
  "node-redis": (port) => createClient({ socket: { port, host: "127.0.0.1" } }),
  ioredis: (port) => new Redis({ port, host: "127.0.0.1", lazyConnect: true }),
  tcp: (port) => `redis://127.0.0.1:${port}`,
};
const GATEWAYS = {
  webdis: async (t, port) => http((await startWebdis(t, port)).url, { dialect: "webdis" }),
  upstash: async (t, port) => {
    const { url, token } = await startUpstash(t, port);
    return http(url, { dialect: "upstash", token });
  },
};

/** A server with a replica that is in step. */
async function startPair(t) {
  const master = await startRedis(t, "--repl-diskless-sync-delay", "0");
  const whose = `127.0.0.1 ${master.port}`;
  const replica = await startRedis(t, "--replicaof", whose, "--repl-diskless-load", "swapdb");
  const plain = client(t, master.port);
  await plain.set("first", 1);
  // One that has just come answers after its first second.
  await until(async () => (await plain.wait(1, 100)) === 1);
  const send = (signal) => process.kill(replica.pid, signal);
  const { port, stop } = master;
  return { port, stop, master: plain, replica: client(t, replica.port), send };
}

/** A client of the tests' own, to look with. */
function client(t, port) {
  const plain = new Redis({ port, host: "127.0.0.1" });
  // Some of the servers die.
  plain.on("error", () => undefined);
  cleanup(t, () => plain.disconnect());
  return plain;
}

async function connected(t, client, options) {
  const co = await connect(client, { timeout: 2_000, ...options });
  cleanup(t, () => co.close());
  return co;
}

/** What the server says of those whom `WAIT` blocks; it is also the last command of who did wait. */
async function waiters(master) {
  const all = String(await master.client("LIST")).split("\n");
  return all.filter((line) => / flags=\w*b\w* .* cmd=wait /.test(line));
}

/** Executes, and says how many replicas have it and how many milliseconds it took. */
async function timed(tx) {
  const before = performance.now();
  await tx.execute();
  return { replicas: tx.replicas, took: performance.now() - before };
}

for (const [kind, make] of Object.entries(SOCKETS)) {
  test(`${kind}: it is done when replicas of each server have it`, async (t) => {
    const pairs = { a: await startPair(t), b: await startPair(t) };
    const co = await connected(t, { a: make(pairs.a.port), b: make(pairs.b.port) });
    const keys = ["a", "b"].map((id) => keyOn(co, id));
    const tx = co.transaction({ durability: { timeout: 5_000 } });
    for (let value = 0; value < 10; value += 1) {
      assert.deepEqual(await tx.set(keys[0], value).set(keys[1], value).execute(), ["OK", "OK"]);
      assert.equal(tx.replicas, 1);
      assert.equal(await pairs.a.replica.get(keys[0]), String(value));
      assert.equal(await pairs.b.replica.get(keys[1]), String(value));
    }
    await tx.set(keys[0], "alone").execute();
    assert.deepEqual([tx.replicas, await pairs.a.replica.get(keys[0])], [1, "alone"]);
    await tx.get(keys[0]).execute();
    assert.equal(tx.replicas, null);
    const durability = { replicas: 1 };
    assert.deepEqual(await co.transaction((one) => one.incr("n"), { durability }), [1]);
    const add = async (one, seen) => one.set("n", Number(await seen.get("n")) + 1);
    await co.runTransaction("n", add, { durability });
    assert.deepEqual(await co.snapshot("n"), ["2"]);
    assert.equal(co.stats().transactionNotDurable, 0);
    for (const { master } of Object.values(pairs)) {
      assert.match(await master.info("commandstats"), /cmdstat_wait:calls=[1-9]/);
    }
  });

  test(`${kind}: every wait is behind its question, where nobody else is`, async (t) => {
    const { port, master } = await startPair(t);
    const co = await connected(t, make(port));
    const tx = co.transaction({ durability: { timeout: 5_000 } });
    await tx.set("k", 0).execute();
    const monitor = await master.monitor();
    cleanup(t, () => monitor.disconnect());
    const seen = [];
    monitor.on("monitor", (_, words, source) => seen.push([source, words[0].toUpperCase()]));
    for (let value = 0; value < 10; value += 1) await tx.set("k", value).execute();
    await until(() => seen.filter(([, name]) => name === "WAIT").length >= 10);
    const [[place]] = seen.filter(([, name]) => name === "WAIT");
    const there = seen.filter(([source]) => source === place).map(([, name]) => name);
    assert.deepEqual(there, there.map((_, at) => (at % 2 === 0 ? "EVALSHA" : "WAIT")));
    const elsewhere = seen.filter(([source]) => source !== place && source !== "lua");
    assert.ok(elsewhere.length >= 10);
    assert.ok(elsewhere.every(([, name]) => name !== "WAIT"));
  });

  test(`${kind}: a replica that stands still holds up nobody else`, async (t) => {
    const { port, send } = await startPair(t);
    const co = await connected(t, make(port));
    const other = await connected(t, make(port));
    const events = co.events();
    // By then the replica is known to follow, and the scripts are there.
    await co.transaction({ durability: { timeout: 10_000 } }).set("k", 1).execute();
    const tx = co.transaction({ durability: { replicas: 1, timeout: 1_000 } });
    send("SIGSTOP");
    const { replicas, took } = await timed(tx.set("k", 2));
    assert.equal(replicas, 0);
    assert.ok(took > 950 && took < 30_000, String(took));
    const place = `127.0.0.1:${port}`;
    const told = `${tx.id} is committed, and not durable: the server ${place}: 0 of 1 replicas`;
    await until(() => warnings.some((message) => message.includes(told)));
    const kinds = [];
    while (kinds.at(-1) !== "transactionNotDurable") kinds.push((await events.next()).value.kind);
    assert.deepEqual(kinds, ["transactionCommitted", "transactionNotDurable"]);
    const { value: done } = await events.next();
    assert.deepEqual([done.kind, done.id, done.replicas], ["transactionCommitted", tx.id, 0]);
    assert.deepEqual(await other.snapshot("k"), ["2"]);

    let waits = true;
    const long = co.transaction({ durability: { replicas: 1, timeout: 8_000 } }).set("k", 3);
    const waited = timed(long).finally(() => (waits = false));
    await until(async () => (await other.snapshot("k"))[0] === "3");
    await co.transaction().incr("k").execute();
    assert.ok(waits, "it is done while the other waits");
    assert.equal((await waited).replicas, 0);
    send("SIGCONT");
    await until(async () => (await tx.set("k", 5).execute()) && tx.replicas === 1);
  });

  test(`${kind}: more replicas than there are`, async (t) => {
    const { port } = await startPair(t);
    const co = await connected(t, make(port));
    const tx = co.transaction({ durability: { replicas: 2, timeout: 2_000 } });
    assert.equal((await timed(tx.set("k", 1))).replicas, 1);
    await until(() => warnings.some((text) => text.includes(tx.id) && text.includes("1 of 2")));
    assert.deepEqual(await co.snapshot("k"), ["1"]);
  });

  test(`${kind}: a connection that breaks is another round`, async (t) => {
    const { port, master, send } = await startPair(t);
    const co = await connected(t, make(port));
    const tx = co.transaction({ durability: { timeout: 10_000 } });
    await tx.set("k", 1).execute();
    send("SIGSTOP");
    const waits = timed(tx.set("k", 2));
    let cut = 0;
    const places = new Set();
    await until(async () => {
      for (const line of await waiters(master)) {
        const [, id] = /^id=(\d+)/.exec(line);
        if (places.has(id)) continue;
        places.add(id);
        await master.client("KILL", "ID", id);
        cut += 1;
      }
      return cut >= 3;
    });
    send("SIGCONT");
    assert.equal((await waits).replicas, 1);
    assert.equal(co.stats().transactionNotDurable, 0);
  });

  test(`${kind}: what closes or gives up ends the wait with what is known`, async (t) => {
    const { port, master, send } = await startPair(t);
    const owned = make(port);
    await owned.connect?.();
    const co = await connected(t, owned);
    // The connection that may block is made of it later.
    await owned.quit?.();
    const options = { durability: { timeout: 30_000 } };
    const tx = co.transaction(options);
    send("SIGSTOP");
    const giveUp = new AbortController();
    const given = tx.set("k", 1).execute({ signal: giveUp.signal });
    await until(async () => (await waiters(master)).length === 1);
    giveUp.abort();
    await refuses("Aborted", /given up/, given);
    await until(() => warnings.some((text) => /was given up, and is committed/.test(text)));

    const second = co.transaction(options).set("k", 2);
    const waits = timed(second);
    await until(async () => (await co.snapshot("k"))[0] === "2");
    const before = performance.now();
    await co.close();
    assert.equal((await waits).replicas, 0);
    assert.ok(performance.now() - before < 20_000);
    await until(() => warnings.some((text) => text.includes(`${second.id} is committed, and not`)));
    const clients = async () => String(await master.client("LIST", "TYPE", "normal"));
    await until(async () => (await clients()).trim().split("\n").length === 1);
    await refuses("Closed", /closed/, second.set("k", 3).execute());
    assert.equal(await master.get("k"), "2");
  });

  test(`${kind}: a server that dies has nobody wait longer for its replicas`, async (t) => {
    const { port, master, send, stop } = await startPair(t);
    const co = await connected(t, make(port));
    const tx = co.transaction({ durability: { timeout: 2_000 } });
    await tx.set("k", 1).execute();
    send("SIGSTOP");
    const waits = timed(tx.set("k", 2));
    await until(async () => (await waiters(master)).length === 1);
    await stop();
    const { replicas, took } = await waits;
    assert.equal(replicas, 0);
    assert.ok(took < 30_000, String(took));
    await until(() => warnings.some((text) => text.includes(`${tx.id} is committed, and not`)));
    const { id } = tx;
    await refuses("Unreachable", /could not be reached/, tx.set("k", 3).execute());
    assert.equal(tx.id, id);
    const before = performance.now();
    await co.close();
    assert.ok(performance.now() - before < 20_000);
    await refuses("Closed", /closed/, tx.set("k", 3).execute());
  });

  test(`${kind}: a user who may not wait is told`, async (t) => {
    const { port } = await startRedis(t);
    assert.equal(await command(port, "ACL", "SETUSER", "default", "-wait"), "+OK");
    const co = await connected(t, make(port));
    const tx = co.transaction({ durability: { timeout: 200 } });
    assert.deepEqual(await tx.set("k", 1).execute(), ["OK"]);
    assert.equal(tx.replicas, 0);
    await until(() => warnings.some((text) => text.includes(tx.id) && text.includes("NOPERM")));
  });
}

for (const [kind, make] of Object.entries(GATEWAYS)) {
  test(`${kind}: over HTTP it is refused, and nothing is done`, async (t) => {
    const [near, far] = [await startRedis(t), await startRedis(t)];
    const clients = { near: SOCKETS.ioredis(near.port), far: await make(t, far.port) };
    const co = await connected(t, clients);
    const [here, there] = ["near", "far"].map((id) => keyOn(co, id));
    const durability = { timeout: 50 };
    const { commands } = co.stats();
    // Each holds the hash with its stamp.
    const size = await command(near.port, "DBSIZE");
    const refused = /the server far .*WAIT knows nothing/;
    for (const begin of [
      () => co.transaction({ durability }).set(there, 1).execute(),
      () => co.transaction({ durability }).check(there, { exists: false }).set(here, 1).execute(),
      () => co.transaction((tx) => tx.set(here, 1).set(there, 1), { durability }),
      () => co.runTransaction(there, assert.fail, { durability }),
    ]) {
      await refuses("Unsupported", refused, begin());
    }
    assert.equal(co.stats().commands, commands);
    for (const { port } of [near, far]) assert.equal(await command(port, "DBSIZE"), size);
    // Where it does not go over HTTP it is waited for.
    const tx = co.transaction({ durability });
    await tx.set(here, 1).execute();
    assert.equal(tx.replicas, 0);
  });
}

/** A transport to a store, which counts its connections. */
function transport(store, more) {
  const made = { links: [] };
  const connect = async () => {
    const sent = [];
    made.links.push(sent);
    let over;
    const closed = new Promise((resolve) => (over = resolve));
    const send = (batch) =>
      batch.map(async ({ argv }) => {
        sent.push(new TextDecoder().decode(argv[0]));
        return store.run(argv)[0];
      });
    return { closed, close: () => over(), send };
  };
  return { made, address: "store:1", connect, ...more };
}

test("a transport of one's own says whether its connections are its own", async (t) => {
  const store = new MemoryStore();
  for (const dedicated of [undefined, false]) {
    const co = await connected(t, transport(store, { dedicated }));
    const tx = co.transaction({ durability: {} });
    await refuses("Unsupported", /store:1/, tx.set("k", 1).execute());
  }
  assert.equal(store.execute("EXISTS", "k"), 0);
  const own = transport(store, { dedicated: true });
  const co = await connected(t, own);
  const tx = co.transaction({ durability: {} });
  await tx.set("k", 1).execute();
  await tx.set("k", 2).execute();
  assert.equal(tx.replicas, 0);
  const [plain, blocking, ...more] = own.made.links;
  assert.deepEqual(more, []);
  assert.ok(!plain.includes("WAIT"));
  assert.deepEqual(blocking, ["EVALSHA", "WAIT", "EVAL", "WAIT", "EVALSHA", "WAIT"]);
});

test("what blocks is not sent where there is no connection for it", async (t) => {
  const now = () => Math.floor(performance.now() * 1000);
  const core = new Core({ nodes: ["a"], now: now(), push: false });
  const session = new Session(core, 1, now, true);
  const shared = transport(new MemoryStore());
  const driver = new TransportDriver(session, [shared]);
  cleanup(t, () => driver.stop());
  const events = [];
  session.listen({ put: (event) => events.push(event), end: () => undefined });
  const words = ["SET", "k", "1"].map((each) => new TextEncoder().encode(each));
  const durability = { replicas: 1, timeoutUs: 30_000 };
  session.pin();
  session.call((at, time) => at.transactionExecute([words], time, { durability }));
  await until(() => events.length === 2);
  session.unpin();
  const [lacking, done] = events;
  assert.deepEqual([lacking.kind, lacking.error.name], ["transactionNotDurable", "Unreachable"]);
  assert.deepEqual([done.kind, done.replicas], ["transactionCommitted", 0]);
  assert.deepEqual(shared.made.links.length, 1);
  assert.ok(!shared.made.links[0].includes("WAIT"));
});

/** A key of the node with this id. */
function keyOn(co, id) {
  for (let number = 0; ; number += 1) {
    const key = `account:${number}`;
    if (co.ring.node(key) === id) return key;
  }
}

async function until(condition, limit = 30_000) {
  const deadline = performance.now() + limit;
  while (!(await condition())) {
    assert.ok(performance.now() < deadline, `not within ${limit} ms: ${condition}`);
    await pause(5);
  }
}
