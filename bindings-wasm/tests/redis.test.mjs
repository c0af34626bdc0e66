// comity over real servers, through every driver, with a Python process as the other contender.

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { test } from "node:test";
import { setTimeout as pause } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { connect, ErrorCode, http } from "comity";
import { Redis } from "ioredis";
import { createClient } from "redis";
import { contender } from "./support/contender.mjs";
import { cleanup } from "./support/cleanup.mjs";
import { command, startProxy, startRedis, startWebdis } from "./support/servers.mjs";
import { startUpstash } from "./support/upstash.mjs";

const ROUNDS = 25;

/** A client of each kind for one port of Redis. */
const KINDS = {
  "node-redis": async (t, port) => createClient({ socket: { port, host: "127.0.0.1" } }),
  ioredis: async (t, port) => new Redis({ port, host: "127.0.0.1", lazyConnect: true }),
  tcp: async (t, port) => `redis://127.0.0.1:${port}`,
  webdis: async (t, port) => http((await startWebdis(t, port)).url, { dialect: "webdis" }),
  upstash: async (t, port) => {
    const { url, token } = await startUpstash(t, port);
    return http(url, { dialect: "upstash", token });
  },
};
const SOCKETS = ["node-redis", "ioredis", "tcp"];

async function connected(t, client, options) {
  const co = await connect(client, options);
  cleanup(t, () => co.close());
  return co;
}

/** The whole number that a key of a server holds. */
async function number(port, key) {
  return Number((await command(port, "INCRBY", key, "0")).slice(1));
}

function code(name) {
  return (error) => {
    assert.equal(error.constructor.name, "ComityError", error.stack);
    assert.equal(error.name, name, error.stack);
    assert.equal(error.code, ErrorCode[name]);
    return true;
  };
}

for (const [kind, make] of Object.entries(KINDS)) {
  test(`${kind}: lock, transaction and counter beside Python, on a ring of two`, async (t) => {
    const [a, b] = [await startRedis(t), await startRedis(t)];
    const co = await connected(t, { a: await make(t, a.port), b: await make(t, b.port) });
    const other = await contender(t, ROUNDS, { a: a.port, b: b.port });
    const owner = (key) => (co.ring.node(key) === "a" ? a.port : b.port);
    await co.transaction((tx) => tx.set("alice", 100).set("bob", 0));
    const plain = new Redis({ port: a.port });
    cleanup(t, () => plain.disconnect());
    const hits = co.counter("hits");

    other.begin();
    for (let round = 0; round < ROUNDS; round += 1) {
      await co.withLock("fight", { ttl: 5_000 }, async (held) => {
        const tally = Number((await plain.get("tally")) ?? 0);
        await plain.rpush("fences", held.fence);
        await plain.set("tally", tally + 1);
      });
      await co.runTransaction(["alice", "bob"], (tx) => tx.incrBy("alice", -1).incrBy("bob", 1));
      hits.add(1);
    }
    await hits.flush();
    await other.done;

    assert.equal(Number(await plain.get("tally")), 2 * ROUNDS);
    const fences = (await plain.lrange("fences", 0, -1)).map(Number);
    assert.deepEqual(
      fences,
      [...new Set(fences)].sort((x, y) => x - y),
    );
    assert.deepEqual(await co.snapshot(["alice", "bob"]), [`${100 - 2 * ROUNDS}`, `${2 * ROUNDS}`]);
    assert.equal((await hits.read("fresh")).value, BigInt(2 * ROUNDS));
    const inspection = await co.inspect("fight");
    assert.deepEqual([inspection.holders.length, inspection.waiters.length], [0, 0]);
    assert.equal(await number(owner("alice"), "alice"), 100 - 2 * ROUNDS);
  });

  test(`${kind}: a server that is not there is unreachable`, async (t) => {
    const redis = await startRedis(t);
    const client = await make(t, redis.port);
    await redis.stop();
    const before = performance.now();
    await assert.rejects(connect(client, { timeout: 300 }), (error) => {
      // Behind a gateway nobody can tell how far a command got.
      const kinds = SOCKETS.includes(kind) ? ["Unreachable"] : ["Unreachable", "NoAnswer"];
      assert.ok(kinds.includes(error.name), error.stack);
      return true;
    });
    assert.ok(performance.now() - before < 20_000);
  });

  test(`${kind}: whoever gives up waiting leaves nothing behind`, async (t) => {
    const { port } = await startRedis(t);
    const co = await connected(t, await make(t, port));
    await assert.rejects(
      co.withLock("busy", { signal: AbortSignal.abort() }, assert.fail),
      code("Aborted"),
    );
    const held = co.lock("busy");
    assert.equal(await held.acquire(), true);
    for (const after of [0, 1, 20]) {
      const giveUp = new AbortController();
      const waiting = co.withLock("busy", { signal: giveUp.signal }, assert.fail);
      await pause(after);
      giveUp.abort();
      await assert.rejects(waiting, code("Aborted"));
    }
    assert.equal(await co.lock("busy", { wait: 0 }).acquire(), false);
    await until(async () => (await co.inspect("busy")).waiters.length === 0);
    await held.release();
    assert.deepEqual((await co.inspect("busy")).holders, []);
    await co.close();
    await assert.rejects(co.lock("busy").acquire(), code("Closed"));
  });
}

for (const kind of SOCKETS) {
  test(`${kind}: every byte passes through a transaction`, async (t) => {
    const { port } = await startRedis(t);
    const co = await connected(t, await KINDS[kind](t, port));
    const all = Uint8Array.from({ length: 256 }, (_, byte) => byte);
    await co.transaction((tx) => tx.set(all, all));
    assert.deepEqual((await co.snapshot([all], { bytes: true }))[0].slice(), all);
    await co.withLock(all.subarray(0, 200), {}, (held) => assert.ok(held.fence > 0));
  });

  test(`${kind}: counts are exact through lost replies and cut connections`, async (t) => {
    const redis = await startRedis(t);
    const proxy = await startProxy(t, redis.port);
    const co = await connected(t, await KINDS[kind](t, proxy.port), { timeout: 400 });
    const hits = co.counter("hits");
    let expected = 0;
    for (let round = 0; round < 30; round += 1) {
      for (let unit = 0; unit < 100; unit += 1) hits.add(1);
      expected += 100;
      if (round % 3 === 0) proxy.mute = true;
      await pause(5);
      if (round % 3 !== 2) proxy.cut();
      proxy.mute = false;
      await pause(5);
    }
    await until(() =>
      hits.flush().then(
        () => true,
        () => false,
      ),
    );
    assert.equal(hits.value(), BigInt(expected));
    assert.equal((await hits.read("fresh")).value, BigInt(expected));
  });

  test(`${kind}: a lock is lost when its server is, and the body hears of it`, async (t) => {
    const redis = await startRedis(t);
    const co = await connected(t, await KINDS[kind](t, redis.port), { timeout: 300 });
    await assert.rejects(
      co.withLock("x", { ttl: 400 }, async (held) => {
        await redis.stop();
        await once(held.signal, "abort");
        assert.equal(held.held, false);
      }),
      code("LockLost"),
    );
  });

  // A URL has no owner.
  const owned = kind === "tcp" ? test.skip : test;
  owned(`${kind}: a client that its owner closes does not matter`, async (t) => {
    const { port } = await startRedis(t);
    const client = await KINDS[kind](t, port);
    await client.connect();
    const co = await connected(t, client);
    await client.quit();
    assert.equal(await co.withLock("x", () => "done"), "done");
    await co.close();
    const none = async () => (await command(port, "CLIENT", "LIST", "TYPE", "pubsub")) === "$0";
    await until(none);
  });

  test(`${kind}: a program that closes nothing ends by itself`, async (t) => {
    const { port } = await startRedis(t);
    const clients = {
      ioredis: `new Redis({ port: ${port}, lazyConnect: true })`,
      "node-redis": `createClient({ socket: { port: ${port} } })`,
      tcp: `"redis://127.0.0.1:${port}"`,
    };
    const program = `
      import { connect } from "comity";
      import { createClient } from "redis";
      import { Redis } from "ioredis";
      const client = ${clients[kind]};
      const co = await connect(client);
      const held = co.lock("x");
      await held.acquire();
      const second = co.lock("x", { wait: 50 });
      console.log(await second.acquire());
      await held.release();
    `;
    const child = spawn(process.execPath, ["--input-type=module", "-e", program], {
      cwd: fileURLToPath(new URL("..", import.meta.url)),
      stdio: ["ignore", "pipe", "inherit"],
    });
    cleanup(t, () => child.kill("SIGKILL"));
    const [said] = await once(child.stdout, "data");
    assert.equal(String(said), "false\n");
    assert.deepEqual(await Promise.race([once(child, "exit"), pause(5_000, "still runs")]), [
      0,
      null,
    ]);
  });
}

test("through Webdis: a waiter is told by push", async (t) => {
  const { port } = await startRedis(t);
  const { url } = await startWebdis(t, port);
  const co = await connected(t, http(url, { dialect: "webdis" }));
  const [first, second] = [co.lock("x"), co.lock("x")];
  await first.acquire();
  const granted = second.acquire();
  await until(async () => (await co.inspect("x")).waiters.length === 1);
  await until(async () => Number((await command(port, "PUBSUB", "CHANNELS")).slice(1)) === 1);
  await pause(100);
  await first.release();
  await granted;
  assert.equal(co.stats().pushes, 1);
  await second.release();
});

test("through Upstash's API: what is no text is refused", async (t) => {
  const { port } = await startRedis(t);
  const co = await connected(t, await KINDS.upstash(t, port));
  await assert.rejects(
    co.transaction((tx) => tx.set("k", Uint8Array.of(0xff))),
    code("ServerRefused"),
  );
  assert.equal(await command(port, "EXISTS", "k"), ":0");
});

test("clients of several kinds form one ring", async (t) => {
  const ports = {
    a: (await startRedis(t)).port,
    b: (await startRedis(t)).port,
    c: (await startRedis(t)).port,
  };
  const co = await connected(t, {
    a: await KINDS["node-redis"](t, ports.a),
    b: await KINDS.ioredis(t, ports.b),
    c: await KINDS.webdis(t, ports.c),
  });
  const keys = ["one", "two", "three", "four", "five", "six"];
  await co.transaction((tx) => keys.forEach((key) => tx.incrBy(key, 7)));
  for (const key of keys) assert.equal(await number(ports[co.ring.node(key)], key), 7);
  assert.ok(new Set(keys.map((key) => co.ring.node(key))).size > 1);
  await assert.rejects(
    connect({ a: http("http://127.0.0.1:1", { dialect: "webdis" }) }, { timeout: 200 }),
  );
  await assert.rejects(connect(createClient({ keyPrefix: "app:" })), code("Unsupported"));
  await assert.rejects(connect({ socket: { port: 6379 } }), code("Unsupported"));
});

for (const alone of [true, false]) {
  const where = alone ? "a server alone" : "one of two servers";
  test(`${where} that evicts keys is warned of and takes no transaction`, async (t) => {
    const [a, b] = [await startRedis(t), await startRedis(t)];
    await command(b.port, "CONFIG", "SET", "maxmemory-policy", "allkeys-lru");
    const warned = [];
    const listen = ({ message }) => warned.push(message);
    process.on("warning", listen);
    cleanup(t, () => process.off("warning", listen));
    const client = () => KINDS.ioredis(t, b.port);
    const co = await connected(
      t,
      alone ? await client() : { a: await KINDS.ioredis(t, a.port), b: await client() },
    );
    await until(() => warned.some((text) => /evicts keys \(maxmemory-policy allkeys-lru\)/.test(text)));
    const key = (id) => ["k", "l", "m", "n", "o", "p", "q"].find((k) => co.ring.node(k) === id);
    const there = key(alone ? "0" : "b");
    await assert.rejects(co.transaction((tx) => tx.set(there, 1)), code("Unsupported"));
    assert.equal(await command(b.port, "EXISTS", there), ":0");
    if (!alone) await co.transaction((tx) => tx.set(key("a"), 1));
    const brave = await connected(t, await client(), { allowEviction: true, prefix: "brave:" });
    await brave.transaction((tx) => tx.set(there, 1));
    assert.equal(await number(b.port, there), 1);
  });
}

async function until(condition, limit = 30_000) {
  const deadline = performance.now() + limit;
  while (!(await condition())) {
    assert.ok(performance.now() < deadline, `not within ${limit} ms: ${condition}`);
    await pause(5);
  }
}
