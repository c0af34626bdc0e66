// Servers by their addresses, with no client's library: TLS, credentials, sockets of the system, streams of
// the web, and what comes that is no reply.

import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { once } from "node:events";
import { readFile } from "node:fs/promises";
import net from "node:net";
import { join } from "node:path";
import { Duplex } from "node:stream";
import { test } from "node:test";
import { connect, tcp } from "comity";
import { cleanup } from "./support/cleanup.mjs";
import { refuses, throws } from "./support/refuses.mjs";
import { command, folder, freePort, startProxy, startRedis, startServer } from "./support/servers.mjs";

/** Longer than any test takes. */
const LONG = 60_000;
/** A timeout that is waited out, and in which a busy machine connects. */
const ENOUGH = 3_000;

/** A key and a certificate for `localhost` that is its own authority; the folder they are in. */
async function certificate(t) {
  const dir = await folder(t);
  const words = ["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1", "-subj", "/CN=localhost"];
  const names = ["-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"];
  execFileSync("openssl", [...words, ...names, "-keyout", join(dir, "key"), "-out", join(dir, "cert")], {
    stdio: "ignore",
  });
  return dir;
}

/** What every verb comes to: a lock that is waited for, a transaction, a counter. */
async function uses(address, options) {
  const [co, other] = [await connect(address, options), await connect(address, options)];
  const first = other.lock("job");
  await first.acquire();
  const order = [];
  const queued = co.events();
  const work = co.withLock("job", { ttl: 10_000 }, () => order.push("mine"));
  for await (const { kind } of queued) if (kind === "lockQueued") break;
  order.push("other's");
  await first.release();
  await work;
  assert.deepEqual(order, ["other's", "mine"]);
  await co.transaction((tx) => tx.incrBy("alice", -30).incrBy("bob", 30));
  const hits = co.counter("hits");
  hits.add(2);
  await hits.flush();
  const [alice, bob] = await co.snapshot(["alice", "bob"]);
  await Promise.all([co.close(), other.close()]);
  return [alice, bob].map((value) => Buffer.from(value).toString());
}

test("a URL is enough, with credentials, a database and a name", async (t) => {
  const { port } = await startRedis(t, "--requirepass", "p@ss");
  const address = `redis://:p%40ss@localhost:${port}/3?client_name=shop`;
  assert.deepEqual(await uses(address), ["-30", "30"]);
  assert.deepEqual(await uses(new URL(address)), ["-60", "60"]);
  assert.equal(tcp("redis://:p@[::1]:7/3").address, "[::1]:7");
  assert.equal(tcp("redis://[fe80::1%25eth0]:7").address, "[fe80::1%eth0]:7");
  assert.equal(tcp("valkey://shop").address, "shop:6379");
  const ring = [tcp(address), `redis://:p%40ss@127.0.0.1:${port}/4`];
  const co = await connect(ring, { check: false, logger: { info() {} } });
  assert.match(co.ring.node("x"), new RegExp(`^(?:localhost|127\\.0\\.0\\.1):${port}$`));
  await co.close();
});

test("credentials that are refused are so at once, and are not told", async (t) => {
  const { port } = await startRedis(t, "--requirepass", "right");
  for (const [address, words] of [
    [`redis://:wrong@localhost:${port}`, /WRONGPASS/],
    [`redis://nobody:wrong@localhost:${port}?protocol=3`, /WRONGPASS/],
    [`redis://localhost:${port}`, /NOAUTH/],
  ]) {
    const error = await refuses("ServerRefused", words, connect(address, { timeout: LONG }));
    assert.doesNotMatch(`${error.message} ${error.stack} ${String(error.cause)}`, /wrong@|nobody/);
  }
});

test("an empty password is one for a user, and none without", async (t) => {
  const words = "--user anybody on nopass ~* &* +@all --requirepass pw";
  const { port } = await startRedis(t, ...words.split(" "));
  assert.deepEqual(await uses(`redis://anybody:@localhost:${port}`), ["-30", "30"]);
  await refuses("ServerRefused", /NOAUTH/, connect(`redis://:@localhost:${port}`, { timeout: LONG }));
});

test("TLS, with a certificate that is trusted or not", async (t) => {
  const dir = await certificate(t);
  const port = await freePort();
  const files = ["--tls-cert-file", join(dir, "cert"), "--tls-key-file", join(dir, "key")];
  const more = ["--tls-ca-cert-file", join(dir, "cert"), "--tls-auth-clients", "no", "--requirepass", "pw"];
  await startRedis(t, "--tls-port", String(port), ...files, ...more);
  const ca = await readFile(join(dir, "cert"));
  const address = `rediss://:pw@localhost:${port}`;
  assert.deepEqual(await uses(tcp(address, { tls: { ca } })), ["-30", "30"]);
  const untrusted = await refuses("Unreachable", /self-signed|SELF_SIGNED/, connect(address, { timeout: LONG }));
  assert.match(String(untrusted.cause.code), /SELF_SIGNED/);
  const other = tcp(address, { tls: { ca, servername: "elsewhere" } });
  await refuses("Unreachable", /does not match certificate|ALTNAME/, connect(other, { timeout: LONG }));
});

test("a socket of the system", async (t) => {
  const dir = await folder(t);
  await startRedis(t, "--unixsocket", join(dir, "a b.sock"), "--requirepass", "pw");
  const address = `unix://:pw@${dir}/a%20b.sock?db=2`;
  assert.equal(tcp(address).address, join(dir, "a b.sock"));
  assert.deepEqual(await uses(address), ["-30", "30"]);
  await refuses("Unreachable", /ENOENT/, connect(`unix://${dir}/none.sock`, { timeout: LONG }));
});

test("each malformed part of a URL is named, and no password is told", async () => {
  for (const [address, words] of [
    ["localhost:6379", /begins with redis:\/\//],
    ["http://:secret@h", /begins with redis:\/\//],
    ["redis://:secret@h:0", /port/],
    ["redis://:secret@a b", /host/],
    ["redis://:secret@h/x", /database/],
    ["redis://:secret@h/1?db=2", /database/],
    ["redis://secret@h", /has no password/],
    ["redis://:secret%zz@h", /%/],
    ["redis://:secret@h?timeout=1", /db, client_name and protocol/],
    ["redis://:secret#@h", /#/],
    ["unix://:secret@", /socket/],
    ["unix://:secret@/a%00b", /zero byte/],
  ]) {
    const error = await refuses("InvalidArgument", words, connect(address));
    assert.doesNotMatch(error.message, /secret/);
    throws("InvalidArgument", words, () => tcp(address));
  }
  throws("InvalidArgument", /lone surrogate/, () => tcp("redis://:s\ud800@h"));
  throws("InvalidArgument", /url must be a string or a URL, not 7/, () => tcp(7));
  throws("InvalidArgument", /options.*port|port/, () => tcp("redis://h", { port: 7 }));
  throws("InvalidArgument", /tls is for rediss/, () => tcp("redis://h", { tls: {} }));
  throws("InvalidArgument", /tls must be an object of settings, not true/, () => tcp("rediss://h", { tls: true }));
  for (const name of ["host", "port", "path", "socket"]) {
    const words = new RegExp(`tls may have no ${name}: .* the URL says`);
    throws("InvalidArgument", words, () => tcp("rediss://h", { tls: { [name]: "elsewhere" } }));
    assert.equal(tcp("rediss://h", { tls: { [name]: undefined } }).address, "h:6379");
  }
  throws("InvalidArgument", /connect must be a function/, () => tcp("redis://h", { connect: {} }));
  await refuses("Unreachable", /ENOTFOUND/, connect("redis://no.such.host.invalid", { timeout: LONG }));
  await refuses("Unreachable", /ECONNREFUSED/, connect(`redis://127.0.0.1:${await freePort()}`, { timeout: ENOUGH }));
});

/** A server that answers whatever comes with these bytes, and with none by closing. */
async function stranger(t, bytes) {
  return startServer(t, (socket) =>
    socket.on("data", () => (bytes === "" ? socket.destroy() : socket.write(bytes))),
  );
}

test("what is no Redis is told with the reason, before a command has left", async (t) => {
  for (const login of ["", ":pw@"]) {
    for (const [bytes, words, timeout] of [
      ["HTTP/1.1 400 Bad Request\r\n", /no reply begins with 'H'/, LONG],
      ["+PONG\r\n+PONG\r\n", /a reply to nothing/, ENOUGH],
      ["\x15\x03\x01", /no reply begins with '\\x15'; a server that wants TLS/, LONG],
      ["", /a server that wants TLS/, ENOUGH],
    ]) {
      const address = `redis://${login}127.0.0.1:${await stranger(t, bytes)}`;
      await refuses("Unreachable", words, connect(address, { timeout }));
    }
  }
});

test("a stream that cannot be begun is told like any other", async () => {
  const wrong = tcp("rediss://127.0.0.1:1", { tls: { cert: "not a certificate" } });
  await refuses("Unreachable", /PEM|certificate/i, connect(wrong, { timeout: ENOUGH }));
  const dial = () => {
    throw new Error("no streams today");
  };
  await refuses("Unreachable", /no streams today/, connect(tcp("redis://h", { connect: dial }), { timeout: ENOUGH }));
});

test("who may not ask whether the server is there is let in all the same", async (t) => {
  const redis = await startRedis(t);
  await command(redis.port, "ACL", "SETUSER", "default", "-ping");
  assert.deepEqual(await uses(`redis://127.0.0.1:${redis.port}`), ["-30", "30"]);
});

/** A server that answers the first command as Redis does, and the next with these bytes. */
async function imitation(t, bytes) {
  return startServer(t, (socket) =>
    socket.once("data", () => {
      socket.write("+PONG\r\n");
      socket.once("data", () => socket.write(bytes));
    }),
  );
}

test("what is no reply ends the connection, and what was asked is unknown", async (t) => {
  for (const [bytes, words] of [
    ["?no\r\n", /no reply begins with '\?'/],
    ["$99999999999\r\n", /a string of 99999999999 bytes/],
    [`${"*1\r\n".repeat(40)}:1\r\n`, /deep/],
    [":12x\r\n", /a number/],
    ["$1\r\nxyz", /does not end where its length says/],
    ["+PONG\r\n+PONG\r\n", /a reply to nothing/],
  ]) {
    const link = await tcp(`redis://127.0.0.1:${await imitation(t, bytes)}`).connect(new AbortController().signal);
    const asked = link.send([{ argv: [Buffer.from("GET"), Buffer.from("x")] }]);
    const ended = await Promise.all([...asked, link.closed]).then(
      ([reply]) => String(reply),
      (error) => error.message,
    );
    // The first of two answers is one.
    assert.match(bytes.startsWith("+") ? "a reply to nothing" : ended, words);
    await link.closed;
    const [unsent] = await Promise.allSettled(link.send([{ argv: [Buffer.from("PING")] }]));
    assert.equal(unsent.reason.name, "NotSent");
  }
});

test("replies come in pieces of one byte, and a long one in linear time", async (t) => {
  const { port } = await startRedis(t);
  const pieces = net.createServer((socket) => {
    const server = net.connect(port, "127.0.0.1");
    socket.on("error", () => {}).on("close", () => server.destroy());
    server.on("error", () => {}).on("data", async (data) => {
      for (const byte of data) socket.write(Uint8Array.of(byte));
    });
    socket.setNoDelay().on("data", (data) => server.write(data));
  });
  pieces.listen(0, "127.0.0.1");
  await once(pieces, "listening");
  cleanup(t, () => pieces.close());
  assert.deepEqual(await uses(`redis://127.0.0.1:${pieces.address().port}`), ["-30", "30"]);

  const link = await tcp(`redis://127.0.0.1:${port}`).connect(new AbortController().signal);
  cleanup(t, () => link.close());
  const long = Buffer.alloc(32 << 20, "x");
  const [, got] = await Promise.all(
    link.send([
      { argv: [Buffer.from("SET"), Buffer.from("long"), long] },
      { argv: [Buffer.from("GET"), Buffer.from("long")] },
    ]),
  );
  assert.equal(Buffer.compare(Buffer.from(got), long), 0);
});

test("streams of the web serve as well", async (t) => {
  const { port } = await startRedis(t, "--requirepass", "pw");
  const asked = [];
  const dial = (address, options) => {
    asked.push([address, options.secureTransport]);
    const socket = net.connect(address.port, address.hostname);
    const { readable, writable } = Duplex.toWeb(socket);
    return { readable, writable, opened: once(socket, "connect"), close: async () => void socket.destroy() };
  };
  assert.deepEqual(await uses(tcp(`redis://:pw@127.0.0.1:${port}`, { connect: dial })), ["-30", "30"]);
  assert.deepEqual(asked[0], [{ hostname: "127.0.0.1", port }, "off"]);
  const nowhere = tcp(`redis://127.0.0.1:${await freePort()}`, { connect: dial });
  await refuses("Unreachable", /ECONNREFUSED/, connect(nowhere, { timeout: ENOUGH }));
  throws("InvalidArgument", /tls is for Node's sockets/, () => tcp("rediss://h", { tls: {}, connect: dial }));
});

test("connections that are cut are made anew, and a server that is gone is told", async (t) => {
  const redis = await startRedis(t);
  const proxy = await startProxy(t, redis.port);
  const co = await connect(`redis://127.0.0.1:${proxy.port}`, { timeout: 3_000 });
  cleanup(t, () => co.close());
  for (let round = 0; round < 5; round++) {
    await co.transaction((tx) => tx.incrBy("rounds", 1));
    proxy.cut();
  }
  assert.equal(Number((await co.snapshot(["rounds"]))[0]), 5);
  await redis.stop();
  const lock = co.lock("x").acquire({ wait: 100 });
  const { name } = await lock.catch((error) => error);
  assert.ok(["Unreachable", "NoAnswer"].includes(name), name);
});

test("nothing of it keeps a process alive", { timeout: LONG }, async (t) => {
  const { port } = await startRedis(t);
  const program =
    'import { connect } from "comity";' +
    `const co = await connect("redis://127.0.0.1:${port}"); await co.transaction((tx) => tx.set("k", 1)); console.log("end");`;
  const words = ["--input-type=module", "--eval", program];
  const output = execFileSync(process.execPath, words, { cwd: new URL("..", import.meta.url) });
  assert.equal(output.toString(), "end\n");
  assert.equal(await command(port, "EXISTS", "k"), ":1");
});
