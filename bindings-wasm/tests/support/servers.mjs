// Servers of the tests' own, on free loopback ports.
//
// They end with the test that started them: every starter takes the test's context.

import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import net from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { cleanup } from "./cleanup.mjs";

const TRIES = 3;

/** A port that was free a moment ago. */
export async function freePort() {
  const server = net.createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address();
  server.close();
  await once(server, "close");
  return port;
}

/** A folder that is gone after the test. */
export async function folder(t) {
  const path = await mkdtemp(join(tmpdir(), "comity-js-"));
  cleanup(t, () => rm(path, { recursive: true, force: true }));
  return path;
}

/** Starts `program` until `ready` says it is; somebody else may have taken the port meanwhile. */
async function started(t, program, argumentsFor, ready) {
  let output = "";
  for (let attempt = 0; attempt < TRIES; attempt += 1) {
    const port = await freePort();
    const child = spawn(program, await argumentsFor(port), { stdio: ["ignore", "pipe", "pipe"] });
    const failed = new Promise((resolve) => child.once("error", resolve));
    output = "";
    for (const stream of [child.stdout, child.stderr])
      stream.on("data", (text) => (output += text));
    const exited = once(child, "exit").catch(() => undefined);
    const stop = async (signal = "SIGKILL") => {
      if (child.exitCode === null && child.signalCode === null && child.pid !== undefined) {
        child.kill(signal);
        await exited;
      }
    };
    cleanup(t, () => stop());
    const deadline = Date.now() + 40_000;
    while (Date.now() < deadline && child.exitCode === null) {
      const error = await Promise.race([
        failed,
        ready(port).then(
          () => undefined,
          () => false,
        ),
      ]);
      if (error instanceof Error) throw error;
      if (error === undefined) return { port, stop, pid: child.pid };
      await pause(10);
    }
    await stop();
  }
  throw new Error(`${program} does not start: ${output}`);
}

/** Sends one command on a connection of its own; the answer's first line. */
export async function command(port, ...words) {
  const socket = net.connect(port, "127.0.0.1");
  try {
    await once(socket, "connect");
    socket.write(
      `*${words.length}\r\n${words.map((w) => `$${Buffer.byteLength(w)}\r\n${w}\r\n`).join("")}`,
    );
    const [answer] = await once(socket, "data");
    return answer.toString("latin1").split("\r\n")[0];
  } finally {
    socket.destroy();
  }
}

/** A Redis server with nothing in it. `more` are further words for its command line. */
export async function startRedis(t, ...more) {
  const dir = await folder(t);
  const words = ["--bind", "127.0.0.1", "--save", "", "--appendonly", "no", "--dir", dir, ...more];
  return started(
    t,
    "redis-server",
    (port) => ["--port", String(port), ...words],
    async (port) => {
      const answer = await command(port, "PING");
      if (answer !== "+PONG" && !answer.startsWith("-NOAUTH")) throw new Error(answer);
    },
  );
}

/** A server of the test's own, which is given each connection; its port. */
export async function startServer(t, onSocket) {
  const sockets = new Set();
  const server = net.createServer((socket) => {
    sockets.add(socket);
    onSocket(socket.on("error", () => {}));
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  cleanup(t, () => {
    server.close();
    for (const socket of sockets) socket.destroy();
  });
  return server.address().port;
}

/** A Webdis in front of the Redis server on `redisPort`. `settings` are further ones of its own. */
export async function startWebdis(t, redisPort, settings = {}) {
  const dir = await folder(t);
  const webdis = await started(
    t,
    "webdis",
    async (port) => {
      const config = {
        redis_host: "127.0.0.1",
        redis_port: redisPort,
        http_host: "127.0.0.1",
        http_port: port,
        threads: 2,
        daemonize: false,
        verbosity: 1,
        logfile: join(dir, "log"),
        ...settings,
      };
      const file = join(dir, `${port}.json`);
      await writeFile(file, JSON.stringify(config));
      return [file];
    },
    async (port) => {
      const response = await fetch(`http://127.0.0.1:${port}/PING.raw`);
      if (!response.ok && response.status !== 403) throw new Error(String(response.status));
    },
  );
  return { ...webdis, url: `http://127.0.0.1:${webdis.port}/` };
}

/**
 * A proxy in front of `target`, to lose things with.
 *
 * `cutAfter(bytes)`: the next connections end after the server has been sent so much. `mute`: what
 * the server says is lost. `hang`: nothing passes. `cut()`: all connections end now.
 */
export async function startProxy(t, target) {
  const pairs = new Set();
  const state = { mute: false, hang: false, hold: false, held: [], connections: 0 };
  const server = net.createServer((client) => {
    state.connections += 1;
    const upstream = net.connect(target, "127.0.0.1");
    const pair = [client, upstream];
    pairs.add(pair);
    const end = () => {
      pairs.delete(pair);
      client.destroy();
      upstream.destroy();
    };
    for (const socket of pair) socket.on("error", end).on("close", end);
    client.on("data", (data) => state.hang || upstream.write(data));
    upstream.on("data", (data) => {
      if (state.hold) state.held.push(() => client.write(data));
      else if (!state.hang && !state.mute) client.write(data);
    });
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const cut = () => {
    for (const pair of pairs) for (const socket of pair) socket.destroy();
  };
  cleanup(t, () => {
    server.close();
    cut();
  });
  return Object.assign(state, { port: server.address().port, cut });
}
