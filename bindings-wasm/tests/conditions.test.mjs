// What bundlers find that look for the package by other rules: Parcel by the fields of package.json, rollup
// and Vite as for Node. Each is to find ES modules, and one instance of them.

import assert from "node:assert/strict";
import { readdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import { build as esbuild } from "esbuild";
import { build as vite } from "vite";
import { project } from "./support/package.mjs";
import { load, path, printed } from "./support/tools.mjs";

const PROGRAM = `
  import { connect, Ring, MemoryStore } from "comity";
  connect(new MemoryStore()).then(async (co) => {
    await co.transaction((tx) => tx.incrBy("alice", -30));
    console.log(new Ring(["a"]).node("x"), await co.withLock("job", (lock) => lock.held));
    await co.close();
  });
`;
const PRINTED = "a true\n";

/** What a built script prints. */
async function output(root, file) {
  return (await printed(join(root, file), [], { cwd: root })).stdout;
}

test("Parcel", async (t) => {
  const root = await project(t, {
    "package.json": JSON.stringify({ targets: { out: { source: "main.js", distDir: "out", context: "node", outputFormat: "esmodule", includeNodeModules: true, isLibrary: false } } }),
    "main.js": PROGRAM,
  });
  const words = ["build", "--target", "out", "--no-cache", "--no-source-maps", "--no-optimize", "--log-level", "error"];
  await printed(path("parcel/lib/bin.js"), words, { cwd: root, env: { ...process.env, PARCEL_WORKERS: "0" } });
  const [main] = (await readdir(join(root, "out"))).filter((name) => name.startsWith("main"));
  const text = await readFile(join(root, "out", main), "utf8");
  // What esbuild calls it in the scripts for `require`.
  assert.ok(!text.includes("__toCommonJS"), "it found CommonJS");
  await writeFile(join(root, "out/package.json"), '{ "type": "module" }');
  assert.equal(await output(root, `out/${main}`), PRINTED);
});

test("rollup, by the conditions of Node", async (t) => {
  const [{ rollup }, { nodeResolve }] = [await load("rollup"), await load("@rollup/plugin-node-resolve")];
  const root = await project(t, { "package.json": '{ "type": "module" }', "main.js": PROGRAM });
  for (const exportConditions of [[], ["node"]]) {
    const said = [];
    const bundle = await rollup({
      input: join(root, "main.js"),
      plugins: [nodeResolve({ exportConditions })],
      onwarn: (warning) => said.push(warning.message),
    });
    await bundle.write({ dir: join(root, "out"), format: "es" });
    assert.deepEqual(said, []);
    assert.equal(await output(root, "out/main.js"), PRINTED);
  }
});

test("esbuild for Node, with a condition of its own in place of the usual ones", async (t) => {
  const root = await project(t, { "package.json": '{ "type": "module" }', "main.js": PROGRAM });
  const { metafile } = await esbuild({
    absWorkingDir: root,
    entryPoints: ["main.js"],
    bundle: true,
    format: "esm",
    platform: "node",
    conditions: ["development"],
    outfile: "out.js",
    metafile: true,
    logLevel: "error",
  });
  const scripts = Object.keys(metafile.inputs).filter((file) => file.startsWith("node_modules"));
  assert.deepEqual(scripts.filter((file) => !file.includes("/dist/esm/")), []);
  assert.equal(await output(root, "out.js"), PRINTED);
});

for (const [name, program, words] of [
  ["Node", process.execPath, []],
  ["Deno", path(".bin/deno"), ["run", "-A"]],
  ["Bun", path(".bin/bun"), []],
]) {
  test(`what is imported and what is required are one in ${name}`, async (t) => {
    const root = await project(t, {
      "package.json": '{ "type": "module" }',
      "main.js": `
        import { createRequire } from "node:module";
        import { ComityError } from "comity";
        console.log(createRequire(import.meta.url)("comity").ComityError === ComityError);
      `,
    });
    const { stdout } = await printed(program, [...words, "main.js"], { cwd: root });
    assert.equal(stdout, "true\n");
  });
}

test("Vite, for a server", async (t) => {
  const root = await project(t, { "package.json": '{ "type": "module" }', "main.js": PROGRAM });
  for (const noExternal of [undefined, true]) {
    await vite({
      root,
      configFile: false,
      logLevel: "error",
      ssr: { noExternal },
      build: { ssr: "main.js", outDir: "out", emptyOutDir: true },
    });
    assert.equal(await output(root, "out/main.js"), PRINTED);
  }
});
