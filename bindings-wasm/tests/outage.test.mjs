// A server that goes away and comes back, while somebody waits as long as it takes.

import assert from "node:assert/strict";
import { once } from "node:events";
import net from "node:net";
import { test } from "node:test";
import { setTimeout as pause } from "node:timers/promises";
import { connect } from "comity";
import { MemoryStore } from "comity/testing";
import { Redis } from "ioredis";
import { createClient } from "redis";
import { cleanup } from "./support/cleanup.mjs";
import { command, startProxy, startRedis } from "./support/servers.mjs";

test("a wait without end outlasts an outage, with its place in the queue", async (t) => {
  const redis = await startRedis(t);
  const proxy = await startProxy(t, redis.port);
  const holder = await connect(new Redis({ port: redis.port, lazyConnect: true }));
  const co = await connect(new Redis({ port: proxy.port, lazyConnect: true }), { timeout: 300 });
  const later = await connect(new Redis({ port: redis.port, lazyConnect: true }));
  cleanup(t, () => Promise.all([holder.close(), co.close(), later.close()]));
  const held = holder.lock("x");
  await held.acquire();
  const order = [];
  const queued = co.events();
  const first = co.withLock("x", () => order.push("first"));
  for await (const { kind } of queued) if (kind === "lockQueued") break;
  proxy.hang = true;
  proxy.cut();
  // Longer than the timeout of the verbs that do end.
  await pause(1_000);
  const second = later.withLock("x", () => order.push("second"));
  await pause(200);
  proxy.hang = false;
  proxy.cut();
  await pause(500);
  await held.release();
  await Promise.all([first, second]);
  assert.deepEqual(order, ["first", "second"]);
});

/** Lines that were told, and the events about servers: with a timeout that a stall of the machine does not pass. */
async function watched(t, port, options = {}, client = new Redis({ port, lazyConnect: true })) {
  const lines = [];
  const logger = { info: (line) => lines.push(line) };
  const co = await connect({ stock: client }, { timeout: 3_000, logger, ...options });
  cleanup(t, () => co.close());
  const seen = [];
  const events = co.events();
  const watching = (async () => {
    for await (const event of events) if (/^node(Down|Up)$/.test(event.kind)) seen.push(event);
  })();
  return { co, lines, seen, end: () => (events.close(), watching) };
}

/** Until it is true. */
async function until(what) {
  for (let turn = 0; !what(); turn++) {
    assert.ok(turn < 3_000, "did not come true in time");
    await pause(10);
  }
}

test("an outage and its end are told once each, with the server and who waits on", async (t) => {
  const redis = await startRedis(t);
  const proxy = await startProxy(t, redis.port);
  const { co, lines, seen, end } = await watched(t, proxy.port);
  const other = await connect({ stock: new Redis({ port: redis.port, lazyConnect: true }) });
  cleanup(t, () => other.close());
  const held = other.lock("taken");
  await held.acquire();
  const mine = Array.from({ length: 20 }, (_, n) => co.lock(`${n}`));
  for (const lock of mine) await lock.acquire();
  const queued = co.events();
  const waiting = co.lock("taken").acquire();
  for await (const { kind } of queued) if (kind === "lockQueued") break;
  proxy.hang = true;
  proxy.cut();
  await assert.rejects(co.inspect("a"), { server: "stock" });
  await until(() => lines.length > 0);
  await Promise.allSettled(mine.map((lock) => lock.extend()));
  proxy.hang = false;
  proxy.cut();
  await until(() => lines.length > 1);
  await held.release();
  assert.equal(await waiting, true);
  await end();
  assert.equal(lines.length, 2, lines.join("\n"));
  assert.match(lines[0], /^comity: the server stock is lost: .+; what waits for a lock there waits on \(1\)$/);
  assert.match(lines[1], /^comity: the server stock is back after \d+\.\d{3} s$/);
  const [down, up] = seen;
  assert.deepEqual([seen.length, down.kind, up.kind], [2, "nodeDown", "nodeUp"]);
  assert.deepEqual([down.server, down.node, down.waiting, up.server, up.node], ["stock", 0, 1, "stock", 0]);
  assert.ok(up.outageUs > 0 && lines[0].includes(down.error.message));
});

test("a renewal that comes to nothing ends in time, and the lease is as it was", async (t) => {
  const redis = await startRedis(t);
  const proxy = await startProxy(t, redis.port);
  const { co, lines, end } = await watched(t, proxy.port);
  const lock = co.lock("x", { ttl: 600_000 });
  await lock.acquire();
  const { validUntil } = lock;
  proxy.hang = true;
  await assert.rejects(lock.extend(), { name: "NoAnswer", server: "stock", lockName: "x" });
  assert.deepEqual([lock.held, lock.lost, lock.validUntil], [true, false, validUntil]);
  proxy.hang = false;
  proxy.cut();
  await lock.extend(1_200_000);
  assert.ok(lock.remaining > 1_000_000);
  await end();
  assert.ok(lines.length > 0);
});

test("the answer to an earlier renewal confirms none that was asked for since", async (t) => {
  const redis = await startRedis(t);
  const proxy = await startProxy(t, redis.port);
  const { co, end } = await watched(t, proxy.port);
  const lock = co.lock("x", { ttl: 600_000 });
  await lock.acquire();
  proxy.hold = true;
  const refused = { name: "NoAnswer", lockName: "x" };
  const earlier = assert.rejects(lock.extend(), refused);
  await until(() => proxy.held.length === 1);
  const longer = assert.rejects(lock.extend(1_200_000), refused);
  proxy.held[0]();
  await Promise.all([earlier, longer]);
  assert.ok(lock.held && lock.remaining < 600_000);
  proxy.hold = false;
  proxy.cut();
  await lock.extend();
  // Each is told of its own.
  await Promise.all([1, 2, 3].map(() => lock.extend(1_200_000)));
  assert.ok(lock.remaining > 1_000_000);
  await end();
});

test("who has been told that a lease is lost is told so again, after a close, too", async (t) => {
  const store = new MemoryStore();
  const lines = [];
  const co = await connect(store, { logger: { info: (line) => lines.push(line) } });
  cleanup(t, () => co.close());
  const lock = co.lock("x", { ttl: 10_000, renew: false });
  await lock.acquire();
  await store.advance(11_000);
  for (let turn = 0; turn < 2; turn++) {
    await assert.rejects(lock.release(), { name: "LockLost", lockName: "x" });
    await assert.rejects(lock.extend(), { name: "LockLost", lockName: "x" });
    assert.throws(() => lock.check(), { name: "LockLost", lockName: "x" });
    assert.equal(lock.lost, true);
    await co.close();
  }
  await pause(0);
  assert.deepEqual(lines.length, 1, lines.join("\n"));
  assert.match(lines[0], /^comity: the lease of lock 'x' has ended/);
});

test("a logger without a way to say anything is refused", async () => {
  await assert.rejects(connect(new MemoryStore(), { logger: {} }), { name: "InvalidArgument" });
});

test("what is held at a close, and the server does not confirm, is lost, and the end of the block says so", async (t) => {
  const server = await startRedis(t);
  const co = await connect(new Redis({ port: server.port, lazyConnect: true }), { timeout: 500 });
  const work = co.withLock("x", async (held) => {
    await server.stop("SIGKILL");
    await co.close();
    assert.deepEqual([held.lost, held.signal.aborted], [true, true]);
  });
  await assert.rejects(work, { name: "LockLost", message: /'x' was given back/ });
  // What was released before is not.
  const one = await connect();
  const lock = one.lock("x");
  await lock.acquire();
  await lock.release();
  await one.close();
  for (const verb of ["check", "extend", "release"]) {
    await assert.rejects(async () => lock[verb](), { name: "NotHeld" });
  }
  assert.equal(lock.lost, false);
});

const CLIENTS = {
  ioredis: (port) => new Redis({ port, lazyConnect: true }),
  "node-redis": (port) => createClient({ socket: { port } }),
};

/** A connection that stays, and what a command on it is answered. */
async function administer(t, port) {
  const socket = net.connect(port, "127.0.0.1");
  cleanup(t, () => socket.destroy());
  await once(socket, "connect");
  return async (words) => {
    socket.write(`${words}\r\n`);
    return String((await once(socket, "data"))[0]);
  };
}

for (const [kind, make] of Object.entries(CLIENTS)) {
  test(`${kind}: who waits in line waits on where a server has too many clients`, async (t) => {
    const { port } = await startRedis(t);
    const { co, lines, end } = await watched(t, port, {}, make(port));
    const admin = await administer(t, port);
    const holder = await connect({ stock: make(port) });
    cleanup(t, () => holder.close());
    const held = holder.lock("x", { ttl: 600_000 });
    await held.acquire();
    const queued = co.events();
    const waiting = co.lock("x").acquire();
    const bounded = co.lock("x", { wait: 3_000 }).acquire();
    let waiters = 0;
    for await (const { kind } of queued) if (kind === "lockQueued" && ++waiters === 2) break;
    assert.equal(await admin("CONFIG SET maxclients 1"), "+OK\r\n");
    assert.match(await admin("CLIENT KILL SKIPME yes TYPE pubsub"), /^:/);
    assert.match(await admin("CLIENT KILL SKIPME yes TYPE normal"), /^:/);
    await until(() => lines.length > 0);
    await assert.rejects(bounded, { server: "stock", message: /max number of clients reached/ });
    await assert.rejects(co.inspect("x"), {
      name: "ServerRefused",
      server: "stock",
      message: /max number of clients reached/,
    });
    assert.equal(lines.length, 1, lines.join("\n"));
    assert.match(lines[0], /^comity: the server stock is lost: .+; what waits for a lock there waits on \(2\)$/);
    assert.equal(await admin("CONFIG SET maxclients 1000"), "+OK\r\n");
    await held.release();
    assert.equal(await waiting, true);
    await end();
    assert.match(lines[1], /^comity: the server stock is back after/);
    assert.equal(lines.length, 2, lines.join("\n"));
  });

  test(`${kind}: a server that lets nobody in is not back`, async (t) => {
    const { port } = await startRedis(t);
    const proxy = await startProxy(t, port);
    const { co, lines, end } = await watched(t, proxy.port, {}, make(proxy.port));
    await co.inspect("x");
    proxy.hang = true;
    proxy.cut();
    await assert.rejects(co.inspect("x"));
    await until(() => lines.length > 0);
    assert.equal(await command(port, "CONFIG", "SET", "requirepass", "right"), "+OK");
    proxy.hang = false;
    proxy.cut();
    for (let turn = 0; turn < 3; turn += 1) {
      await assert.rejects(co.inspect("x"), { name: "ServerRefused", message: /NOAUTH/ });
    }
    assert.equal(lines.length, 1, lines.join("\n"));
    const admin = await administer(t, port);
    await admin("AUTH right");
    assert.equal(await admin('CONFIG SET requirepass ""'), "+OK\r\n");
    await co.inspect("x");
    await until(() => lines.length > 1);
    assert.match(lines[1], /^comity: the server stock is back after/);
    await end();
  });

  test(`${kind}: a wait ends in its time while a connection is made to a server that has stopped`, async (t) => {
    const { port } = await startRedis(t);
    const proxy = await startProxy(t, port);
    const co = await connect({ stock: make(proxy.port) }, { timeout: 60_000, check: false });
    cleanup(t, () => co.close());
    proxy.hang = true;
    assert.equal(await co.lock("x", { wait: 100 }).acquire(), false);
    await assert.rejects(co.transaction({ timeout: 100 }).incr("x").execute(), { server: "stock" });
    proxy.hang = false;
    proxy.cut();
    assert.equal(await co.lock("x").acquire(), true);
  });
}
