// The tools of tests/tools: runtimes, bundlers, test runners and an older compiler, which the package is
// tried with. `cargo xtask test js` installs them.

import { execFile } from "node:child_process";
import { access } from "node:fs/promises";
import { createRequire } from "node:module";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";

const TOOLS = new URL("../tools/", import.meta.url);
const require = createRequire(TOOLS);

/** The path of a module of one of the tools. */
export const resolve = (name) => require.resolve(name);

/** The path of a file of one of the tools. */
export const path = (name) => fileURLToPath(new URL(`node_modules/${name}`, TOOLS));

/** A module of one of the tools. */
export const load = (name) => import(resolve(name));

const run = promisify(execFile);

/** Runs a program, a script where it ends so; what it prints. Throws with all of it where it fails. */
export async function printed(program, args, options) {
  await access(program);
  const [file, words] = /\.m?js$|tsc$/.test(program) ? [process.execPath, [program, ...args]] : [program, args];
  try {
    return await run(file, words, { timeout: 120_000, ...options });
  } catch (error) {
    error.message += `\n${error.stdout}\n${error.stderr}`;
    throw error;
  }
}
