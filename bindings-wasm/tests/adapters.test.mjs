// Each adapter against the real thing: bytes as they are, one attempt, and the truth about failures.

import assert from "node:assert/strict";
import { after, test } from "node:test";
import { setTimeout as pause } from "node:timers/promises";
import { Redis } from "ioredis";
import { createClient } from "redis";
import { ErrorReply } from "../dist/esm/core/reply.js";
import { http as overHttp } from "../dist/esm/driver/http.js";
import { ioredis } from "../dist/esm/driver/ioredis.js";
import { nodeRedis } from "../dist/esm/driver/node-redis.js";
import { tcp } from "../dist/esm/index.js";
import { cleanup } from "./support/cleanup.mjs";
import { startRedis, startWebdis } from "./support/servers.mjs";
import { startUpstash } from "./support/upstash.mjs";

const bytes = (text) => new TextEncoder().encode(text);
const text = (value) => new TextDecoder().decode(value);
const plain = (value) => (typeof value === "string" ? value : text(value));
const argv = (...words) => ({ argv: words.map((w) => (typeof w === "string" ? bytes(w) : w)) });
// The connections themselves keep no process alive.
const awake = setInterval(() => undefined, 1000);
after(() => clearInterval(awake));

const never = () => new AbortController().signal;
const ALL = Uint8Array.from({ length: 256 }, (_, byte) => byte);

/** A transport of each kind to one port of Redis. */
const KINDS = {
  "node-redis": async (t, port) =>
    nodeRedis.adapt(createClient({ socket: { port, host: "127.0.0.1" } })),
  "node-redis with RESP2 and strings": async (t, port) =>
    nodeRedis.adapt(createClient({ url: `redis://127.0.0.1:${port}`, RESP: 2, pingInterval: 5 })),
  ioredis: async (t, port) =>
    ioredis.adapt(new Redis({ port, host: "127.0.0.1", lazyConnect: true })),
  "ioredis with automatic pipelines": async (t, port) =>
    ioredis.adapt(new Redis({ port, lazyConnect: true, enableAutoPipelining: true, protocol: 2 })),
  "tcp to redis": async (t, port) => tcp(`redis://127.0.0.1:${port}`),
  "tcp to redis with RESP3": async (t, port) => tcp(`redis://127.0.0.1:${port}/1?protocol=3&client_name=me`),
  webdis: async (t, port) => overHttp((await startWebdis(t, port)).url, { dialect: "webdis" }),
  upstash: async (t, port) => {
    const { url, token } = await startUpstash(t, port);
    return overHttp(url, { dialect: "upstash", token });
  },
};

async function linked(t, transport) {
  const link = await transport.connect(never());
  cleanup(t, () => link.close());
  const ask = async (...words) => {
    const [reply] = link.send([argv(...words)]);
    return reply;
  };
  return { link, ask };
}

for (const [kind, make] of Object.entries(KINDS)) {
  test(`${kind}: bytes, numbers and errors are as the server said them`, async (t) => {
    const { port } = await startRedis(t);
    const { link, ask } = await linked(t, await make(t, port));
    const value = kind === "upstash" ? bytes("a/b.c%\0 \r\n\u{1f511}") : ALL;
    assert.equal(plain(await ask("SET", value, value)), "OK");
    assert.deepEqual(new Uint8Array(await ask("GET", value)), value);
    assert.equal(await ask("GET", "nothing"), null);
    assert.equal(await ask("INCRBY", "n", "41"), 41);
    const max = "9223372036854775807";
    // JSON has rounded it by then, and Webdis writes half of it: then there must be no reply.
    if (kind.includes("redis")) assert.equal(await ask("INCRBY", "max", max), BigInt(max));
    else await assert.rejects((await linked(t, await make(t, port))).ask("INCRBY", "max", max));
    const flat = await ask("EVAL", "return {ARGV[1], '', ARGV[2]}", "0", value, "7");
    assert.deepEqual(
      flat.map((item) => new Uint8Array(item)),
      [value, bytes(""), bytes("7")],
    );
    const error = await ask("EVALSHA", "0".repeat(40), "0");
    assert.ok(error instanceof ErrorReply, String(error));
    assert.match(error.text, /^NOSCRIPT /);
    const wrong = await ask("LPUSH", value, "x");
    assert.match(wrong.text, /^WRONGTYPE /);
    const many = link.send(Array.from({ length: 200 }, (_, i) => argv("ECHO", `${i}`)));
    assert.equal(many.length, 200);
    assert.deepEqual(
      (await Promise.all(many)).map(text),
      Array.from({ length: 200 }, (_, i) => `${i}`),
    );
    const long = "x".repeat(300_000);
    assert.equal((await ask("ECHO", long)).length, long.length);
  });
}

for (const kind of Object.keys(KINDS).filter((name) => name !== "upstash")) {
  test(`${kind}: messages come byte for byte, and the end of the connection shows`, async (t) => {
    const redis = await startRedis(t);
    const transport = await KINDS[kind](t, redis.port);
    const { ask } = await linked(t, transport);
    const heard = [];
    const inbox = bytes("comity:7:inbox:00ff");
    const subscription = await transport.subscribe(
      inbox,
      (payload) => heard.push(payload),
      never(),
    );
    cleanup(t, () => subscription.close());
    assert.equal(await ask("PUBLISH", inbox, ALL), 1);
    assert.equal(await ask("PUBLISH", inbox, ""), 1);
    while (heard.length < 2) await pause(1);
    assert.deepEqual(
      heard.map((payload) => new Uint8Array(payload)),
      [ALL, bytes("")],
    );
    await redis.stop();
    // Webdis keeps the response open although its own connection is gone.
    if (kind !== "webdis") await subscription.closed;
  });

  test(`${kind}: a subscription that is closed hears no more`, async (t) => {
    const { port } = await startRedis(t);
    const transport = await KINDS[kind](t, port);
    const { ask } = await linked(t, transport);
    const subscription = await transport.subscribe(bytes("c"), () => undefined, never());
    subscription.close();
    subscription.close();
    await subscription.closed;
    while ((await ask("PUBLISH", "c", "x")) !== 0) await pause(5);
  });
}
