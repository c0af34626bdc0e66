// The package under the test runners that programs use, with their clocks in place of the real ones.

import assert from "node:assert/strict";
import { test } from "node:test";
import { project } from "./support/package.mjs";
import { path, printed, resolve } from "./support/tools.mjs";

/** What a test of a program does while the runner's clock stands still. */
const USE = `
  const before = Date.now();
  const co = await connect();
  const held = await co.withLock("job", { ttl: 10_000 }, (lock) => lock.held);
  await co.transaction((tx) => tx.incrBy("alice", -30).incrBy("bob", 30));
  const hits = co.counter("hits");
  hits.add(2);
  await hits.flush();
  const blocked = co.lock("job");
  await blocked.acquire();
  // Which takes real time, not the runner's.
  const late = await co.lock("job").acquire({ wait: 50 });
  await blocked.release();
  expect([held, late, await co.snapshot(["alice", "bob"]), hits.valueOf() === hits, hits.value()]).toEqual([
    true, false, ["-30", "30"], true, 2n,
  ]);
  await co.close();
  expect(Date.now()).toBe(before);
  const store = new MemoryStore();
  const other = await connect(store);
  const lock = other.lock("job", { ttl: 10_000, renew: false });
  await lock.acquire();
  await store.advance(11_000);
  expect(lock.lost).toBe(true);
  await other.close();
`;
const CJS = `
  const { connect } = require("comity");
  const { MemoryStore } = require("comity/testing");
`;

for (const [name, environment] of [
  ["jest", "jest-environment-node"],
  ["jest with jsdom", "jest-environment-jsdom"],
]) {
  test(`${name}, with its fake timers`, async (t) => {
    const root = await project(t, {
      "package.json": "{}",
      "program.test.js": `${CJS}
        jest.useFakeTimers();
        test("comity", async () => {${USE}});
      `,
    });
    const config = JSON.stringify({ testEnvironment: resolve(environment), transform: {} });
    const words = ["--rootDir", root, "--config", config, "--no-cache", "--no-watchman", "--ci"];
    const { stderr } = await printed(path("jest/bin/jest.js"), words, { cwd: root });
    assert.match(stderr, /Tests:\s+1 passed/);
  });
}

test("vitest, with its fake timers", async (t) => {
  const root = await project(t, {
    "package.json": '{ "type": "module" }',
    "program.test.js": `
      import { connect } from "comity";
      import { MemoryStore } from "comity/testing";
      vi.useFakeTimers({ toFake: ["setTimeout", "setInterval", "setImmediate", "queueMicrotask", "Date", "performance"] });
      test("comity", async () => {${USE}});
    `,
  });
  const words = ["run", "--root", root, "--globals", "--no-color"];
  const { stdout } = await printed(path("vitest/vitest.mjs"), words, { cwd: root });
  assert.match(stdout, /Tests\s+1 passed/);
});
