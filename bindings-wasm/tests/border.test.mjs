// The border of the core: every verb, input and output.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import {
  Coordinator,
  ErrorCode,
  ErrorReply,
  MemoryStore,
  PNCounter,
  version,
} from "comity/core";
import { throws } from "./support/refuses.mjs";
import { stage } from "./support/stage.mjs";

const bytes = (text) => new TextEncoder().encode(text);
const text = (value) => new TextDecoder().decode(value);
const words = (...all) => all.map(bytes);
const kinds = (events) => events.map((event) => event.kind);

test("a lock is granted, queued for, renewed, handed over and given back", () => {
  const it = stage();
  const { core } = it;
  const first = core.lockAcquire("x", it.now, { ttlUs: 5_000_000, label: "one" });
  const [granted] = it.run();
  assert.deepEqual([granted.kind, granted.lock], ["lockGranted", first]);
  assert.ok(granted.fence >= 1 && granted.validUntil > it.now);
  assert.ok(core.lockIsHeld(first, it.now));
  assert.equal(core.lockValidUntil(first), granted.validUntil);

  const second = core.lockAcquire(bytes("x"), BigInt(it.now), { waitUs: null });
  const [queued, ...more] = it.run();
  assert.deepEqual([queued.kind, queued.rank, text(queued.holder)], ["lockQueued", 0, "one"]);
  assert.deepEqual(kinds(more), ["pushReady"]);

  core.lockInspect("x", it.now);
  const [{ inspection }] = it.run();
  assert.deepEqual([inspection.holdersTotal, inspection.waitersTotal], [1, 1]);
  assert.deepEqual(inspection.holders.map((holder) => text(holder.label)), ["one"]);
  assert.equal(inspection.holders[0].fence, granted.fence);

  it.now += 1_000_000;
  core.lockRenew(first, it.now, { ttlUs: 9_000_000 });
  const [renewed] = it.run();
  assert.deepEqual([renewed.kind, renewed.accepted], ["lockRenewed", true]);
  assert.ok(renewed.validUntil > granted.validUntil);

  core.lockRelease(first, it.now);
  const handed = it.run();
  assert.ok(kinds(handed).includes("lockReleased"));
  const taken = handed.find((event) => event.kind === "lockGranted" && event.lock === second);
  assert.ok(taken.fence > granted.fence);
  assert.equal(core.lockValidUntil(first), null);

  const call = core.fenceCheck("ledger", granted.fence, it.now);
  assert.deepEqual(it.run(), [
    { kind: "fenceChecked", call, accepted: true, fence: granted.fence },
  ]);
  core.lockCancel(second, it.now);
  it.run();
  throws("NotHeld", /./, () => core.lockRelease(second, it.now));
});

test("a lease that is not renewed is lost", () => {
  const it = stage();
  const lock = it.core.lockAcquire("x", it.now, { ttlUs: 50_000, renew: false, waitUs: 0 });
  it.run();
  it.now += 60_000;
  it.core.handleTimeout(it.now);
  const [lost] = it.run();
  assert.deepEqual([lost.kind, lost.lock, lost.error.name], ["lockLost", lock, "LockLost"]);
  assert.equal(it.core.lockIsHeld(lock, it.now), false);
});

test("commands have a node, a deadline, an origin and words", () => {
  const it = stage({ push: false, timeoutUs: 2_000_000 });
  const lock = it.core.lockAcquire("x", it.now);
  const node = ["a", "b"].indexOf(it.core.ring.node("x"));
  assert.equal(it.core.pollCommandFor(1 - node), null);
  const command = it.core.pollCommandFor(node);
  assert.deepEqual([command.node, command.route, command.origin], [node, "node", lock]);
  assert.ok(command.deadline > it.now && it.core.nextDeadline() <= command.deadline + 1_000_000);
  assert.match(text(command.argv[0]), /^EVAL/);
  assert.equal(it.core.pollCommand(), null);
  it.core.handleFailure(command.request, "notSent", it.now);
  // Finished, unknown and repeated requests are ignored.
  it.core.handleFailure(command.request, "outcomeUnknown", it.now);
  it.core.handleReply(999_999, null, it.now);
  it.core.handleClockGap(it.now);
});

test("why a server cannot be reached is told, with its node", () => {
  const it = stage({ push: false });
  const node = ["a", "b"].indexOf(it.core.ring.node("x"));
  it.core.handleUnreachable(node, "certificate \ud800", true, it.now);
  const call = it.core.lockInspect("x", it.now);
  it.core.handleFailure(it.core.pollCommand().request, "notSent", it.now);
  const [down, event] = [it.core.pollEvent(), it.core.pollEvent()];
  assert.deepEqual([down.kind, down.node, down.waiting], ["nodeDown", node, 0]);
  assert.deepEqual([down.error.name, down.error.message], ["Unreachable", "certificate \ufffd"]);
  assert.deepEqual([event.kind, event.call, event.node], ["callFailed", call, node]);
  assert.deepEqual([event.error.name, event.error.node], ["Unreachable", node]);
  assert.equal(event.error.message, "the server could not be reached: certificate \ufffd");
});

test("a server that does not serve is told as such", () => {
  const it = stage();
  const calls = it.core.checkNodes(it.now);
  assert.equal(calls.length, 2);
  const first = it.core.pollCommand();
  it.core.handleReply(first.request, new ErrorReply("NOAUTH Authentication required."), it.now);
  const second = it.core.pollCommand();
  it.core.handleReply(second.request, it.answer(second), it.now);
  const events = it.run();
  const failed = events.find((event) => event.kind === "callFailed");
  assert.deepEqual([failed.call, failed.error.name], [calls[0], "ServerRefused"]);
  assert.match(failed.error.message, /NOAUTH/);
  const checked = events.find((event) => event.kind === "nodeChecked");
  assert.deepEqual([checked.call, checked.node], [calls[1], second.node]);
});

test("counters count what the core keeps and what the host keeps", () => {
  const it = stage();
  const { core } = it;
  const one = core.counterOpen("hits", it.now, { durability: "sync" });
  core.counterAdd(one, 5, it.now);
  core.counterAdd(one, -(2n ** 63n), it.now);
  throws("Overflow", /./, () => core.counterAdd(one, -(2n ** 63n), it.now));
  throws("InvalidArgument", /n must be.*-9223372036854775808\.\.9223372036854775807/, () =>
    core.counterAdd(one, 2n ** 63n, it.now),
  );
  assert.equal(core.counterValue(one, it.now).value, 5n - 2n ** 63n);
  const flush = core.counterFlush(one, it.now);
  assert.ok(it.run().some((event) => event.kind === "counterFlushed" && event.call === flush));

  const two = core.counterOpen("other", it.now, { collected: true, maxUnits: 10n });
  assert.equal(core.counterRoom(two), 10n);
  core.counterAdvance(two, 7n, 2, it.now);
  assert.equal(core.counterRoom(two), 1n);
  it.now += 20_000;
  core.handleTimeout(it.now);
  assert.equal(core.pollCounterDue(), two);
  assert.equal(core.pollCounterDue(), null);
  core.counterCollect(two, 8n, 2n, it.now);
  it.run();
  core.counterRead(two, it.now);
  const read = it.run().find((event) => event.kind === "counterRead");
  assert.deepEqual([read.counter, read.value.value, read.value.pending], [two, 6n, 0n]);
  core.counterRead(two, it.now, { atLeast: read.value.token });
  core.counterAudit(two, it.now, { pruneUs: 1_000_000n });
  core.counterReset(two, it.now, { epoch: 0 });
  const later = it.run();
  assert.equal(later.find((event) => event.kind === "counterReset").epoch, 1);
  const { audit } = later.find((event) => event.kind === "counterAudited");
  assert.deepEqual([audit.live, audit.corrected], [1, 0n]);

  const peer = new PNCounter();
  peer.add(3);
  core.counterMerge(two, peer.snapshot(), it.now);
  throws("Corrupt", /./, () => core.counterMerge(two, bytes("no"), it.now));
  assert.ok(core.counterSnapshot(two).length > 0);
  throws("InvalidState", /./, () => core.counterTakeUp(two, core.counterSnapshot(two), it.now));
  throws("InvalidState", /./, () => core.counterJournaled(two, it.now));
  core.counterClose(two, it.now);
  assert.ok(it.run().some((event) => event.kind === "counterClosed" && event.counter === two));
});

test("a journaled counter hands out what is to be written down", () => {
  const it = stage();
  const id = it.core.counterOpen("hits", it.now, { durability: "journaled", maxDelayUs: 0 });
  it.run();
  it.core.counterAdd(id, 5, it.now);
  it.core.handleTimeout(it.now);
  const journal = it.core.pollEvent();
  assert.deepEqual([journal.kind, journal.counter], ["counterJournal", id]);
  it.core.counterJournaled(id, it.now);
  const heir = stage();
  const again = heir.core.counterOpen("hits", heir.now, { restore: journal.bytes });
  assert.equal(heir.core.counterValue(again, heir.now).value, 5n);
});

test("transactions are applied or not, and can be asked about", () => {
  const it = stage();
  const { core } = it;
  const run = (commands, options) => {
    const transaction = core.transactionExecute(commands, it.now, options);
    return it.run().find((event) => event.transaction === transaction);
  };
  const done = run([words("INCRBY", "alice", "-30"), words("INCRBY", "bob", "30")]);
  assert.deepEqual([done.kind, done.applied, done.replies], ["transactionCommitted", true, [-30, 30]]);

  const met = run([words("GET", "bob")], {
    ack: "decided",
    timeoutUs: 1_000_000,
    patienceUs: 1_000_000,
    copyElements: 1,
    copyBytes: 1,
    expectations: [
      { key: "alice", value: "-30" },
      { key: "bob", exists: true },
      { key: bytes("carol"), exists: false },
      { read: words("GET", "bob"), reply: bytes("30") },
    ],
  });
  assert.equal(met.kind, "transactionCommitted", met.error?.message);
  assert.equal(text(met.replies[0]), "30");
  const unmet = run([words("GET", "bob")], { expectations: [{ key: "alice", value: "0" }] });
  assert.deepEqual([unmet.kind, unmet.error.name], ["transactionFailed", "Conflict"]);

  const status = core.transactionStatus(done.id, it.now);
  const [told] = it.run().filter((event) => event.call === status);
  assert.equal(told.kind, "transactionStatus");
  const resolve = core.transactionResolve(done.id, it.now, { heuristic: "abort" });
  const [resolved] = it.run().filter((event) => event.call === resolve);
  assert.equal(resolved.kind, "transactionResolved");
  // One of another session, of which nobody has heard.
  const unheard = "0".repeat(16) + done.id.slice(16);
  core.transactionStatus(unheard, it.now);
  core.transactionResolve(unheard, it.now);
  const outcomes = it.run().filter((event) => event.id === unheard).map((event) => event.outcome);
  assert.deepEqual(outcomes.sort(), ["aborted", "unheard"]);
  const sweep = core.transactionSweep(it.now);
  assert.ok(it.run().some((event) => event.kind === "transactionSwept" && event.call === sweep));

  const given = core.transactionExecute([words("GET", "bob")], it.now);
  core.transactionCancel(given, it.now);
  assert.ok(it.run().some((event) => event.transaction === given));
});

test("a transaction that replicas are to have is waited for on a connection of its own", () => {
  const it = stage();
  const { core } = it;
  const begin = (command, durability) => core.transactionExecute([command], it.now, { durability });
  const run = (replicas) => {
    const seen = [];
    const execute = it.answer;
    it.answer = (command) => {
      const reply = execute(command);
      if (command.route === "node") return reply;
      const [name, ...more] = command.argv.map(text);
      const { route, origin, node, deadline } = command;
      seen.push({ name, route, origin, node, span: deadline - it.now });
      if (name !== "WAIT") return reply;
      seen.push(more);
      return replicas;
    };
    const events = it.run();
    it.answer = execute;
    return { events, seen };
  };

  const first = begin(words("SET", "k", "1"), { replicas: 2, timeoutUs: 30_000n });
  const had = run(2);
  assert.deepEqual(kinds(had.events), ["transactionCommitted"]);
  const [{ replicas, applied, transaction }] = had.events;
  assert.deepEqual([transaction, applied, replicas], [first, true, 2]);
  const node = ["a", "b"].indexOf(core.ring.node("k"));
  // The question with its wait behind it, and both again, because the store lacks the script.
  const ask = { route: "blocking", origin: null, node, span: 2_030_000 };
  const waits = [{ ...ask, name: "WAIT" }, ["2", "30"]];
  assert.deepEqual(had.seen, [
    { ...ask, name: "EVALSHA" },
    ...waits,
    { ...ask, name: "EVAL" },
    ...waits,
  ]);

  const second = begin(words("SET", "k", "2"), { replicas: 3, timeoutUs: 10_000 });
  const { events } = run(1);
  assert.deepEqual(kinds(events), ["transactionNotDurable", "transactionCommitted"]);
  const [lacking, done] = events;
  assert.deepEqual([lacking.transaction, done.transaction], [second, second]);
  assert.deepEqual([lacking.id, lacking.node, lacking.replicas], [done.id, node, 1]);
  assert.deepEqual([lacking.error.name, done.replicas], ["NoAnswer", 1]);
  assert.match(lacking.error.message, /1 of 3 replicas/);
  assert.equal(core.stats().transactionNotDurable, 1);

  begin(words("GET", "k"), { replicas: 1, timeoutUs: 10_000 });
  const read = run(0);
  assert.deepEqual([read.events[0].replicas, read.seen], [null, []]);
  core.transactionExecute([words("SET", "k", "3")], it.now);
  assert.equal(run(0).events[0].replicas, null);

  for (const [durability, pattern] of [
    [{ replicas: 0, timeoutUs: 10_000 }, /0 replicas are outside 1 to 64/],
    [{ replicas: 65, timeoutUs: 10_000 }, /65 replicas are outside 1 to 64/],
    [{ replicas: 1, timeoutUs: 9_999 }, /durability.*10/],
    [{ replicas: 1, timeoutUs: 60_000_001 }, /durability.*60/],
    [{ replicas: 2 ** 32, timeoutUs: 10_000 }, /durability.replicas must be.*0\.\.4294967295/],
    [{ replicas: 1 }, /durability.timeoutUs must be a whole number/],
    [{ timeoutUs: 10_000 }, /durability.replicas must be a whole number/],
    [{ replicas: 1, timeout: 10_000 }, /durability has no option "timeout"/],
    [null, /durability must be an object/],
    [1, /durability must be an object/],
  ]) {
    throws("InvalidArgument", pattern, () => begin(words("SET", "k", "4"), durability));
  }
  throws("InvalidArgument", /ack/, () =>
    core.transactionExecute([words("SET", "k", "4")], it.now, {
      ack: "decided",
      durability: { replicas: 1, timeoutUs: 10_000 },
    }),
  );
  assert.equal(core.pollCommand(), null);
});

test("replies of every kind go in", () => {
  const it = stage({ push: false });
  const replies = [
    null, "OK", bytes("bulk"), Buffer.from("buffer"), 1, -1, 2n ** 62n, 2n ** 70n, 1.5, NaN,
    Infinity, -Infinity, true, [1, [bytes("nested"), null]], new Set([1]), new Map([["k", [2]]]),
    new ErrorReply("ERR no"),
  ];
  for (const reply of replies) {
    it.core.lockAcquire("x", it.now, { waitUs: 0 });
    const command = it.core.pollCommand();
    it.core.handleReply(command.request, reply, it.now);
  }
  for (const [reply, pattern] of [
    [undefined, /undefined is none/],
    [{}, /Object is none/],
    [[Symbol("s")], /symbol is none/],
    [Array.from({ length: 40 }).reduce((inner) => [inner], 1), /32 levels/],
  ]) {
    throws("InvalidArgument", pattern, () => it.core.handleReply(1, reply, it.now));
  }
});

test("replies come back as they went in", () => {
  const store = new MemoryStore();
  const run = (...argv) => store.execute(argv.map((each) => (typeof each === "string" ? bytes(each) : each)), 1);
  const all = Uint8Array.from({ length: 256 }, (_, byte) => byte);
  assert.equal(run("SET", "k", all), "OK");
  assert.deepEqual(Uint8Array.from(run("GET", "k")), all);
  assert.equal(run("GET", "none"), null);
  assert.equal(run("INCRBY", "n", "9223372036854775807"), 9223372036854775807n);
  assert.equal(run("DECRBY", "n", "9223372036854775806"), 1);
  assert.ok(run("LPUSH", "k", "v") instanceof ErrorReply);
  assert.deepEqual(run("MGET", "none", "n"), [null, Uint8Array.from(bytes("1"))]);
});

test("a coordinator that is closed or disposed of says so", () => {
  const it = stage();
  it.core.close(it.now);
  assert.deepEqual(kinds(it.run()), ["closed"]);
  throws("Closed", /./, () => it.core.lockAcquire("x", it.now));
  it.core.handleTimeout(it.now);
  it.core[Symbol.dispose]();
  it.core[Symbol.dispose]();
  throws("InvalidState", /disposed/, () => it.core.handleTimeout(it.now));
});

test("what is asked for people: stats, ids, the inbox", () => {
  const it = stage();
  it.core.lockAcquire("x", it.now);
  it.run();
  const stats = it.core.stats();
  assert.deepEqual([stats.lockAcquires, stats.lockGrants], [1, 1]);
  assert.equal(text(it.core.nodeId(1)), "b");
  assert.match(text(it.core.inbox()), /^comity:/);
});

test("the same seed leads to the same commands", () => {
  const argv = () => {
    const { core, now } = stage({ prefix: "p:" });
    core.lockAcquire("x", now);
    return core.pollCommand().argv.map(text);
  };
  assert.deepEqual(argv(), argv());
  assert.ok(argv().some((word) => word.startsWith("p:")));
});

test("peer counters merge to the same value in any order", () => {
  const [one, two] = [new PNCounter(), new PNCounter({ replica: new Uint8Array(16) })];
  one.add();
  one.addMany([5, -2n, 2n ** 60n]);
  two.add(-7);
  one.merge(two.snapshot());
  two.merge(one.snapshot());
  two.merge(one.snapshot());
  assert.equal(one.value(), 2n ** 60n - 3n);
  assert.equal(two.value(), one.value());
  throws("Overflow", /2\^53/, () => two.valueNumber());
  assert.deepEqual(two.slots().get("0".repeat(32)), { increments: 0n, decrements: 7n });
  assert.equal(two.replica.length, 16);
  for (const wrong of [0.5, NaN, "1", null, 2 ** 53]) {
    throws("InvalidArgument", /n must be a whole number/, () => one.add(wrong));
  }
  throws("Overflow", /2\^64/, () => one.add(2n ** 64n));
  two.add(2n ** 64n - 1n);
  throws("Overflow", /./, () => two.add(1));
  throws("Overflow", /./, () => one.addMany([2n ** 64n - 1n, 1]));
  throws("InvalidArgument", /amounts must be an iterable/, () => one.addMany(5));
  throws("Corrupt", /./, () => PNCounter.restore(new Uint8Array(4)));
  throws("InvalidArgument", /16 bytes, not 3/, () => new PNCounter({ replica: new Uint8Array(3) }));
});

test("the package has the version of the workspace", () => {
  const read = (file) => readFileSync(new URL(file, import.meta.url), "utf8");
  const ours = /\[workspace\.package\][^[]*?^version = "([^"]+)"/m;
  const [, workspace] = ours.exec(read("../../Cargo.toml"));
  assert.equal(JSON.parse(read("../package.json")).version, workspace);
  assert.equal(version(), workspace);
});

test("the table of errors is the core's", () => {
  const source = readFileSync(new URL("../../core/src/error.rs", import.meta.url), "utf8");
  const table = [...source.matchAll(/^    (\w+) = (\d+),$/gm)].map(([, name, code]) => [name, Number(code)]);
  assert.ok(table.length > 15);
  assert.deepEqual(Object.fromEntries(table), { ...ErrorCode });
});

test("every verb of the core is here", () => {
  const read = (file) => readFileSync(new URL(`../../core/src/${file}`, import.meta.url), "utf8");
  const camel = (name) => name.replace(/_(\w)/g, (_, letter) => letter.toUpperCase());
  const files = ["mod", "input", "locks", "output", "counters", "transaction_calls"];
  const verbs = files.flatMap((file) =>
    [...read(`coordinator/${file}.rs`).matchAll(/^    pub (?:const )?fn (\w+)\([\s&]*(?:mut )?self/gm)],
  );
  assert.ok(verbs.length > 45, String(verbs.length));
  // Opening takes `restore` as an option here.
  const elsewhere = new Set(["counter_restore"]);
  const missing = verbs
    .map(([, name]) => name)
    .filter((name) => !elsewhere.has(name) && !(camel(name) in Coordinator.prototype));
  assert.deepEqual(missing, []);
});
