// The package as it is published, in an empty project.

import { execFile } from "node:child_process";
import { mkdir, readdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { folder } from "./servers.mjs";

const run = promisify(execFile);
const PACKAGE = fileURLToPath(new URL("../..", import.meta.url));

/** A folder with nothing but the packed package in `node_modules`, and `files` by name. */
export async function project(t, files = {}) {
  const place = await folder(t);
  const target = join(place, "node_modules/comity");
  await mkdir(target, { recursive: true });
  const archive = process.env.COMITY_TARBALL ?? (await pack(place));
  await run("tar", ["-xzf", archive, "-C", target, "--strip-components=1"]);
  for (const [name, text] of Object.entries(files)) await writeFile(join(place, name), text);
  return place;
}

async function pack(place) {
  await run("npm", ["pack", "--pack-destination", place], { cwd: PACKAGE });
  const [name] = (await readdir(place)).filter((file) => file.endsWith(".tgz"));
  return join(place, name);
}
