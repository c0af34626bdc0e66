// The packed package as its users have it: installed into empty projects, and by the examples.

import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { project } from "./support/package.mjs";
import { startRedis } from "./support/servers.mjs";

const run = promisify(execFile);
const node = (args, options) => run(process.execPath, args, { timeout: 300_000, ...options });

/** The same in both module systems. */
const PROGRAM = `
const ring = new Ring(["a", "b", "c"]);
(async () => {
  const co = await connect();
  const held = await co.withLock("job", { ttl: 10_000 }, (lock) => lock.held);
  await co.transaction((tx) => tx.incrBy("alice", -30).incrBy("bob", 30));
  const hits = co.counter("hits");
  hits.add(2);
  console.log(ring.node("user:7"), held, await co.snapshot(["alice", "bob"]), hits.value());
  await co.close();
})();
`;

for (const [name, type, head] of [
  ["an ES module", "module", 'import { connect, Ring } from "comity";'],
  ["a CommonJS module", "commonjs", 'const { connect, Ring } = require("comity");'],
]) {
  test(`installed into an empty project, in ${name}`, async (t) => {
    const root = await project(t, {
      "package.json": JSON.stringify({ type }),
      "main.js": head + PROGRAM,
    });
    const { stdout, stderr } = await node(["main.js"], { cwd: root });
    assert.equal(stdout, "b true [ '-30', '30' ] 2n\n");
    assert.equal(stderr, "");
  });
}

test("a program that serves the modules itself", async (t) => {
  const root = await project(t, {
    "package.json": '{ "type": "module" }',
    "main.js": `
      import { readFileSync } from "node:fs";
      import { fileURLToPath } from "node:url";
      import { connect, load, loadStore, MemoryStore, Ring } from "comity/slim";
      const bytes = (name) => readFileSync(fileURLToPath(import.meta.resolve(name)));
      load(new WebAssembly.Module(bytes("comity/comity.wasm")));
      console.log(new Ring(["a"]).node("x"));
      for (const use of [() => new MemoryStore(), connect]) {
        try {
          await use();
        } catch ({ name, message }) {
          console.log(name, message.includes("loadStore(module)"));
        }
      }
      try {
        loadStore(new Uint8Array(4));
      } catch ({ name }) {
        console.log(name);
      }
      loadStore(bytes("comity/store.wasm"));
      const co = await connect(new MemoryStore());
      console.log(await co.withLock("job", (lock) => lock.held));
      console.log(await co.transaction((tx) => tx.incrBy("alice", -30)));
      await co.close();
    `,
  });
  assert.equal(
    (await node(["main.js"], { cwd: root })).stdout,
    `a\n${"InvalidState true\n".repeat(2)}Unsupported\ntrue\n[ -30 ]\n`,
  );
});

test("the first program of the README prints what it says", async (t) => {
  const text = await readFile(new URL("../README.md", import.meta.url), "utf8");
  const [, program] = /```js\n([^]*?)```/.exec(text);
  const [, output] = /```text\n([^]*?)```/.exec(text);
  const root = await project(t, { "package.json": '{ "type": "module" }', "main.js": program });
  assert.equal((await node(["main.js"], { cwd: root })).stdout, output);
});

for (const name of ["ring", "lock", "transaction", "counter"]) {
  test(`the example of the ${name} prints what it prints in every language`, async (t) => {
    const folder = fileURLToPath(new URL("..", import.meta.url));
    const expected = await readFile(join(folder, `../tests/examples/${name}.txt`), "utf8");
    const { port } = await startRedis(t);
    const program = join(folder, `examples/${name}.mjs`);
    assert.equal((await node([program])).stdout, expected);
    assert.equal((await node([program, "--redis", `127.0.0.1:${port}`])).stdout, expected);
  });
}

test("handles that are disposed of leave no memory behind", async () => {
  const program = `
    import { Ring, PNCounter } from "comity";
    const many = (count) => {
      for (let n = 0; n < count; n += 1) {
        const ring = new Ring(["a", "b"]);
        ring.node("k");
        ring[Symbol.dispose]();
        const counter = new PNCounter();
        counter.add(1);
        counter[Symbol.dispose]();
      }
    };
    // Collected after each round: how far the heap grows between two collections is V8's affair.
    const used = (rounds) => {
      for (let round = 0; round < rounds; round += 1) {
        many(5_000);
        globalThis.gc();
      }
      const { rss, external, arrayBuffers, heapUsed } = process.memoryUsage();
      return { rss, held: heapUsed + external + arrayBuffers };
    };
    const before = used(8);
    const after = used(10); // 100,000 handles
    console.log(JSON.stringify([after.rss / before.rss, after.held / before.held]));
  `;
  const { stdout } = await node(["--expose-gc", "--input-type=module", "-e", program], {
    cwd: fileURLToPath(new URL("..", import.meta.url)),
  });
  for (const growth of JSON.parse(stdout)) assert.ok(growth < 1.05, stdout);
});
