import { type Bytes, octets } from "../bytes.js";
import { invalid, kindOf } from "../errors.js";
import { core } from "../instance/core.js";
import { Reader, writer } from "../pack.js";
import type { RawCoordinator } from "../raw/comity.js";
import { choice, flag, options as checked, wide, whole } from "../units.js";
import { writeReply } from "./codec.js";
import type { Command, Route } from "./command.js";
import { counterValue, type RawCounterValue } from "./event.js";
import { type Event, readEvent } from "./events.js";
import { Handle } from "./handle.js";
import type {
  CoordinatorOptions,
  RawCounterOptions,
  RawLockOptions,
  RawTransactionOptions,
  Whole,
} from "./options.js";
import type { Reply } from "./reply.js";
import { packedNodes, Ring, ringOf } from "./ring.js";
import { packedExpectations, packedWords } from "./words.js";

/** No answer: not a byte was written, or some may have been. */
export type Failure = "notSent" | "outcomeUnknown";
/** A connection came or went. */
export type NodeChange = "connected" | "lost" | "pushReady" | "pushLost";

const MAX_U32 = 2 ** 32 - 1;
const MAX_U64 = (1n << 64n) - 1n;
const MIN_I64 = -(1n << 63n);
const MAX_I64 = (1n << 63n) - 1n;
const CHANGES: readonly NodeChange[] = ["connected", "lost", "pushReady", "pushLost"];
const ROUTES: readonly Route[] = ["node", "subscribe", "blocking"];
const DURABILITIES = ["sync", "batched", "journaled"] as const;

/**
 * The core as it is: pure state machines, no I/O, for hosts that bring their own transport.
 *
 * Every call is legal at any time. Verbs return an id, or throw with the state unchanged; inputs
 * are never refused for what they mean. Unknown and finished ids are ignored. `now` is the host's
 * monotonic clock in microseconds; an earlier one than before counts as the same moment.
 */
export class Coordinator extends Handle<RawCoordinator> {
  /** Throws `InvalidArgument`, `LimitExceeded`. */
  constructor(options: CoordinatorOptions) {
    const known = ["nodes", "now", "entropy", "prefix", "timeoutUs", "push"];
    const given = checked("options", options, known);
    const entropy = given.entropy ?? crypto.getRandomValues(new Uint8Array(32));
    if (octets("entropy", entropy).length !== 32) {
      throw invalid(`entropy must be 32 bytes, not ${entropy.length}`);
    }
    const prefix = octets("prefix", given.prefix ?? "comity:");
    const timeout = whole("timeoutUs", given.timeoutUs ?? 5_000_000);
    const push = flag("push", given.push, true);
    const now = whole("now", given.now);
    const nodes = packedNodes(given.nodes ?? []);
    const owned = core.guarded(
      (raw) => new raw.RawCoordinator(nodes, prefix, timeout, push, entropy, now),
    );
    super(core, "coordinator", owned);
  }

  // Locks

  /** Queues for a lock. The id of the request. */
  lockAcquire(name: Bytes, now: Whole, options?: RawLockOptions): number {
    const known = ["ttlUs", "waitUs", "renew", "maxHoldUs", "label"];
    const given = checked("options", options, known);
    const bytes = octets("name", name);
    const ttl = whole("ttlUs", given.ttlUs ?? 30_000_000);
    const wait = some("waitUs", given.waitUs);
    const renew = flag("renew", given.renew, true);
    const hold = some("maxHoldUs", given.maxHoldUs);
    const label = octets("label", given.label ?? "");
    const time = whole("now", now);
    return this.call((raw) => raw.lock_acquire(bytes, ttl, wait, renew, hold, label, time));
  }

  /** Gives a lock back. Throws `LockLost` for a lease that has ended, or `NotHeld`. */
  lockRelease(lock: number, now: Whole): void {
    const [id, time] = [whole("lock", lock), whole("now", now)];
    this.call((raw) => raw.lock_release(id, time));
  }

  /** Ends a lock in any state, released if it is held; no event follows for it. */
  lockCancel(lock: number, now: Whole): void {
    const [id, time] = [whole("lock", lock), whole("now", now)];
    this.call((raw) => raw.lock_cancel(id, time));
  }

  /**
   * Renews a lease, for `ttlUs` or as it was; answered by `lockRenewed` or `lockLost`. Throws
   * `LockLost` for a lease that has ended, or `NotHeld`.
   */
  lockRenew(lock: number, now: Whole, options?: { ttlUs?: Whole }): void {
    const given = checked("options", options, ["ttlUs"]);
    const [id, ttl, time] = [whole("lock", lock), some("ttlUs", given.ttlUs), whole("now", now)];
    this.call((raw) => raw.lock_renew(id, ttl, time));
  }

  /** Whether the lease is certain to be valid at `now`. */
  lockIsHeld(lock: number, now: Whole): boolean {
    const [id, time] = [whole("lock", lock), whole("now", now)];
    return this.call((raw) => raw.lock_is_held(id, time));
  }

  /** When the lease ends unless it is renewed; null where there is none. */
  lockValidUntil(lock: number): number | null {
    const id = whole("lock", lock);
    return this.call((raw) => raw.lock_valid_until(id)) ?? null;
  }

  /** Asks who holds a lock and who waits. The id of the call. */
  lockInspect(name: Bytes, now: Whole): number {
    const [bytes, time] = [octets("name", name), whole("now", now)];
    return this.call((raw) => raw.lock_inspect(bytes, time));
  }

  /** Shows a fence to the guard of a resource. The id of the call. */
  fenceCheck(resource: Bytes, fence: Whole, now: Whole): number {
    const [bytes, time] = [octets("resource", resource), whole("now", now)];
    const token = whole("fence", fence, 1);
    return this.call((raw) => raw.fence_check(bytes, token, time));
  }

  /** Asks every node whether it can serve: the id of one call for each. */
  checkNodes(now: Whole): number[] {
    const time = whole("now", now);
    return Array.from(this.call((raw) => raw.check_nodes(time)));
  }

  // Counters

  /** Opens a counter. Its id. Throws `InvalidState` if it is open here already, `Corrupt`. */
  counterOpen(name: Bytes, now: Whole, options?: RawCounterOptions): number {
    const known = ["durability", "maxDelayUs", "maxUnits", "collected", "restore"];
    const given = checked("options", options, known);
    const bytes = octets("name", name);
    const kind = choice("durability", given.durability ?? "batched", DURABILITIES);
    const delay = whole("maxDelayUs", given.maxDelayUs ?? 10_000);
    const units = wide("maxUnits", given.maxUnits ?? MAX_U64);
    const collected = flag("collected", given.collected, false);
    const restore = given.restore === undefined ? null : octets("restore", given.restore);
    const [number, time] = [DURABILITIES.indexOf(kind), whole("now", now)];
    return this.call((raw) =>
      raw.counter_open(bytes, number, delay, units, collected, restore, time),
    );
  }

  /** Counts `n`, up or down, of 64 bits. Throws `Overflow`, `LimitExceeded`. */
  counterAdd(counter: number, n: number | bigint, now: Whole): void {
    const [id, time] = [whole("counter", counter), whole("now", now)];
    const by = wide("n", n, MIN_I64, MAX_I64);
    this.call((raw) => raw.counter_add(id, by, time));
  }

  /**
   * Tells what the host has counted in all, up and down, for a counter that is `collected`: when
   * something is counted and nothing was pending, when half of `maxUnits` were counted since the
   * last time, and before a flush, a read or a close.
   */
  counterAdvance(counter: number, up: number | bigint, down: number | bigint, now: Whole): void {
    const [id, time] = [whole("counter", counter), whole("now", now)];
    const [p, n] = [wide("up", up), wide("down", down)];
    this.call((raw) => raw.counter_advance(id, p, n, time));
  }

  /** A counter whose sums are asked for; to be called until null, before commands are polled. */
  pollCounterDue(): number | null {
    return this.call((raw) => raw.poll_counter_due()) ?? null;
  }

  /** The answer to `pollCounterDue`, as `counterAdvance` has it. */
  counterCollect(counter: number, up: number | bigint, down: number | bigint, now: Whole): void {
    const [id, time] = [whole("counter", counter), whole("now", now)];
    const [p, n] = [wide("up", up), wide("down", down)];
    this.call((raw) => raw.counter_collect(id, p, n, time));
  }

  /** How many units more may be counted; 2^64 - 1 where there is no bound. */
  counterRoom(counter: number): bigint {
    const id = whole("counter", counter);
    return this.call((raw) => raw.counter_room(id));
  }

  /** What it stands at as far as is known here. */
  counterValue(counter: number, now: Whole): RawCounterValue {
    const [id, time] = [whole("counter", counter), whole("now", now)];
    return counterValue(new Reader(this.call((raw) => raw.counter_value(id, time))));
  }

  /** Asks for a value as of now, or at least as of a token. The id of the call. */
  counterRead(counter: number, now: Whole, options?: { atLeast?: Whole }): number {
    const given = checked("options", options, ["atLeast"]);
    const [id, time] = [whole("counter", counter), whole("now", now)];
    const token = some("atLeast", given.atLeast);
    return this.call((raw) => raw.counter_read(id, token, time));
  }

  /** Flushes at once. The id of the call. */
  counterFlush(counter: number, now: Whole): number {
    const [id, time] = [whole("counter", counter), whole("now", now)];
    return this.call((raw) => raw.counter_flush(id, time));
  }

  /** Lets the value be zero; with `epoch` only after so many resets. The id of the call. */
  counterReset(counter: number, now: Whole, options?: { epoch?: Whole }): number {
    const given = checked("options", options, ["epoch"]);
    const [id, time] = [whole("counter", counter), whole("now", now)];
    const epoch = some("epoch", given.epoch);
    return this.call((raw) => raw.counter_reset(id, epoch, time));
  }

  /** Compares the totals with the slots, and retires who was silent for so long. The call's id. */
  counterAudit(counter: number, now: Whole, options?: { pruneUs?: Whole }): number {
    const given = checked("options", options, ["pruneUs"]);
    const [id, time] = [whole("counter", counter), whole("now", now)];
    const prune = some("pruneUs", given.pruneUs);
    return this.call((raw) => raw.counter_audit(id, prune, time));
  }

  /** What a later life has to restore. */
  counterSnapshot(counter: number): Uint8Array {
    const id = whole("counter", counter);
    return this.call((raw) => raw.counter_snapshot(id));
  }

  /** The bytes of the last `counterJournal` are written down. */
  counterJournaled(counter: number, now: Whole): void {
    const [id, time] = [whole("counter", counter), whole("now", now)];
    this.call((raw) => raw.counter_journaled(id, time));
  }

  /** Counts what a peer counter's replicas have counted. Throws `Corrupt`. */
  counterMerge(counter: number, snapshot: Uint8Array, now: Whole): void {
    const [id, time] = [whole("counter", counter), whole("now", now)];
    const bytes = octets("snapshot", snapshot);
    this.call((raw) => raw.counter_merge(id, bytes, time));
  }

  /** Restores into a counter that has just been opened. Throws `Corrupt`, `InvalidState`. */
  counterTakeUp(counter: number, snapshot: Uint8Array, now: Whole): void {
    const [id, time] = [whole("counter", counter), whole("now", now)];
    const bytes = octets("snapshot", snapshot);
    this.call((raw) => raw.counter_take_up(id, bytes, time));
  }

  /** Flushes and ends the slot; answered by `counterClosed`. */
  counterClose(counter: number, now: Whole): void {
    const [id, time] = [whole("counter", counter), whole("now", now)];
    this.call((raw) => raw.counter_close(id, time));
  }

  // Transactions

  /**
   * Executes all of the commands or none, if every expectation is met. The transaction's id here.
   *
   * Throws `Unsupported`, `InvalidArgument`, `LimitExceeded`.
   */
  transactionExecute(
    commands: readonly (readonly Uint8Array[])[],
    now: Whole,
    options?: RawTransactionOptions,
  ): number {
    const known = [
      "expectations",
      "ack",
      "timeoutUs",
      "patienceUs",
      "copyElements",
      "copyBytes",
      "durability",
    ];
    const given = checked("options", options, known);
    const decided = choice("ack", given.ack ?? "applied", ["applied", "decided"]) === "decided";
    const timeout = some("timeoutUs", given.timeoutUs);
    const patience = some("patienceUs", given.patienceUs);
    const elements = some("copyElements", given.copyElements, MAX_U32);
    const bytes = some("copyBytes", given.copyBytes, MAX_U32);
    const [replicas, wait] = waitOf(given.durability);
    const time = whole("now", now);
    // Of two runs in one memory the first has to be copied.
    const words = packedWords(commands).slice();
    const checks = packedExpectations(given.expectations ?? []);
    return this.call((raw) =>
      raw.transaction_execute(
        words,
        checks,
        decided,
        timeout,
        patience,
        elements,
        bytes,
        replicas,
        wait,
        time,
      ),
    );
  }

  /** Gives a transaction up, unless it is decided. Its end is told all the same. */
  transactionCancel(transaction: number, now: Whole): void {
    const [id, time] = [whole("transaction", transaction), whole("now", now)];
    this.call((raw) => raw.transaction_cancel(id, time));
  }

  /** Asks the primary of a transaction, by its id, what has become of it. The id of the call. */
  transactionStatus(id: Bytes, now: Whole): number {
    const [bytes, time] = [octets("id", id), whole("now", now)];
    return this.call((raw) => raw.transaction_status(bytes, time));
  }

  /**
   * Ends a transaction whose client does not. `heuristic`: what every node that has voted yes is
   * told where the primary does not answer. The id of the call.
   */
  transactionResolve(
    id: Bytes,
    now: Whole,
    options?: { heuristic?: "commit" | "abort" },
  ): number {
    const { heuristic } = checked("options", options, ["heuristic"]);
    const [bytes, time] = [octets("id", id), whole("now", now)];
    const commits =
      heuristic === undefined
        ? null
        : choice("heuristic", heuristic, ["commit", "abort"]) === "commit";
    return this.call((raw) => raw.transaction_resolve(bytes, commits, time));
  }

  /**
   * Removes what transactions have left over on every node. The id of the call.
   *
   * `shadows`: the whole key space is searched for those that an accident has left; true.
   */
  transactionSweep(now: Whole, options?: { shadows?: boolean }): number {
    const { shadows } = checked("options", options, ["shadows"]);
    const [search, time] = [flag("shadows", shadows, true), whole("now", now)];
    return this.call((raw) => raw.transaction_sweep(search, time));
  }

  // Inputs

  /** A reply arrived. Throws `InvalidArgument` for a value that is none. */
  handleReply(request: number, reply: Reply, now: Whole): void {
    const [id, time] = [whole("request", request), whole("now", now)];
    const out = writer.begin();
    writeReply(out, reply);
    const packed = out.end();
    this.call((raw) => raw.handle_reply(id, packed, time));
  }

  /** There will be no reply. */
  handleFailure(request: number, failure: Failure, now: Whole): void {
    const [id, time] = [whole("request", request), whole("now", now)];
    const sent = choice("failure", failure, ["notSent", "outcomeUnknown"]) === "outcomeUnknown";
    this.call((raw) => raw.handle_failure(id, sent, time));
  }

  /** A connection came or went. */
  handleNode(node: number, change: NodeChange, now: Whole): void {
    const [id, time] = [whole("node", node, 0, MAX_U32), whole("now", now)];
    const number = CHANGES.indexOf(choice("change", change, CHANGES));
    this.call((raw) => raw.handle_node(id, number, time));
  }

  /**
   * No connection can be made, and why: every `Unreachable` of the node then says so until it is
   * connected or answers; of a longer text the first 512 bytes. `lasting`: waiting does not help, so
   * what fails for it ends at once. To be told before the requests that fail for it.
   */
  handleUnreachable(node: number, reason: string, lasting: boolean, now: Whole): void {
    const [id, time] = [whole("node", node, 0, MAX_U32), whole("now", now)];
    if (typeof reason !== "string") throw invalid(`reason must be a string, not ${kindOf(reason)}`);
    const lasts = flag("lasting", lasting, false);
    this.call((raw) => raw.handle_unreachable(id, reason, lasts, time));
  }

  /**
   * The server refuses a connection with this error reply, in its set-up: what fails for it then as
   * "notSent" is a `ServerRefused` with its words, until the node is connected or answers. Whether waiting
   * helps is known here. To be told before the requests that fail for it.
   */
  handleRefused(node: number, text: string, now: Whole): void {
    const [id, time] = [whole("node", node, 0, MAX_U32), whole("now", now)];
    if (typeof text !== "string") throw invalid(`text must be a string, not ${kindOf(text)}`);
    this.call((raw) => raw.handle_refused(id, text, time));
  }

  /** A push arrived. */
  handleMessage(node: number, channel: Bytes, payload: Bytes, now: Whole): void {
    const [id, time] = [whole("node", node, 0, MAX_U32), whole("now", now)];
    const [where, what] = [octets("channel", channel), octets("payload", payload)];
    this.call((raw) => raw.handle_message(id, where, what, time));
  }

  /** The host slept, or its clock jumped. */
  handleClockGap(now: Whole): void {
    const time = whole("now", now);
    this.call((raw) => raw.handle_clock_gap(time));
  }

  /** The time. Early, late or twice is harmless. */
  handleTimeout(now: Whole): void {
    const time = whole("now", now);
    this.call((raw) => raw.handle_timeout(time));
  }

  // Outputs

  /**
   * The next command to send; null if there is none. What is too late to be sent is not given out,
   * which may be the end of what it was for: poll events after commands.
   */
  pollCommand(): Command | null {
    return command(this.call((raw) => raw.poll_command()));
  }

  /** The next command to send to one node; null if there is none. */
  pollCommandFor(node: number): Command | null {
    const id = whole("node", node, 0, MAX_U32);
    return command(this.call((raw) => raw.poll_command_for(id)));
  }

  /** The next event; null if there is none. */
  pollEvent(): Event | null {
    const packed = this.call((raw) => raw.poll_event());
    return packed === undefined ? null : readEvent(packed);
  }

  /** When to call `handleTimeout`; null while there is nothing to wait for. */
  nextDeadline(): number | null {
    return this.call((raw) => raw.next_deadline()) ?? null;
  }

  /** Counters since the start, by name. */
  stats(): Record<string, number> {
    const packed = this.call((raw) => raw.stats());
    const fields = new Reader(packed).each((each) => [camel(each.text()), each.number()] as const);
    return Object.fromEntries(fields);
  }

  /** Begins the end, answered by `closed`; every later verb throws `Closed`. */
  close(now: Whole): void {
    const time = whole("now", now);
    this.call((raw) => raw.close(time));
  }

  /** The ring of the nodes. */
  get ring(): Ring {
    return ringOf(this.call((raw) => raw.ring()));
  }

  /** The stable id of a node number. Throws `InvalidArgument` where there is none. */
  nodeId(node: number): Uint8Array {
    const number = whole("node", node, 0, MAX_U32);
    const id = this.call((raw) => raw.node_id(number));
    if (id === undefined) throw invalid(`node: there is no node ${number}`);
    return id;
  }

  /** The one channel that this coordinator subscribes to. */
  inbox(): Uint8Array {
    return this.call((raw) => raw.inbox());
  }
}

function some(name: string, value: Whole | null | undefined, high?: number): number | null {
  return value === undefined || value === null ? null : whole(name, value, 0, high);
}

/** How many replicas are waited for, which may be none, and how long. */
function waitOf(given: RawTransactionOptions["durability"]): [number | null, number] {
  if (given === undefined) return [null, 0];
  const { replicas, timeoutUs } = checked("durability", given, ["replicas", "timeoutUs"]);
  return [
    whole("durability.replicas", replicas, 0, MAX_U32),
    whole("durability.timeoutUs", timeoutUs),
  ];
}

function command(packed: Uint8Array | undefined): Command | null {
  if (packed === undefined) return null;
  const from = new Reader(packed);
  return {
    request: from.number(),
    node: from.number(),
    route: ROUTES[from.byte()] ?? "node",
    deadline: from.number(),
    origin: from.option((some) => some.number()),
    argv: from.each((each) => each.bytes()),
  };
}

/** `lock_grants` as JavaScript writes it. */
function camel(name: string): string {
  return name.replace(/_(\w)/g, (_, letter: string) => letter.toUpperCase());
}
