// What somebody has to see to: one line for each cause, with names, to the logger where there is one.

import assert from "node:assert/strict";
import { test } from "node:test";
import { setTimeout as pause } from "node:timers/promises";
import { connect } from "comity";
import { Redis } from "ioredis";
import { cleanup } from "./support/cleanup.mjs";
import { command, startRedis } from "./support/servers.mjs";

/** A coordinator, and the lines that its logger was told. */
async function watched(t, port, options = {}) {
  const lines = [];
  const logger = { info: (line) => lines.push(`info: ${line}`), warn: (line) => lines.push(`warn: ${line}`) };
  const client = new Redis({ port, lazyConnect: true });
  const co = await connect({ stock: client }, { timeout: 1_000, logger, ...options });
  cleanup(t, () => co.close());
  return { co, lines };
}

async function until(what) {
  for (let turn = 0; !what(); turn++) {
    assert.ok(turn < 3_000, "did not come true in time");
    await pause(10);
  }
}

/** Warnings of the process while the test lasts. */
function processWarnings(t) {
  const seen = [];
  const hear = ({ name, message }) => {
    if (name === "ComityWarning") seen.push(message);
  };
  process.on("warning", hear);
  cleanup(t, () => process.off("warning", hear));
  return seen;
}

test("counters that a server does not take are one line, to the logger", async (t) => {
  const { port } = await startRedis(t);
  const { co, lines } = await watched(t, port);
  const others = processWarnings(t);
  await command(port, "CONFIG", "SET", "maxmemory", "1");
  for (let n = 0; n < 20; n++) co.counter(`hits ${n}`).add(2);
  await until(() => lines.length > 0);
  co.counter("late").add(1); // and one more, for the same cause
  await co.close();
  await pause(0);
  assert.equal(lines.length, 2, lines.join("\n"));
  assert.match(lines[0], /^warn: comity: the server stock does not take what is counted by 20 counters: OOM/);
  assert.match(lines[1], /^warn: comity: 21 counters were closed with 41 units that the server stock has not acknowledged \(OOM/);
  assert.deepEqual(others, []);
});

test("one counter is named; without a logger it is a warning of the process", async (t) => {
  const { port } = await startRedis(t);
  const { co } = await watched(t, port, { logger: undefined });
  const seen = processWarnings(t);
  await command(port, "CONFIG", "SET", "maxmemory", "1");
  co.counter("hits").add(7);
  await until(() => seen.length > 0);
  await co.close();
  await until(() => seen.length > 1);
  assert.match(seen[0], /^the server stock does not take what is counted by counter 'hits': OOM/);
  assert.match(seen[1], /^counter 'hits' was closed with 7 units that the server stock has not/);
  assert.equal(seen.length, 2);
});

test("counters that a server has lost are one line, and their events name it", async (t) => {
  const { port } = await startRedis(t);
  const { co, lines } = await watched(t, port);
  const events = co.events();
  const hits = Array.from({ length: 20 }, (_, n) => co.counter(`hits ${n}`));
  for (const each of hits) each.add(1);
  await Promise.all(hits.map((each) => each.flush()));
  await command(port, "FLUSHALL");
  for (const each of hits) each.add(1);
  await Promise.allSettled(hits.map((each) => each.flush()));
  await co.close();
  await pause(0);
  assert.equal(lines.length, 1, lines.join("\n"));
  assert.match(lines[0], /20 counters/);
  assert.match(lines[0], /the server stock/);
  for await (const event of events) {
    if (/^counter(Lost|Regressed|Closed)$/.test(event.kind)) assert.deepEqual([event.kind, event.server, event.node], [event.kind, "stock", 0]);
  }
});

test("a journal that cannot be written is said once, also where the logger has no warn", async (t) => {
  const { port } = await startRedis(t);
  const lines = [];
  const { co } = await watched(t, port, { logger: { info: (line) => lines.push(line) } });
  let broken = true;
  const write = () => {
    if (broken) throw new Error("no space left");
  };
  for (let n = 0; n < 5; n++) co.counter(`hits ${n}`, { durability: { kind: "journaled", write } }).add(1);
  await until(() => lines.length > 0);
  await pause(2_500); // it is tried again meanwhile
  broken = false;
  await co.close();
  await pause(0);
  assert.deepEqual(lines, ["comity: the journal of 5 counters could not be written: Error: no space left"]);
});

test("a server that evicts keys, and a ring of local addresses, are for the logger as well", async (t) => {
  const [a, b] = [await startRedis(t), await startRedis(t)];
  await command(a.port, "CONFIG", "SET", "maxmemory-policy", "allkeys-lru");
  const others = processWarnings(t);
  const lines = [];
  const logger = { info: (line) => lines.push(line) };
  const clients = [a, b].map(({ port }) => new Redis({ port, lazyConnect: true }));
  const co = await connect(clients, { logger });
  await co.close();
  await pause(0);
  assert.equal(lines.length, 2, lines.join("\n"));
  assert.match(lines.join("\n"), /addresses that mean something else[^]*evicts keys/);
  assert.deepEqual(others, []);
});
