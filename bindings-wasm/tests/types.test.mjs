// The declarations in programs whose settings are not ours: older ways to find a module, no types but
// the language's own, every file checked.

import assert from "node:assert/strict";
import { test } from "node:test";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { project } from "./support/package.mjs";
import { path, printed } from "./support/tools.mjs";

const PROGRAM = `
  import { ComityError, connect, http, Ring, type Event, type LockOptions } from "comity";
  import { Coordinator } from "comity/core";
  import { load } from "comity/slim";
  import { MemoryStore } from "comity/testing";

  export async function main(event: Event, ttl: number | undefined): Promise<void> {
    const co = await connect(new MemoryStore(), { timeout: ttl });
    const options: LockOptions = { ttl, wait: undefined };
    const fence: number = await co.withLock("x", options, (held) => held.fence);
    const [alice] = await co.transaction().incr("alice").execute<[number | null]>();
    const both = await co.transaction<[number, string | null]>((tx) => tx.incr("a").get("b"));
    const counted: number = (await co.counter("hits").read()).valueNumber;
    if (event.kind === "counterLost") {
      const lost: [bigint, number] = [event.units, event.unitsNumber];
      void [lost, event.name, event.server, event.error.node];
    }
    try {
      await co.close();
    } catch (error) {
      if (error instanceof ComityError && error.name === "LockLost") void error.server;
      // @ts-expect-error there is no such name
      if (error instanceof ComityError && error.name === "LockGone") void error;
    }
    void [alice?.toFixed(), both[1]?.length, fence, counted, http, load, Ring, Coordinator];
  }
`;

for (const [name, options] of Object.entries({
  "moduleResolution: node": { module: "commonjs", moduleResolution: "node" },
  "moduleResolution: nodenext": { module: "nodenext", moduleResolution: "nodenext" },
  "moduleResolution: bundler": { module: "esnext", moduleResolution: "bundler" },
})) {
  test(`${name}, without a DOM`, async (t) => {
    const root = await project(t, { "package.json": "{}", "main.ts": PROGRAM });
    const compilerOptions = {
      ...options,
      noEmit: true,
      strict: true,
      exactOptionalPropertyTypes: true,
      skipLibCheck: false,
      target: "es2022",
      lib: ["es2022"],
      types: [],
    };
    const config = JSON.stringify({ compilerOptions, files: ["main.ts"] });
    await writeFile(join(root, "tsconfig.json"), config);
    const { stdout } = await printed(path("typescript/bin/tsc"), ["-p", root], {}).catch((error) => error);
    assert.equal(stdout, "");
  });
}
