// What is at an address may be no Redis, speak TLS or not, or lack the database: that is said, with the
// client's own error where it has one, and at once where waiting does not help.

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import net from "node:net";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { ComityError, connect, Ring, tcp } from "comity";
import { Redis } from "ioredis";
import { createClient } from "redis";
import { cleanup } from "./support/cleanup.mjs";
import { refuses, throws } from "./support/refuses.mjs";
import { command, startRedis, startServer } from "./support/servers.mjs";

/** Longer than any test takes. */
const LONG = 60_000;

const CLIENTS = {
  ioredis: ({ port, tls, db }) =>
    new Redis({ host: "127.0.0.1", port, db, lazyConnect: true, ...(tls && { tls: {} }) }),
  "node-redis": ({ port, tls, db }) =>
    createClient({ socket: { host: "127.0.0.1", port, ...(tls && { tls }) }, database: db }),
  tcp: ({ port, tls, db }) => tcp(`redis${tls ? "s" : ""}://127.0.0.1:${port}/${db ?? ""}`),
};

/** A server that does this with the first bytes of each connection. */
async function imitation(t, onFirst) {
  return startServer(t, (socket) => socket.once("data", () => onFirst(socket)));
}

/** A server that answers every command with these words of an error. */
async function refusing(t, words) {
  return startServer(t, (socket) =>
    socket.on("data", (bytes) => {
      const commands = bytes.toString("latin1").match(/^\*\d+\r$/gm) ?? [];
      socket.write(`-${words}\r\n`.repeat(commands.length));
    }),
  );
}

/** How `connect` fails, and the client's own error. */
async function unreachable(pattern, client, timeout) {
  const error = await refuses("Unreachable", pattern, connect({ one: client }, { timeout }));
  assert.deepEqual([error.server, error.node], ["one", 0]);
  assert.ok(error.cause instanceof Error && !(error.cause instanceof ComityError), String(error.cause));
  return error.cause;
}

for (const [kind, make] of Object.entries(CLIENTS)) {
  test(`${kind}: what speaks no TLS is told so`, async (t) => {
    const { port } = await startRedis(t);
    await unreachable(/silent|does not speak TLS/, make({ port, tls: true }), 500);
    const talking = await imitation(t, (socket) => socket.write("HTTP/1.1 400 Bad Request\r\n\r\n"));
    const cause = await unreachable(
      /reached: wrong version number \(ERR_SSL_WRONG_VERSION_NUMBER\); the server does not speak TLS$/,
      make({ port: talking, tls: true }),
      LONG,
    );
    assert.equal(cause.code, "ERR_SSL_WRONG_VERSION_NUMBER");
  });

  test(`${kind}: what wants TLS is told so`, async (t) => {
    const resets = await imitation(t, (socket) => socket.resetAndDestroy());
    const cause = await unreachable(/ECONNRESET.*wants TLS/, make({ port: resets }), 300);
    assert.equal(cause.code, "ECONNRESET");
    const ends = await imitation(t, (socket) => socket.end());
    await unreachable(/closed.*wants TLS/, make({ port: ends }), 300);
    const alerts = await imitation(t, (socket) => socket.end(Buffer.from([21, 3, 3, 0, 2, 2, 70])));
    await unreachable(/wants TLS/, make({ port: alerts }), LONG);
  });

  test(`${kind}: what is no Redis is told so at once`, async (t) => {
    const answers = ["HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain\r\n\r\nno", "SSH-2.0-OpenSSH_9.6\r\n"];
    for (const answer of answers) {
      const port = await imitation(t, (socket) => socket.write(answer));
      const cause = await unreachable(/[Pp]rotocol error|Unknown RESP type/, make({ port }), LONG);
      assert.match(cause.message, new RegExp(`["']${answer[0]}["']`));
    }
  });

  test(`${kind}: a server that answers nothing is told apart from one that is not there`, async (t) => {
    const port = await imitation(t, () => {});
    await unreachable(/there is a connection, but nothing was answered in time/, make({ port }), 300);
  });

  test(`${kind}: what a server says is told in few printable words`, async (t) => {
    for (const [words, told] of [
      ["", "an error without words"],
      [`ODD ${"x".repeat(60_000)}`, `ODD ${"x".repeat(252)}\u2026`],
      ["ODD \x1b[2J\0\ta", "ODD \\u{1b}[2J\\u{0}\\ta"],
    ]) {
      const port = await refusing(t, words);
      const error = await refuses("ServerRefused", /^one: /, connect({ one: make({ port }) }, { timeout: 10_000 }));
      assert.equal(error.message, `one: ${told}`);
    }
  });

  test(`${kind}: a database that the server does not have is refused`, async (t) => {
    const { port } = await startRedis(t, "--databases", "4");
    const error = await refuses("ServerRefused", /^one: .*DB index is out of range/, connect({ one: make({ port, db: 9 }) }));
    assert.equal(error.server, "one");
    const co = await connect(make({ port, db: 9 }), { check: false, timeout: LONG });
    await refuses("ServerRefused", /DB index is out of range/, co.lock("x").acquire());
    await refuses("ServerRefused", /DB index is out of range/, co.transaction((tx) => tx.set("k", 1)));
    await co.close();
    assert.equal(await command(port, "DBSIZE"), ":0");
    const served = await connect(make({ port, db: 3 }));
    await served.transaction((tx) => tx.set("k", 1));
    await served.close();
    assert.match(await command(port, "INFO", "keyspace"), /^\$/);
    assert.equal(await command(port, "EXISTS", "k"), ":0");
  });
}

for (const [kind, make] of Object.entries(CLIENTS)) {
  test(`${kind}: a server that has too many clients by now is waited for`, async (t) => {
    const { port } = await startRedis(t);
    assert.equal(await command(port, "CONFIG", "SET", "maxclients", "1"), "+OK");
    const other = net.connect(port, "127.0.0.1");
    cleanup(t, () => other.destroy());
    other.write("PING\r\n");
    await once(other, "data");
    const waiting = connect({ one: make({ port }) }, { timeout: LONG });
    other.destroy();
    await (await waiting).close();
  });
}

for (const kind of ["ioredis", "tcp"]) {
  test(`${kind}: whoever may not PING is served all the same`, async (t) => {
    const { port } = await startRedis(t);
    assert.equal(await command(port, "ACL", "SETUSER", "default", "-ping"), "+OK");
    const co = await connect(CLIENTS[kind]({ port }), { check: false });
    await co.lock("x").acquire();
    await co.close();
  });
}

/** What a program prints until it ends by itself. */
async function run(t, program) {
  const cwd = fileURLToPath(new URL("..", import.meta.url));
  const child = spawn(process.execPath, ["--input-type=module", "--eval", program], { cwd });
  cleanup(t, () => child.kill("SIGKILL"));
  let output = "";
  for (const stream of [child.stdout, child.stderr]) stream.on("data", (text) => (output += text));
  const [code] = await once(child, "exit");
  return [code, output.trim()];
}

test("a lease that nobody else can see keeps no process alive, and who waits does", { timeout: LONG }, async (t) => {
  const held = 'import { connect } from "comity"; const co = await connect(); await co.lock("x").acquire();';
  assert.deepEqual(await run(t, `${held} console.log("end");`), [0, "end"]);
  const short = 'await co.lock("y", { ttl: 300, renew: false }).acquire();';
  const waits = `${held} ${short} await co.lock("y").acquire(); console.log("served");`;
  assert.deepEqual(await run(t, waits), [0, "served"]);
});

test("one id is no ring", () => {
  throws("InvalidArgument", /a string is one id, not several: give an array of ids/, () => new Ring("abc"));
  throws("InvalidArgument", /a Uint8Array is one id/, () => new Ring(new Uint8Array(3)));
  throws("InvalidArgument", /nodes must be an array, not Set/, () => new Ring(new Set(["a"])));
});
