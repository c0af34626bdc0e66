// What every example needs: the store that the command line names, and keys of its own there.

import { parseArgs } from "node:util";
import { connect, MemoryStore } from "comity";

/** In front of all keys of comity. */
export const prefix = `comity-example-${process.pid}:`;

/**
 * The embedded store, or the Redis of `--redis HOST:PORT`: how to connect to it as often as needed,
 * and how to leave it as it was.
 */
export async function store() {
  const { values } = parseArgs({ options: { redis: { type: "string" } } });
  if (values.redis === undefined) {
    const memory = new MemoryStore();
    return { connect: () => connect(memory, { prefix }), close: async () => {} };
  }
  const { createClient } = await import("redis");
  const client = createClient({ url: `redis://${values.redis}` });
  await client.connect();
  return {
    connect: () => connect(client, { prefix }),
    async close() {
      // What is kept for good: counters, and what a ring was noted for.
      const left = await client.keys(`${prefix}*`);
      if (left.length > 0) await client.del(left);
      await client.close();
    },
  };
}

/** Prints whether something is as it should be. */
export function tell(fact, holds) {
  console.log(`${fact}: ${holds ? "yes" : "no"}`);
}
