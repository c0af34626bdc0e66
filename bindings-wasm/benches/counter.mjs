// A unit counted: comity beside a variable of the program and beside a round trip to Redis.

import { Redis } from "ioredis";
import { connect } from "comity";
import { compare, table } from "./measure.mjs";

const ADDS = 100_000;
const TRIPS = 500;
const AT_ONCE = 5_000;

export async function counter(port) {
  const redis = new Redis({ port });
  const co = await connect(redis);
  const hits = co.counter("hits");
  let plain = 0;
  const results = await compare({
    "comity, hits.add(1)": () => {
      for (let unit = 0; unit < ADDS; unit += 1) hits.add(1);
      return ADDS;
    },
    "a variable, number += 1": () => {
      for (let unit = 0; unit < ADDS; unit += 1) plain += 1;
      return ADDS;
    },
    "ioredis, await incr": async () => {
      for (let unit = 0; unit < TRIPS; unit += 1) await redis.incr("plain");
      return TRIPS;
    },
    "ioredis, incr, 5,000 at once": async () => {
      await Promise.all(Array.from({ length: AT_ONCE }, () => redis.incr("plain")));
      return AT_ONCE;
    },
  });
  await hits.flush();
  table(`counter: one unit (${plain} in the variable)`, results);
  const { value } = await hits.read("fresh");
  if (value !== BigInt(16 * ADDS)) throw new Error(`the server counts ${value}`);
  await co.close();
  redis.disconnect();
}
