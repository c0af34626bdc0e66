// The package's two WebAssembly modules: each is made when it is first needed, and a bug in one
// leaves the other alone.

import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";

const run = promisify(execFile);
const cwd = fileURLToPath(new URL("..", import.meta.url));

/** What a program prints, in a process of its own. */
async function printed(program) {
  const { stdout } = await run(process.execPath, ["--input-type=module", "-e", program], { cwd });
  return stdout;
}

/** Fails the instances of `name` as a trap in the module would. */
const bug = (name) => `
  import { ${name} } from "./dist/cjs/instance/${name}.js";
  try {
    ${name}.guarded(() => { throw new WebAssembly.RuntimeError("unreachable"); });
  } catch {}
`;

const use = `
  import { ComityError, connect, MemoryStore, Ring } from "comity";
  import { MemoryStore as Core } from "comity/core";
  for (const make of [() => new Ring(["a"]), () => new MemoryStore(), () => new Core(), connect]) {
    try {
      await make();
      console.log("made");
    } catch (error) {
      console.log(error instanceof ComityError, error.name, /unreachable/.test(error.message));
    }
  }
  process.exit();
`;

test("without a bug all is made", async () => {
  assert.equal(await printed(use), "made\n".repeat(4));
});

test("a bug in the core leaves the store alone", async () => {
  const dead = "true Internal true\n";
  assert.equal(await printed(bug("core") + use), `${dead}made\nmade\n${dead}`);
});

test("a bug in the store leaves the core alone", async () => {
  assert.equal(await printed(bug("store") + use), `made\n${"true Internal true\n".repeat(3)}`);
});

test("a module is compiled when it is first needed, and once", async () => {
  const program = `
    import { connect, MemoryStore, Ring } from "comity";
    const { Module } = WebAssembly;
    let compiled = 0;
    WebAssembly.Module = class extends Module {
      constructor(source) {
        super(source);
        compiled += 1;
      }
    };
    const seen = [compiled];
    for (const use of [() => new Ring(), () => new Ring(), () => new MemoryStore(), connect, connect]) {
      await use();
      seen.push(compiled);
    }
    console.log(seen.join(" "));
    process.exit();
  `;
  assert.equal(await printed(program), "0 1 1 2 2 2\n");
});
