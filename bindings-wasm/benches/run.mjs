// All benchmarks of JavaScript: node benches/run.mjs
//
// `COMITY_NATIVE_NS` is what native Rust takes for one key of a batch, in nanoseconds; `cargo xtask
// bench js` measures it before.

import { readFileSync } from "node:fs";
import os from "node:os";
import { version } from "comity";
import { startRedis, startWebdis } from "../tests/support/servers.mjs";
import { counter } from "./counter.mjs";
import { lock } from "./lock.mjs";
import { ring } from "./ring.mjs";

const ends = [];
// What the servers take for the context of a test.
const context = { after: (end) => ends.push(end) };

const versionOf = (name) => {
  const file = new URL(`../node_modules/${name}/package.json`, import.meta.url);
  return `${name} ${JSON.parse(readFileSync(file, "utf8")).version}`;
};

try {
  const peers = ["redis", "ioredis", "hashring", "redis-semaphore", "redlock"].map(versionOf);
  console.log(`comity ${version()}, Node ${process.version}, ${peers.join(", ")}`);
  console.log(`${os.cpus().length} x ${os.cpus()[0]?.model}, load ${os.loadavg()[0].toFixed(1)}`);
  const native = Number(process.env.COMITY_NATIVE_NS);
  await ring(Number.isFinite(native) && native > 0 ? native : undefined);
  const { port } = await startRedis(context);
  await counter(port);
  await lock(port, (await startWebdis(context, port)).url);
} finally {
  for (const end of ends.reverse()) await end();
}
