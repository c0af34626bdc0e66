// What of the package a bundler takes: who does not use the embedded store does not pay for it.

import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import { promisify } from "node:util";
import { build as esbuild } from "esbuild";
import { build as vite } from "vite";
import { project } from "./support/package.mjs";

const run = promisify(execFile);

const PROGRAMS = {
  "connects.js": `
    import { connect, http } from "comity";
    connect(http(globalThis.url, { dialect: "webdis" })).then((co) => co.close());
  `,
  "alone.js": `
    import { connect } from "comity";
    const co = await connect();
    console.log(await co.withLock("job", (lock) => lock.held));
    await co.close();
  `,
  "shares.js": `
    import { connect, MemoryStore } from "comity";
    const store = new MemoryStore();
    const co = await connect(store);
    console.log(await co.withLock("job", (lock) => lock.held), store.execute("PING") !== null);
    await co.close();
  `,
  "core.js": `
    import { Ring } from "comity/core";
    console.log(new Ring(["a"]).node("x"));
  `,
  "core-store.js": `
    import { MemoryStore } from "comity/core";
    console.log(new MemoryStore().pollMessage());
  `,
  "tests.js": `
    import { MemoryStore } from "comity/testing";
    const store = new MemoryStore();
    await store.advance(1);
    console.log(store.execute("PING") !== null);
  `,
  "slim.js": `
    import { ComityError, connect, load, MemoryStore, Ring } from "comity/slim";
    for (const use of [() => new Ring(["a"]), () => new MemoryStore(), () => connect()]) {
      try {
        await use();
      } catch (error) {
        console.log(error instanceof ComityError, error.name);
      }
    }
    globalThis.load = load;
  `,
};

const BUNDLERS = {
  esbuild: (root, entry) =>
    esbuild({
      absWorkingDir: root,
      entryPoints: [entry],
      bundle: true,
      splitting: true,
      format: "esm",
      outdir: "out",
      logLevel: "error",
    }),
  vite: async (root, entry) => {
    const said = [];
    const warn = (message) => said.push(message);
    await vite({
      root,
      configFile: false,
      customLogger: { info() {}, warn, warnOnce: warn, error: warn, hasWarned: false, clearScreen() {} },
      build: {
        outDir: "out",
        target: "es2022",
        // It needs a document.
        modulePreload: false,
        chunkSizeWarningLimit: 10_000,
        rollupOptions: {
          input: join(root, entry),
          preserveEntrySignatures: "strict",
          output: { entryFileNames: "[name].js", chunkFileNames: "[name]-[hash].js" },
        },
      },
    });
    assert.deepEqual(said, []);
  },
};

for (const [bundler, build] of Object.entries(BUNDLERS)) {
  test(`what ${bundler} takes`, async (t) => {
    for (const [entry, core, store, printed] of [
      ["connects.js", "at once", "late"],
      ["alone.js", "at once", "late", "true\n"],
      ["shares.js", "at once", "at once", "true true\n"],
      ["core.js", "at once", "never", "a\n"],
      ["core-store.js", "at once", "at once", "null\n"],
      ["tests.js", "never", "at once", "true\n"],
      ["slim.js", "never", "never", "true InvalidState\n".repeat(3)],
    ]) {
      await t.test(entry, async (t) => {
        const root = await project(t, {
          "package.json": '{ "type": "module" }',
          [entry]: PROGRAMS[entry],
        });
        await build(root, entry);
        const modules = await Promise.all(["comity", "store"].map((name) => part(root, name)));
        const [first, all] = [await atOnce(join(root, "out"), entry), await everything(join(root, "out"))];
        const when = (text) =>
          first.includes(text) ? "at once" : all.includes(text) ? "late" : "never";
        assert.deepEqual(modules.map(when), [core, store]);
        if (printed === undefined) return;
        const { stdout } = await run(process.execPath, [join("out", entry)], { cwd: root });
        assert.equal(stdout, printed);
      });
    }
  });
}

/** Some of a module as it stands in a script. */
async function part(root, name) {
  const module = await readFile(join(root, `node_modules/comity/dist/${name}.wasm`));
  return module.toString("base64").slice(50_000, 50_400);
}

/** The text of a script and of all that it imports before it begins. */
async function atOnce(folder, name, seen = new Set()) {
  if (seen.has(name)) return "";
  seen.add(name);
  const text = await readFile(join(folder, name), "utf8");
  const imports = text.matchAll(/\b(?:import|from)\s*"\.\/([^"]+)"/g);
  const parts = await Promise.all([...imports].map(([, other]) => atOnce(folder, other, seen)));
  return [text, ...parts].join("\n");
}

async function everything(folder) {
  const files = (await readdir(folder)).filter((file) => file.endsWith(".js"));
  return (await Promise.all(files.map((file) => readFile(join(folder, file), "utf8")))).join("\n");
}
