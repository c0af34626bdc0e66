// A lock taken and given back, by one alone and by several at once, and what the next in line waits.

import { createRequire } from "node:module";
import { Redis } from "ioredis";
import { createClient } from "redis";
import { Mutex } from "redis-semaphore";
import { connect, http } from "comity";
import { compare, median, quantile, table } from "./measure.mjs";

const Redlock = createRequire(import.meta.url)("redlock");

const PAIRS = 200;
const CLIENTS = 8;
const TURNS_EACH = 40;

/** `webdis` is the URL of a gateway to the same server, where there is one. */
export async function lock(port, webdis) {
  const redis = new Redis({ port });
  const clients = {
    "comity over ioredis": redis,
    "comity over node-redis": createClient({ socket: { port } }),
    ...(webdis && { "comity over Webdis": http(webdis, { dialect: "webdis" }) }),
  };
  const connected = {};
  for (const [name, client] of Object.entries(clients)) connected[name] = await connect(client);
  const redlock = new Redlock([redis]);
  const contenders = {};
  for (const [name, co] of Object.entries(connected)) {
    contenders[name] = () => pairs(() => co.withLock(`pairs ${name}`, () => undefined));
  }
  contenders["redis-semaphore Mutex"] = () =>
    pairs(async () => {
      const mutex = new Mutex(redis, "pairs");
      await mutex.acquire();
      await mutex.release();
    });
  contenders["redlock"] = () =>
    pairs(async () => {
      const held = await redlock.lock("redlock pairs", 10_000);
      await held.unlock();
    });
  table("lock: taken and given back, nobody else there", await compare(contenders, 9));
  for (const co of Object.values(connected)) await co.close();

  await handOffs(port, redis);
  redis.disconnect();
}

async function pairs(pair) {
  for (let count = 0; count < PAIRS; count += 1) await pair();
  return PAIRS;
}

/**
 * Eight clients, each with connections of its own, take the lock in turn as often as they can. Told is
 * the time from a release being asked for to the next body running.
 */
async function handOffs(port, redis) {
  const all = await Promise.all(Array.from({ length: CLIENTS }, () => connect(redis)));
  const others = all.map(() => new Redis({ port }));
  const redlocks = others.map(
    (client) => new Redlock([client], { retryCount: 10_000, retryDelay: 10, retryJitter: 5 }),
  );
  console.log(`\nlock: ${CLIENTS} clients at once, ${TURNS_EACH} turns each`);
  for (const [name, take] of [
    ["comity", async (number, body) => all[number].withLock("contended", body)],
    [
      "redis-semaphore Mutex, asks every 10 ms",
      async (number, body) => {
        const mutex = new Mutex(others[number], "contended", { acquireTimeout: 60_000 });
        await mutex.acquire();
        await body();
        await mutex.release();
      },
    ],
    [
      "redlock, asks every 10 ms",
      async (number, body) => {
        const held = await redlocks[number].lock("redlock contended", 60_000);
        await body();
        await held.unlock();
      },
    ],
  ]) {
    const { waits, order, seconds } = await contended(take);
    const words = [
      `median ${median(waits).toFixed(2)} ms`,
      `99 % ${quantile(waits, 0.99).toFixed(1)} ms`,
      `${Math.round((CLIENTS * TURNS_EACH) / seconds)} turns/s`,
      `longest row of one client ${longestRow(order)}`,
    ];
    console.log(`  ${name.padEnd(44)} ${words.join(", ")}`);
  }
  for (const co of all) await co.close();
  for (const client of others) client.disconnect();
}

async function contended(take) {
  const waits = [];
  const order = [];
  let released = null;
  const begun = performance.now();
  await Promise.all(
    Array.from({ length: CLIENTS }, async (_, number) => {
      for (let turn = 0; turn < TURNS_EACH; turn += 1) {
        await take(number, async () => {
          if (released !== null) waits.push(performance.now() - released);
          order.push(number);
          released = performance.now();
        });
      }
    }),
  );
  return { waits, order, seconds: (performance.now() - begun) / 1000 };
}

function longestRow(order) {
  let [longest, row] = [0, 0];
  order.forEach((number, at) => {
    row = number === order[at - 1] ? row + 1 : 1;
    longest = Math.max(longest, row);
  });
  return longest;
}
