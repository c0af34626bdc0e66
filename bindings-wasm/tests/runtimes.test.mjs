// The package in runtimes other than Node: Bun, Deno, and Cloudflare's workerd, where modules come by
// import alone.

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { symlink, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import { setTimeout as pause } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";
import { cleanup } from "./support/cleanup.mjs";
import { project } from "./support/package.mjs";
import { command, freePort, startRedis } from "./support/servers.mjs";
import { path, printed } from "./support/tools.mjs";
import { startUpstash } from "./support/upstash.mjs";

const MODULES = fileURLToPath(new URL("../node_modules", import.meta.url));

const RUNTIMES = {
  bun: [path(".bin/bun"), ["run"]],
  deno: [path(".bin/deno"), ["run", "-A", "--no-lock", "--node-modules-dir=manual"]],
};

for (const [name, [program, words]] of Object.entries(RUNTIMES)) {
  test(`${name}, by a URL, with ioredis, with node-redis, and alone`, async (t) => {
    const { port } = await startRedis(t);
    const root = await project(t, {
      "package.json": '{ "type": "module" }',
      "main.js": `
        import { connect } from "comity";
        import { Redis } from "ioredis";
        import { createClient } from "redis";
        const port = ${port};
        for (const client of [
          \`redis://127.0.0.1:\${port}\`,
          new Redis({ port, lazyConnect: true }),
          createClient({ socket: { port } }),
          undefined,
        ]) {
          const [co, other] = [await connect(client), await connect(client)];
          const first = other.lock("job");
          await first.acquire();
          const order = [];
          const work = co.withLock("job", { ttl: 10_000 }, (lock) => order.push(lock.held));
          await new Promise((resolve) => setTimeout(resolve, client ? 100 : 0));
          order.push("released");
          await first.release();
          await work;
          await co.transaction((tx) => tx.incrBy("alice", -30).incrBy("bob", 30));
          const hits = co.counter("hits");
          hits.add(2);
          await hits.flush();
          // Alone each has a store of its own: nobody waits there.
          if (client === undefined) order.reverse();
          console.log(order.join(), (await co.snapshot(["alice", "bob"])).join(), String(hits.value()));
          await Promise.all([co.close(), other.close()]);
        }
      `,
    });
    for (const each of ["ioredis", "redis", "@redis"]) {
      await symlink(join(MODULES, each), join(root, "node_modules", each));
    }
    const { stdout } = await printed(program, [...words, "main.js"], { cwd: root });
    const shared = [1, 2, 3].map((time) => `released,true ${-30 * time},${30 * time} ${2 * time}\n`).join("");
    assert.equal(stdout, `${shared}released,true -30,30 2\n`);
  });
}

/** Modules for workerd, its port, and what its answer to a request is. */
async function worker(t, script, modules) {
  const root = await project(t, { "package.json": '{ "type": "module" }', "main.js": script });
  await build({
    absWorkingDir: root,
    entryPoints: ["main.js"],
    bundle: true,
    format: "esm",
    outfile: join(root, "worker.js"),
    external: ["*.wasm", "cloudflare:*"],
    conditions: ["workerd"],
    logLevel: "error",
  });
  const port = await freePort();
  const embedded = modules.map(
    (name) => `(name = "comity/${name}", wasm = embed "node_modules/comity/dist/${name}")`,
  );
  const config = `
    using Workerd = import "/workerd/workerd.capnp";
    const config :Workerd.Config = (
      services = [
        (name = "main", worker = .worker),
        (name = "internet", network = (allow = ["private", "public"])),
      ],
      sockets = [(name = "http", address = "127.0.0.1:${port}", http = (), service = "main")],
    );
    const worker :Workerd.Worker = (
      modules = [(name = "worker.js", esModule = embed "worker.js"), ${embedded.join(", ")}],
      compatibilityDate = "2024-01-01",
    );
  `;
  await writeFile(join(root, "config.capnp"), config);
  const program = path(`@cloudflare/workerd-linux-${process.arch === "arm64" ? "arm64" : "64"}/bin/workerd`);
  const child = spawn(program, ["serve", "config.capnp"], { cwd: root, stdio: ["ignore", "inherit", "inherit"] });
  cleanup(t, () => child.kill("SIGKILL"));
  const end = Date.now() + 60_000;
  for (;;) {
    try {
      return await (await fetch(`http://127.0.0.1:${port}/`)).text();
    } catch (error) {
      if (Date.now() > end || child.exitCode !== null) throw error;
      await pause(50);
    }
  }
}

test("workerd, with modules that are imported, over sockets, over HTTP and alone", async (t) => {
  const redis = await startRedis(t);
  const { url, token } = await startUpstash(t, redis.port);
  const answer = await worker(
    t,
    `
    import core from "comity/comity.wasm";
    import store from "comity/store.wasm";
    import { connect as dial } from "cloudflare:sockets";
    import { connect, http, load, loadStore, MemoryStore, tcp } from "comity/slim";
    load(core);
    loadStore(store);
    export default {
      async fetch() {
        const told = [];
        for (const server of [tcp("redis://127.0.0.1:${redis.port}", { connect: dial }), http(${JSON.stringify(url)}, ${JSON.stringify({ dialect: "upstash", token })}), new MemoryStore()]) {
          const co = await connect(server);
          told.push(await co.withLock("job", { ttl: 10_000 }, (lock) => lock.held));
          await co.transaction((tx) => tx.incrBy("alice", -30).incrBy("bob", 30));
          const hits = co.counter("hits");
          hits.add(2);
          await hits.flush();
          told.push(await co.snapshot(["alice", "bob"]), Number(hits.value()));
          await co.close();
        }
        return new Response(JSON.stringify(told));
      },
    };
  `,
    ["comity.wasm", "store.wasm"],
  );
  assert.deepEqual(JSON.parse(answer), [true, ["-30", "30"], 2, true, ["-60", "60"], 4, true, ["-30", "30"], 2]);
  assert.equal(await command(redis.port, "GET", "bob"), "$2");
});

test("workerd says what to import where modules are made of bytes", async (t) => {
  const answer = await worker(
    t,
    `
    import { Ring } from "comity";
    export default {
      async fetch() {
        try {
          return new Response(new Ring(["a"]).node("x"));
        } catch ({ name, message }) {
          return new Response(name + ": " + message);
        }
      },
    };
  `,
    [],
  );
  assert.match(answer, /^Unsupported: .*load\(module\) of comity\/slim/);
});
