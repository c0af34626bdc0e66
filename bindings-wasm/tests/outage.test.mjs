// A server that goes away and comes back, while somebody waits as long as it takes.

import assert from "node:assert/strict";
import { test } from "node:test";
import { setTimeout as pause } from "node:timers/promises";
import { connect } from "comity";
import { Redis } from "ioredis";
import { cleanup } from "./support/cleanup.mjs";
import { startProxy, startRedis } from "./support/servers.mjs";

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
