// The packed package in real Chromium: as it is, in a worker, and through two bundlers; each over
// Webdis to two real servers, with a Python process as the other contender.

import assert from "node:assert/strict";
import { cp } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { Ring } from "comity";
import { build as esbuild } from "esbuild";
import { build as vite } from "vite";
import { contender } from "../support/contender.mjs";
import { project } from "../support/package.mjs";
import { browser, open, serve } from "../support/pages.mjs";
import { command, startRedis, startWebdis } from "../support/servers.mjs";

const PAGES = fileURLToPath(new URL("pages", import.meta.url));
const ROUNDS = 15;

/** A policy that lets scripts in, and no WebAssembly. */
const POLICY = { "Content-Security-Policy": "default-src 'self'; script-src 'self'" };

/** A project with the pages in it, all of them ready to be served. */
async function site(t) {
  const root = await project(t, { "package.json": '{ "type": "module" }' });
  await cp(PAGES, root, { recursive: true });
  await esbuild({
    absWorkingDir: root,
    entryPoints: ["bundled.js"],
    bundle: true,
    minify: true,
    // A classic script: nothing in the package may be awaited at the top.
    format: "iife",
    outfile: join(root, "bundle.js"),
    logLevel: "error",
  });
  await vite({
    root,
    configFile: false,
    logLevel: "error",
    base: "/built/",
    build: { outDir: "built", rollupOptions: { input: join(root, "vite.html") } },
  });
  return serve(t, { "/": root }, { "/csp.html": POLICY });
}

test("in Chromium", async (t) => {
  const url = await site(t);
  const chromium = await browser(t);

  for (const page of ["plain.html", "worker.html", "built/vite.html", "esbuild.html"]) {
    await t.test(page, async (t) => {
      const [a, b] = [await startRedis(t), await startRedis(t)];
      const gateways = {
        a: (await startWebdis(t, a.port)).url,
        b: (await startWebdis(t, b.port)).url,
      };
      for (const { port } of [a, b]) {
        await command(port, "SET", "alice", "100");
      }
      const other = await contender(t, ROUNDS, { a: a.port, b: b.port });
      const tab = await open(t, chromium, `${url}/${page}`);
      await tab.waitForFunction("window.scenario");
      other.begin();
      const { owners, same, held, code } = await tab.evaluate(
        ([gateways, rounds]) => window.scenario(gateways, rounds),
        [gateways, ROUNDS],
      );
      await other.done;

      const ring = new Ring(["a", "b"]);
      const port = (key) => (ring.node(key) === "a" ? a.port : b.port);
      const number = async (key) => Number((await command(port(key), "INCRBY", key, "0")).slice(1));
      assert.deepEqual(
        owners,
        owners.map((_, key) => ring.node(`user:${key}`)),
      );
      assert.ok(same, "not every byte came back");
      assert.ok(held, "no store of its own");
      assert.equal(code, 5);
      assert.equal(await command(a.port, "INCRBY", "tally", "0"), `:${2 * ROUNDS}`);
      assert.equal(await command(a.port, "LLEN", "fences"), `:${2 * ROUNDS}`);
      assert.equal(await number("alice"), 100 - 2 * ROUNDS);
      assert.equal(await number("bob"), 2 * ROUNDS);
    });
  }

  await t.test("as one script, with nothing loaded late", async (t) => {
    const tab = await open(t, chromium, `${url}/single.html`);
    await tab.waitForFunction("window.comity");
    const told = await tab.evaluate(async () => {
      const { connect, Ring } = window.comity;
      const co = await connect();
      const held = await co.withLock("job", (lock) => lock.held);
      const replies = await co.transaction((tx) => tx.incrBy("alice", -30));
      await co.close();
      const scripts = performance.getEntriesByType("resource").map(({ name }) => new URL(name).pathname);
      return [held, replies, new Ring(["a"]).node("x"), scripts.filter((name) => name.includes("comity"))];
    });
    assert.deepEqual(told, [true, [-30], "a", ["/node_modules/comity/dist/comity.min.js"]]);
  });

  await t.test("under a policy that forbids WebAssembly", async (t) => {
    const tab = await open(t, chromium, `${url}/csp.html`, {}, /Content Security Policy/);
    await tab.waitForFunction("window.scenario");
    for (const [typed, name, message] of await tab.evaluate(() => window.scenario())) {
      assert.equal(typed, true);
      assert.equal(name, "Unsupported");
      assert.match(message, /wasm-unsafe-eval/);
    }
  });
});
