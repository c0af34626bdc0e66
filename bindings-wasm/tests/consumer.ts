// A program that uses all of the package: what its types say is checked by `tsc --strict`.

import {
  ComityError,
  connect,
  type Coordinator,
  type Counter,
  ErrorCode,
  type Event,
  http,
  type Lock,
  MemoryStore,
  PNCounter,
  Ring,
  tcp,
  type TcpOptions,
  type Transport,
  version,
  type Wait,
} from "comity";
import { Coordinator as Core } from "comity/core";
import { MemoryStore as TestStore } from "comity/testing";
import { load, loadStore, MemoryStore as SlimStore, type Source } from "comity/slim";

declare const transport: Transport;
declare const signal: AbortSignal;

export async function main(): Promise<void> {
  const text: string = version();
  const source: Source = await WebAssembly.compile(new Uint8Array());
  load(source);
  loadStore(new Uint8Array());
  await connect(new SlimStore());
  await using co: Coordinator = await connect(transport, { timeout: 1000, signal });
  await connect();
  const memory: MemoryStore = new MemoryStore();
  await connect(memory, { prefix: "app:" });
  await connect({ a: transport, b: http("http://localhost:7379", { dialect: "webdis" }) });
  await connect(new Map([["a", transport]]));
  await connect([transport]);
  const secure: TcpOptions = { tls: { ca: "" } };
  await connect({ a: "redis://localhost", b: new URL("valkey://localhost"), c: tcp("rediss://localhost", secure) });

  const fence: number = await co.withLock("x", { ttl: 10_000, signal }, (held) => held.fence);
  const nothing: void = await co.withLock("x", async (held: Lock) => held.check());
  await using lock: Lock = co.lock("x", { wait: 0, label: text, onLost: (lost) => lost.fence });
  const got: boolean = await lock.acquire({ wait: null, signal });
  if (got && !(await co.fenceCheck("x", fence))) lock.signal.throwIfAborted();
  const remaining: number | undefined = (await co.inspect("x")).holders[0]?.remaining;

  const replies: unknown[] = await co.transaction((tx) =>
    tx.incrBy("alice", -30).incrBy("bob", 30n).set("c", new Uint8Array(1), { EX: 5, NX: true }),
  );
  const durability: Wait = { replicas: 1, timeout: 500 };
  const durable = co.transaction({ durability }).incr("alice");
  await durable.execute();
  const copies: number | null = durable.replicas;
  const tx = co.transaction({ ack: "decided" });
  const seen = await tx.watch(["alice", "bob"]);
  const alice: string | null = await seen.get("alice");
  tx.check("bob", { exists: true }).get("alice").zAdd("z", { score: 1, value: "m" });
  await tx.execute({ signal });
  const binary = co.transaction({ bytes: true });
  const bytes: Uint8Array | null = await (await binary.watch("alice")).get("alice");
  const [one]: (string | null)[] = await co.snapshot(["alice"]);
  await co.runTransaction("alice", async (again, now) => {
    again.hSet("h", { field: (await now.hGetAll("h")).get("field") ?? 1 });
  });

  const counter: Counter = co.counter("hits", {
    durability: { kind: "journaled", write: async (journal) => void journal.length },
  });
  counter.add();
  counter.add(2n ** 60n);
  const value: bigint = counter.value();
  const { staleness } = await counter.read("fresh", { atLeast: 3, signal });
  const age: number | null = staleness;

  for await (const event of co.events({ buffer: 16 })) {
    const kind: Event["kind"] = event.kind;
    if (event.kind === "lockGranted") console.log(kind, event.fence, event.validUntil);
    if (event.kind === "transactionNotDurable") console.log(event.replicas, event.error.code);
  }

  const ring = new Ring(["a", { id: "b", weight: 2 }], { seed: 1n });
  const owner: string | Uint8Array | null = ring.withNode("c").node("user:7");
  const peer = new PNCounter();
  peer.merge(PNCounter.restore(peer.snapshot()).snapshot());

  const core = new Core({ nodes: ["a"], now: 0 });
  const id: number = core.lockAcquire("x", 1n, { ttlUs: 1_000_000 });
  core.handleReply(core.pollCommand()?.request ?? 0, new Map([["k", [1n, null]]]), 2);
  await new TestStore().advance(1000);

  try {
    await co.close();
  } catch (error) {
    if (error instanceof ComityError && error.code === ErrorCode.OutcomeUnknown) {
      await co.resolve(error.transactionId ?? "", { heuristic: "abort" });
    }
  }
  console.log(nothing, remaining, replies, copies, alice, bytes, one, value, age, owner, id);

  // What is no value for these is found before it runs.
  // @ts-expect-error a lock has no such option
  co.lock("x", { tll: 5 });
  // @ts-expect-error so many replicas are a number
  co.transaction({ durability: { replicas: "1" } });
  // @ts-expect-error an amount is a number
  counter.add("5");
  // @ts-expect-error a fence is a number
  await co.fenceCheck("x", "5");
  // @ts-expect-error `using` is for what can be disposed of
  await using wrong = 5;
  console.log(wrong);
}
