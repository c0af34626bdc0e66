// What the adapters do when something goes wrong: one attempt, and the truth about it.

import assert from "node:assert/strict";
import { once } from "node:events";
import http from "node:http";
import net from "node:net";
import { after, test } from "node:test";
import { setTimeout as pause } from "node:timers/promises";
import { Cluster, Redis } from "ioredis";
import { createClient, createClientPool, createCluster, createSentinel } from "redis";
import { ErrorReply } from "../dist/esm/core/reply.js";
import { ADAPTERS } from "../dist/esm/driver/adapters.js";
import { http as overHttp } from "../dist/esm/driver/http.js";
import { NotSent, Refused } from "../dist/esm/driver/transport.js";
import { cleanup } from "./support/cleanup.mjs";
import { command, freePort, startProxy, startRedis, startWebdis } from "./support/servers.mjs";

const bytes = (text) => new TextEncoder().encode(text);
const argv = (...words) => ({ argv: words.map(bytes) });
// The connections themselves keep no process alive.
const awake = setInterval(() => undefined, 1000);
after(() => clearInterval(awake));

const never = () => new AbortController().signal;
const adapt = (client) => ADAPTERS.find((adapter) => adapter.knows(client)).adapt(client);

/** Clients of one port of Redis; `more` are their options. */
const CLIENTS = {
  "node-redis": (port, more) => createClient({ socket: { port, host: "127.0.0.1" }, ...more }),
  ioredis: (port, more) => new Redis({ port, host: "127.0.0.1", lazyConnect: true, ...more }),
};

/** A server that takes connections and says nothing. */
async function startSilence(t) {
  const sockets = new Set();
  const server = net.createServer((socket) => {
    sockets.add(socket);
    socket
      .on("error", () => undefined)
      .on("close", () => sockets.delete(socket))
      .resume();
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  cleanup(t, () => {
    server.close();
    for (const socket of sockets) socket.destroy();
  });
  return { port: server.address().port, sockets };
}

/** A gateway that answers everything with `status`. */
async function startGateway(t, status, body = "") {
  const seen = [];
  const server = http.createServer((request, response) => {
    seen.push(request.headers);
    request.resume();
    // A connection is begun with a PING, which is let pass.
    if (seen.length === 1) response.end("+PONG\r\n");
    else response.writeHead(status).end(body);
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  cleanup(t, () => {
    server.closeAllConnections();
    server.close();
  });
  return { url: `http://127.0.0.1:${server.address().port}/`, seen };
}

for (const [kind, make] of Object.entries(CLIENTS)) {
  test(`${kind}: a server that is not there is not reached, once`, async () => {
    const transport = adapt(make(await freePort()));
    const before = performance.now();
    for (const attempt of [transport.connect, transport.subscribe]) {
      const reason = await attempt
        .call(transport, ...(attempt.length === 1 ? [] : [bytes("c"), () => undefined]), never())
        .then(assert.fail, (error) => error);
      assert.ok(!(reason instanceof Refused), reason);
      assert.match(reason.message, /ECONNREFUSED/);
    }
    assert.ok(performance.now() - before < 20_000, "nothing was tried again and again");
  });

  test(`${kind}: a refused password is the server's word`, async (t) => {
    const { port } = await startRedis(t, "--requirepass", "right");
    const wrong = adapt(make(port, { username: "default", password: "wrong" }));
    await assert.rejects(wrong.connect(never()), (error) => {
      assert.ok(error instanceof Refused, error);
      assert.match(error.text, /^WRONGPASS /);
      return true;
    });
    const right = await adapt(make(port, { username: "default", password: "right" })).connect(
      never(),
    );
    assert.equal(Buffer.from(await right.send([argv("PING")])[0]).toString(), "PONG");
    right.close();
    const without = await adapt(make(port)).connect(never());
    assert.match((await without.send([argv("PING")])[0]).text, /^NOAUTH /);
    without.close();
  });

  test(`${kind}: a forbidden channel is the server's word, and leaves no connection`, async (t) => {
    const { port } = await startRedis(t);
    assert.equal(await command(port, "ACL", "SETUSER", "default", "resetchannels"), "+OK");
    const transport = adapt(make(port));
    await assert.rejects(
      transport.subscribe(bytes("c"), () => undefined, never()),
      (error) => {
        assert.ok(error instanceof Refused, error);
        assert.match(error.text, /^NOPERM /);
        return true;
      },
    );
    await until(async () => (await connections(port)) === 0);
  });

  test(`${kind}: a connection that is given up while it is made is gone`, async (t) => {
    const silence = await startSilence(t);
    const transport = adapt(make(silence.port, { username: "u", password: "p" }));
    for (const begin of [
      (signal) => transport.connect(signal),
      (signal) => transport.subscribe(bytes("c"), () => undefined, signal),
    ]) {
      const giveUp = new AbortController();
      const attempt = begin(giveUp.signal);
      await until(() => silence.sockets.size === 1);
      giveUp.abort();
      await assert.rejects(attempt);
      await until(() => silence.sockets.size === 0);
      await assert.rejects(begin(AbortSignal.abort()));
      // Given up so early that there is no socket yet.
      const early = new AbortController();
      const second = begin(early.signal);
      early.abort();
      await assert.rejects(second);
    }
    await pause(50);
    assert.equal(silence.sockets.size, 0);
  });

  test(`${kind}: what may have left is never said not to have`, async (t) => {
    const redis = await startRedis(t);
    const proxy = await startProxy(t, redis.port);
    const link = await adapt(make(proxy.port)).connect(never());
    proxy.mute = true;
    const answers = link.send([argv("INCR", "n"), argv("INCR", "n")]);
    const reasons = Promise.all(
      answers.map((answer) => answer.then(assert.fail, (error) => error)),
    );
    await until(async () => (await command(redis.port, "GET", "n")) === "$1");
    link.close();
    for (const reason of await reasons) assert.ok(!(reason instanceof NotSent), reason);
    await link.closed;
    const [late] = link.send([argv("INCR", "n")]);
    await assert.rejects(late, NotSent);
    assert.equal(await command(redis.port, "INCR", "n"), ":3");
    await until(async () => (await connections(redis.port)) === 0);
  });

  test(`${kind}: a cut connection is over, and nothing is sent again`, async (t) => {
    const redis = await startRedis(t);
    const proxy = await startProxy(t, redis.port);
    const link = await adapt(make(proxy.port)).connect(never());
    proxy.hang = true;
    const [answer] = link.send([argv("INCR", "n")]);
    setImmediate(() => setImmediate(proxy.cut));
    const reason = await answer.then(assert.fail, (error) => error);
    assert.ok(!(reason instanceof NotSent), reason);
    await link.closed;
    proxy.hang = false;
    await assert.rejects(link.send([argv("INCR", "n")])[0], NotSent);
    await pause(300);
    assert.equal(proxy.connections, 1, "it has connected again");
    assert.equal(await command(redis.port, "INCR", "n"), ":1");
    link.close();
  });

  test(`${kind}: the user's client is left alone`, async (t) => {
    const { port } = await startRedis(t);
    const client = make(port);
    const link = await adapt(client).connect(never());
    cleanup(t, () => link.close());
    await client.connect();
    await client.set("k", "v");
    assert.equal(await client.get("k"), "v");
    await client.quit();
    assert.equal(Buffer.from(await link.send([argv("GET", "k")])[0]).toString(), "v");
  });

  test(`${kind}: a push connection says whether it lives`, async (t) => {
    const redis = await startRedis(t);
    const proxy = await startProxy(t, redis.port);
    const subscription = await adapt(make(proxy.port)).subscribe(
      bytes("c"),
      () => undefined,
      never(),
    );
    await subscription.ping();
    proxy.hang = true;
    const silent = subscription.ping().catch(() => undefined);
    assert.equal(await Promise.race([silent, pause(100, "silent")]), "silent");
    subscription.close();
    await subscription.closed;
  });
}

test("clients that cannot be served are refused with the reason", async (t) => {
  const { port } = await startRedis(t);
  const nodes = [{ host: "127.0.0.1", port }];
  const cluster = new Cluster(nodes, { lazyConnect: true });
  cleanup(t, () => cluster.disconnect());
  for (const [client, reason] of [
    [createClient({ keyPrefix: "app:" }), /keyPrefix/],
    [createCluster({ rootNodes: [{ url: `redis://127.0.0.1:${port}` }] }), /Cluster client/],
    [createSentinel({ name: "m", sentinelRootNodes: nodes }), /Sentinel/],
    [createClientPool({ socket: { port } }), /pool/],
    [new Redis({ lazyConnect: true, keyPrefix: "app:" }), /keyPrefix/],
    [new Redis({ lazyConnect: true, sentinels: nodes, name: "m", role: "slave" }), /replicas/],
    [cluster, /Cluster client/],
  ]) {
    assert.throws(
      () => adapt(client),
      (error) => {
        assert.equal(error.name, "Unsupported");
        assert.match(error.message, reason);
        return true;
      },
    );
  }
});

test("http: what is wrong with its arguments is said at once", () => {
  for (const [url, options, reason] of [
    ["https//me:secret@h", { dialect: "webdis" }, /^url is no URL of http or https$/],
    ["redis://127.0.0.1", { dialect: "webdis" }, /redis:/],
    [7, { dialect: "webdis" }, /number/],
    ["http://127.0.0.1", { dialect: "rest" }, /"rest"/],
    ["http://127.0.0.1", undefined, /dialect/],
    ["http://127.0.0.1", { dialect: "webdis", token: 7 }, /token/],
    ["http://127.0.0.1", { dialect: "upstash", tokn: "x" }, /^there is no option "tokn": dialect, token, fetch$/],
  ]) {
    assert.throws(
      () => overHttp(url, options),
      (error) => {
        assert.equal(error.name, "InvalidArgument");
        assert.match(error.message, reason);
        return true;
      },
    );
  }
  const { address } = overHttp("https://me:secret@example.com/redis#x", { dialect: "webdis" });
  assert.equal(address, "https://example.com/redis");
});

test("http: a gateway that is not there is not reached", async () => {
  const url = `http://127.0.0.1:${await freePort()}/`;
  for (const dialect of ["webdis", "upstash"]) {
    await assert.rejects(overHttp(url, { dialect }).connect(never()), NotSent);
  }
});

test("http: a gateway without its server is not reached", async (t) => {
  const redis = await startRedis(t);
  const { url } = await startWebdis(t, redis.port);
  await redis.stop();
  const transport = overHttp(url, { dialect: "webdis" });
  await assert.rejects(transport.connect(never()), /503/);
});

test("http: what a gateway keeps from the server is the server's word", async (t) => {
  for (const [status, words] of [
    [401, /^NOAUTH .* 401/],
    [403, /^NOPERM .* 403/],
    [413, /^DENIED .* 413 too much/],
    [429, /^TRYAGAIN .* 429/],
  ]) {
    const { url } = await startGateway(t, status, "too much");
    const link = await overHttp(url, { dialect: "webdis" }).connect(never());
    const [reply] = await Promise.all(link.send([argv("GET", "k")]));
    assert.ok(reply instanceof ErrorReply, reply);
    assert.match(reply.text, words);
    link.close();
  }
});

test("http: a gateway that fails may have passed the command on", async (t) => {
  for (const [status, body] of [
    [500, "no"],
    [503, ""],
    [200, "<html>sign in</html>"],
    [200, "*2\r\n$1\r\na\r\n"],
    [200, ""],
  ]) {
    const { url } = await startGateway(t, status, body);
    const link = await overHttp(url, { dialect: "webdis" }).connect(never());
    const reason = await link.send([argv("GET", "k")])[0].then(assert.fail, (error) => error);
    assert.ok(!(reason instanceof NotSent), `${status}: ${reason}`);
    await link.closed;
    await assert.rejects(link.send([argv("GET", "k")])[0], NotSent);
  }
});

test("http: what still waits for a connection was not sent when it is closed", async (t) => {
  const silence = await startSilence(t);
  const { url } = await startGateway(t, 200, "+OK\r\n");
  let passed = false;
  const link = await overHttp(url, {
    dialect: "webdis",
    fetch: (to, how) => fetch(passed ? `http://127.0.0.1:${silence.port}/` : to, how),
  }).connect(never());
  passed = true;
  const answers = link.send(Array.from({ length: 8 }, () => argv("INCR", "n")));
  const reasons = answers.map((answer) => answer.then(assert.fail, (error) => error));
  await until(() => silence.sockets.size === 5);
  link.close();
  const sent = (await Promise.all(reasons)).map((reason) => !(reason instanceof NotSent));
  assert.deepEqual(sent, [true, true, true, true, true, false, false, false]);
});

test("http: no signal is shared by requests, for each would keep something of all", async (t) => {
  const { url } = await startGateway(t, 200, "+OK\r\n");
  const signals = [];
  const link = await overHttp(url, {
    dialect: "webdis",
    fetch: (to, how) => {
      signals.push(how.signal);
      return fetch(to, how);
    },
  }).connect(never());
  await Promise.all(link.send(Array.from({ length: 20 }, () => argv("GET", "k"))));
  link.close();
  assert.equal(new Set(signals).size, 21);
});

test("http: credentials go along", async (t) => {
  const { url, seen } = await startGateway(t, 200, "+OK\r\n");
  const { port } = new URL(url);
  const basic = `http://me:se%3acr%C3%A9t@127.0.0.1:${port}/`;
  (await overHttp(basic, { dialect: "webdis" }).connect(never())).close();
  (await overHttp(url, { dialect: "webdis", token: "t" }).connect(never())).close();
  assert.deepEqual(
    seen.map((headers) => headers.authorization),
    [`Basic ${Buffer.from("me:se:crét").toString("base64")}`, "Bearer t"],
  );
});

test("http: a password for Webdis, and what it forbids", async (t) => {
  const redis = await startRedis(t);
  const acl = [
    { disabled: ["*"] },
    { http_basic_auth: "me:secret", enabled: ["GET", "SET", "SUBSCRIBE"] },
  ];
  const { port } = await startWebdis(t, redis.port, { acl });
  const link = await overHttp(`http://me:secret@127.0.0.1:${port}`, { dialect: "webdis" }).connect(
    never(),
  );
  cleanup(t, () => link.close());
  assert.equal(await link.send([argv("SET", "k", "v")])[0], "OK");
  assert.match((await link.send([argv("INCR", "k")])[0]).text, /^NOPERM /);
  const stranger = overHttp(`http://127.0.0.1:${port}`, { dialect: "webdis" });
  await assert.rejects(
    stranger.subscribe(bytes("c"), () => undefined, never()),
    Refused,
  );
});

test("http: bytes that JSON cannot carry are refused, nothing is sent", async () => {
  const answers = [[{ result: "UE9ORw==" }]];
  const link = await overHttp("http://127.0.0.1/", {
    dialect: "upstash",
    fetch: async () => new Response(JSON.stringify(answers.shift())),
  }).connect(never());
  const [reply] = await Promise.all(link.send([{ argv: [bytes("GET"), Uint8Array.of(0xff)] }]));
  assert.match(reply.text, /^DENIED .*UTF-8/);
  for (const wrong of [{}, [], [{ result: 2 ** 60 }], [{}]]) {
    answers.push([{ result: "UE9ORw==" }], wrong);
    const again = await overHttp("http://127.0.0.1/", {
      dialect: "upstash",
      fetch: async () => new Response(JSON.stringify(answers.shift())),
    }).connect(never());
    const reason = await again.send([argv("GET", "k")])[0].then(assert.fail, (error) => error);
    assert.ok(!(reason instanceof NotSent), reason);
  }
});

test("http: a stream of pushes says whether it lives", async (t) => {
  const redis = await startRedis(t);
  const { url } = await startWebdis(t, redis.port, { acl: [] });
  const transport = overHttp(url, { dialect: "webdis" });
  const subscription = await transport.subscribe(bytes("c"), () => undefined, never());
  await subscription.ping();
  // Webdis does not tell that its own connection is gone, and makes new ones for other requests.
  await command(redis.port, "CLIENT", "KILL", "TYPE", "pubsub");
  await until(() =>
    subscription.ping().then(
      () => false,
      () => true,
    ),
  );
  subscription.close();
  await subscription.closed;

  const forbidden = await startWebdis(t, redis.port, { acl: [{ disabled: ["PUBSUB"] }] });
  const trusting = await overHttp(forbidden.url, { dialect: "webdis" }).subscribe(
    bytes("c"),
    () => undefined,
    never(),
  );
  await trusting.ping();
  trusting.close();
});

/** How many clients a server has besides the one that asks. */
async function connections(port) {
  const socket = net.connect(port, "127.0.0.1");
  await once(socket, "connect");
  socket.write("*1\r\n$4\r\nINFO\r\n");
  const [info] = await once(socket, "data");
  socket.destroy();
  return Number(/connected_clients:(\d+)/.exec(info.toString())[1]) - 1;
}

async function until(condition, limit = 30_000) {
  const deadline = performance.now() + limit;
  while (!(await condition())) {
    assert.ok(performance.now() < deadline, `not within ${limit} ms: ${condition}`);
    await pause(5);
  }
}
