// Every program in JavaScript of the project's pages runs, and prints what its comments say.

import assert from "node:assert/strict";
import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { project } from "./support/package.mjs";
import { printed } from "./support/tools.mjs";

const DOCS = fileURLToPath(new URL("../../docs", import.meta.url));
/** What a line that prints has behind it, up to what is said about that. */
const SAID = /console\.log\(.*\);? \/\/ ([^:\n]*)(?::.*)?$/gm;

const pages = (await readdir(DOCS)).filter((name) => name.endsWith(".md"));
const programs = (
  await Promise.all(
    pages.map(async (page) => {
      const text = await readFile(join(DOCS, page), "utf8");
      return [...text.matchAll(/```js\n([^]*?)```/g)].map(([, program], at) => [page, at + 1, program]);
    }),
  )
).flat();

test("there are some", () => {
  assert.ok(programs.length >= 9, `${programs.length} programs`);
});

for (const [page, number, program] of programs) {
  test(`${page}, program ${number}`, async (t) => {
    const root = await project(t, { "package.json": '{ "type": "module" }', "main.js": program });
    const { stdout, stderr } = await printed(join(root, "main.js"), [], { cwd: root });
    // What is told of a store that has no replicas is no fault.
    assert.doesNotMatch(stderr, /^(?!.*ComityWarning|.*trace-warnings).+/m);
    for (const [line, said] of program.matchAll(SAID)) {
      if (/at one instant|asks|sees to/.test(said)) continue;
      assert.ok(stdout.split("\n").includes(said.replace(/ here$/, "")), `${line}\n${stdout}`);
    }
  });
}
