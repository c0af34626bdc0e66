// What nobody has any more: its lease is given back, its connections end, and people are told.

import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { startRedis } from "./support/servers.mjs";

const run = promisify(execFile);
const here = fileURLToPath(new URL("..", import.meta.url));

/** What a program prints that can have garbage collected, by `until(condition)`. */
async function printed(program, ...args) {
  const head = `
    import { connect, MemoryStore } from "comity";
    const warnings = [];
    process.on("warning", ({ name, message }) => warnings.push(name + ": " + message));
    async function until(condition) {
      const end = Date.now() + 30_000;
      while (!(await condition())) {
        if (Date.now() > end) throw new Error("not within 30 s: " + condition);
        globalThis.gc();
        await new Promise((resolve) => setTimeout(resolve, 10));
      }
    }
  `;
  const words = ["--expose-gc", "--no-warnings", "--input-type=module", "-e", head + program, ...args];
  return (await run(process.execPath, words, { cwd: here, timeout: 60_000 })).stdout;
}

test("a lock whose handle nobody has any more is released, and its signal aborts", async () => {
  const out = await printed(`
    const store = new MemoryStore();
    const [co, other] = [await connect(store), await connect(store)];
    let calls = 0;
    const signal = await (async () => {
      const lock = co.lock("x", { ttl: 86_400_000, onLost: () => calls++ });
      await lock.acquire();
      return lock.signal;
    })();
    await until(async () => (await other.inspect("x")).holdersTotal === 0);
    console.log(signal.aborted, signal.reason.name, signal.reason.lockName, calls);
    console.log(warnings.length, /^ResourceWarning: lock 'x' was held by a handle/.test(warnings[0]));
    // One that somebody has is held on to.
    const kept = co.lock("y");
    await kept.acquire();
    for (let round = 0; round < 20; round++) {
      globalThis.gc();
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
    const running = co.withLock("z", () => new Promise((resolve) => setTimeout(resolve, 200)));
    await until(async () => (await other.inspect("z")).holdersTotal === 1);
    globalThis.gc();
    await running;
    console.log((await other.inspect("y")).holdersTotal, kept.held, warnings.length);
    await Promise.all([co.close(), other.close()]);
  `);
  assert.equal(out, "true LockLost x 0\n1 true\n1 true 1\n");
});

test("a coordinator that nobody has any more is closed, but not under its handles", async (t) => {
  const { port } = await startRedis(t);
  const out = await printed(
    `
    import { Redis } from "ioredis";
    const plain = new Redis(Number(process.argv[1]));
    const others = async () => Number(/connected_clients:(\\d+)/.exec(await plain.info("clients"))[1]) - 1;
    const client = () => new Redis({ port: Number(process.argv[1]), lazyConnect: true });
    let lock = await (async () => {
      const co = await connect(client());
      await co.transaction((tx) => tx.set("a", 1));
      return co.lock("x");
    })();
    for (let round = 0; round < 20; round++) {
      globalThis.gc();
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
    await lock.acquire();
    console.log(lock.held, warnings.length);
    await lock.release();
    lock = null;
    await until(async () => (await others()) === 0);
    console.log(warnings.length, /^ResourceWarning: a coordinator that nobody has/.test(warnings[0]));
    // One with a counter goes on counting.
    const hits = await (async () => (await connect(client())).counter("hits"))();
    for (let round = 0; round < 20; round++) {
      globalThis.gc();
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
    hits.add(2);
    await hits.flush();
    console.log(hits.value(), warnings.length);
    process.exit(0);
  `,
    String(port),
  );
  assert.equal(out, "true 0\n1 true\n2n 1\n");
});
