// A Python process as the other contender: see contender.py.

import { spawn } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";
import { cleanup } from "./cleanup.mjs";

const SCRIPT = fileURLToPath(new URL("contender.py", import.meta.url));

/** A Python that has comity and redis-py: `COMITY_PYTHON`, else the one in `.venv`. */
export const PYTHON =
  process.env.COMITY_PYTHON ?? fileURLToPath(new URL("../../../.venv/bin/python", import.meta.url));

/** Starts it, connected; `begin()` has it begin, and `done` is fulfilled when it has ended well. */
export async function contender(t, rounds, ports) {
  const places = Object.entries(ports).map(([id, port]) => `${id}=${port}`);
  // Isolated, so that no folder of the repository hides the installed package.
  const child = spawn(PYTHON, ["-I", SCRIPT, String(rounds), ...places]);
  cleanup(t, () => child.kill("SIGKILL"));
  let output = "";
  for (const stream of [child.stdout, child.stderr]) stream.on("data", (text) => (output += text));
  const done = once(child, "close").then(([code]) => {
    if (code !== 0) throw new Error(`the contender in Python failed: ${output}`);
  });
  done.catch(() => undefined);
  while (!output.includes("ready")) await Promise.race([once(child.stdout, "data"), done]);
  return { begin: () => child.stdin.write("go\n"), done };
}
