// connect(), events, the embedded store, and a process that ends by itself.

import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { connect, MemoryStore, NotSent, Refused } from "comity";
import { refuses, refusesNow } from "./support/refuses.mjs";

const here = fileURLToPath(new URL(".", import.meta.url));

test("clients and options that cannot serve are refused with the reason", async () => {
  const wrong = [
    [[5], "Unsupported", /does not know.*number/],
    [[{ nothing: 1 }], "Unsupported", /does not know.*number/],
    [[class {}], "Unsupported", /does not know/],
    [[[]], "InvalidArgument", /no clients/],
    [[{}], "InvalidArgument", /no clients/],
    [[new Map()], "InvalidArgument", /no clients/],
    [[[new MemoryStore()]], "Unsupported", /MemoryStore cannot be one of several/],
    [[null, { timeout: 9 }], "InvalidArgument", /timeout must be 10\.\.60000/],
    [[null, { prefix: "a{b}" }], "InvalidArgument", /prefix/],
    [[null, { prefix: 5 }], "InvalidArgument", /prefix must be/],
    [[null, { check: 1 }], "InvalidArgument", /check must be/],
    [[null, { retries: 1 }], "InvalidArgument", /no option "retries"/],
    [[null, { signal: AbortSignal.abort() }], "Aborted", /./],
  ];
  for (const [words, code, pattern] of wrong) await refuses(code, pattern, connect(...words));
});

/** A transport to a store, with a say in what becomes of each command. */
function transport(address, store, say = () => null) {
  const made = { connects: 0, sent: 0, closed: 0 };
  const link = () => {
    let over;
    const closed = new Promise((resolve) => (over = resolve));
    return {
      closed,
      close: () => over(),
      send: (batch) =>
        batch.map(async (command) => {
          made.sent += 1;
          return (await say(command, over)) ?? store.run(command.argv)[0];
        }),
    };
  };
  return {
    made,
    address,
    async connect() {
      made.connects += 1;
      return link();
    },
    close: () => (made.closed += 1),
  };
}

test("a transport of one's own is asked once for each command", async () => {
  const stores = [new MemoryStore(), new MemoryStore()];
  const [a, b] = stores.map((store, at) => transport(`host:${at}`, store));
  const co = await connect({ b, a }, { timeout: 1000 });
  assert.deepEqual(co.ring.nodes().map(({ id }) => id), ["a", "b"]);
  await co.withLock("x", () => {});
  const keys = ["alice", "bob", "carol", "dave"];
  await co.transaction((tx) => keys.forEach((key) => tx.set(key, 1)));
  for (const key of keys) {
    const store = stores[co.ring.node(key) === "a" ? 0 : 1];
    assert.equal(new TextDecoder().decode(store.execute("GET", key)), "1");
  }
  const { commands, replies } = co.stats();
  assert.equal(a.made.sent + b.made.sent, commands);
  assert.equal(replies, commands);
  assert.deepEqual([a.made.connects, b.made.connects], [1, 1]);
  await co.close();
  assert.deepEqual([a.made.closed, b.made.closed], [1, 1]);
});

test("failures are told for what they are", async () => {
  const store = new MemoryStore();
  const unreachable = { address: "gone:1", connect: () => Promise.reject(new Error("no route")) };
  const error = await refuses("Unreachable", /^gone:1: /, connect(unreachable, { timeout: 200 }));
  assert.equal(error.server, "gone:1");

  const refused = {
    address: "shut:1",
    connect: () => Promise.reject(new Refused("NOAUTH Authentication required.")),
  };
  await refuses("ServerRefused", /NOAUTH/, connect(refused, { timeout: 200 }));

  const silent = transport("silent:1", store, () => new Promise(() => {}));
  const before = performance.now();
  await refuses("NoAnswer", /^silent:1: /, connect(silent, { timeout: 200 }));
  assert.ok(performance.now() - before < 20_000);

  const slow = { address: "slow:1", connect: () => new Promise(() => {}) };
  await refuses("Unreachable", /./, connect(slow, { timeout: 200 }));

  let first = true;
  const flaky = transport("flaky:1", store, async (command, cut) => {
    if (!first) return null;
    first = false;
    throw new NotSent("not yet");
  });
  const co = await connect(flaky, { timeout: 2000 });
  assert.ok(co.stats().notSent >= 1);
  await co.close();
});

test("a connection that is cut or lets a deadline pass is made again", async () => {
  const store = new MemoryStore();
  let cuts = 0;
  const cut = transport("cut:1", store, async (command, over) => {
    cuts += 1;
    if (cuts % 5 !== 0) return null;
    // It is executed, and its answer lost.
    store.run(command.argv);
    over();
    return new Promise(() => {});
  });
  const co = await connect(cut, { timeout: 2000, check: false });
  const hits = co.counter("hits", { durability: "sync" });
  for (let n = 0; n < 50; n++) {
    hits.add(2);
    await hits.flush();
  }
  assert.equal((await hits.read()).value, 100n);
  assert.ok(cut.made.connects > 5 && co.stats().outcomeUnknown > 5);
  await co.close();
});

test("several clients: addresses that are twice, and that mean something else elsewhere", async () => {
  const make = (address) => transport(address, new MemoryStore());
  await refuses("InvalidArgument", /same address, h:1/, connect([make("h:1"), make("h:1")]));
  const warned = new Promise((resolve) => process.once("warning", resolve));
  const co = await connect([make("localhost:1"), make("h:2")]);
  assert.match((await warned).message, /localhost:1.*stable ids/);
  await co.close();
});

test("events can be watched, by a slow reader as well", async () => {
  const co = await connect();
  const events = co.events();
  const few = co.events({ buffer: 2 });
  await co.withLock("x", () => {});
  await co.transaction((tx) => tx.set("k", 1));
  const kinds = [];
  for await (const event of events) {
    kinds.push(event.kind);
    if (event.kind === "transactionCommitted") break;
  }
  assert.deepEqual(kinds, ["lockGranted", "lockReleased", "transactionCommitted"]);
  assert.equal(few.dropped, 1);
  const aborting = co.events({ signal: AbortSignal.timeout(20) });
  await refuses("Aborted", /./, aborting.next());
  await co.close();
  const rest = [];
  for await (const event of few) rest.push(event.kind);
  assert.equal(rest.at(-1), "closed");
  assert.deepEqual(await few.next(), { done: true, value: undefined });
  for (const buffer of [0, 1.5, "1", 2 ** 21]) {
    const open = await connect();
    await refusesNow("InvalidArgument", /buffer must be/, () => open.events({ buffer }));
    await open.close();
  }
});

test("the store executes commands of one's own", async () => {
  const store = new MemoryStore();
  const text = (value) => new TextDecoder().decode(value);
  assert.equal(text(store.execute("SET", "n", 3n, "EX", 60)), "OK");
  assert.equal(store.execute("INCRBY", "n", -1), 2);
  assert.deepEqual(store.execute("MGET", "none", "n").map((v) => v && text(v)), [null, "2"]);
  await refusesNow("WrongType", /^WRONGTYPE/, () => store.execute("LPUSH", "n", "x"));
  await refusesNow("ServerRefused", /./, () => store.execute("NOSUCH"));
  await refusesNow("InvalidArgument", /missing/, () => store.execute());
  await refusesNow("InvalidArgument", /word 1 must be/, () => store.execute("GET", null));
});

test("a process ends by itself unless something is held or awaited", () => {
  const run = (script) => {
    const words = ["--input-type=module", "-e", `import { connect } from "comity";\n${script}`];
    return spawnSync(process.execPath, words, { cwd: here, encoding: "utf8", timeout: 20_000 });
  };
  const idle = run(`
    const co = await connect();
    await co.withLock("x", () => {});
    co.counter("hits", { durability: { kind: "batched", maxDelay: 3600000 } }).add();
    console.log("done");`);
  assert.deepEqual([idle.stdout, idle.stderr, idle.status], ["done\n", "", 0]);
  const waits = run(`
    const co = await connect();
    await co.lock("x", { ttl: 300, renew: false }).acquire();
    await co.withLock("x", () => console.log("waited"));
    await co.close();`);
  assert.deepEqual([waits.stdout, waits.stderr, waits.status], ["waited\n", "", 0]);
});
