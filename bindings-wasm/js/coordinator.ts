/** What `connect()` returns. */

import { type Bytes, octets, textOrBytes, type Word, word } from "./bytes.js";
import { setTimeout } from "./clock.js";
import { Counter, type CounterOptions, counterName, keptAs } from "./counter.js";
import type { Outcome } from "./core/events.js";
import type { Ring } from "./core/ring.js";
import { asyncDispose } from "./dispose.js";
import { onceDropped } from "./dropped.js";
import type { Driver } from "./driver/driver.js";
import { ComityError, ErrorCode, invalid, kindOf } from "./errors.js";
import { Events, type EventsOptions } from "./events.js";
import { type Inspection, inspectionOf } from "./inspection.js";
import { Journals } from "./journal.js";
import { type AcquireOptions, Lock, type LockOptions, type Waiting } from "./lock.js";
import { ownLabel } from "./log.js";
import { Operation } from "./operation.js";
import type { Session } from "./session.js";
import { Executor } from "./transaction/executor.js";
import { type Keys, listed } from "./transaction/reads.js";
import {
  type BytesOption,
  type Settings,
  settings,
  type TransactionOptions,
} from "./transaction/request.js";
import { one } from "./transaction/replies.js";
import type { Returned } from "./transaction/replied.js";
import { repliesOf, Transaction, type Watched } from "./transaction/transaction.js";
import { choice, flag, options as checked, whole } from "./units.js";
import type { Signal } from "./platform.js";
import { type Asked, show, shownAs } from "./show.js";

/** How a lock is held while a function runs. */
export type HoldOptions = LockOptions & Waiting;

/** How a transaction is repeated. */
export interface RunOptions extends TransactionOptions, Waiting {
  /** How often it is tried, 1 to 1,000; 16. */
  attempts?: number | undefined;
}

/** An operator's decision about a transaction whose server is gone for good. */
export interface ResolveOptions extends Waiting {
  heuristic?: "commit" | "abort" | undefined;
}

/** What a sweep looks for. */
export interface SweepOptions extends Waiting {
  /**
   * Also prepared values that an accident has left beside the keys; true. Only a search of each
   * server's whole key space finds them, a thousand keys in each round trip.
   */
  shadows?: boolean | undefined;
}

const MAX_ATTEMPTS = 1000;

/**
 * Locks, counters, transactions and the ring, over the servers it was connected to.
 *
 * Made by `connect`. It ends with `close()` or its `await using` scope. One that is dropped unclosed is
 * closed some time after nothing leads to it, its locks, transactions, readers of events and open
 * counters any more, with a warning; a process that ends before that releases nothing, and its leases
 * run out.
 */
export class Coordinator {
  readonly #session: Session;
  readonly #end: () => Promise<void>;
  /** Whoever has this needs the coordinator. */
  readonly #keeper = {};
  readonly #journals: Journals;
  readonly #counters = new Map<string, { counter: Counter; kept: string }>();
  readonly #label = octets("label", ownLabel());
  readonly #executor: Executor;
  readonly #allowEviction: boolean;
  #closing: Promise<void> | null = null;

  /** Not for users: see `connect`. `timeout` is in milliseconds. */
  constructor(session: Session, driver: Driver, timeout: number, allowEviction: boolean) {
    this.#session = session;
    this.#allowEviction = allowEviction;
    this.#journals = new Journals(session);
    this.#executor = new Executor(session, driver);
    session.onDeath = () => driver.stop();
    this.#end = ending(session, driver, this.#journals, timeout);
    onceDropped(this.#keeper, dropping(session, this.#end));
  }

  /** Which server each key belongs to. */
  get ring(): Ring {
    return this.#session.ring;
  }

  /** Whether it was closed. */
  get closed(): boolean {
    return this.#session.closed;
  }

  // Locks

  /**
   * A handle on the lock `name`, 1 to 512 bytes; nothing is sent before it is acquired.
   *
   * Throws `InvalidArgument` or `LimitExceeded`, naming the value and its range.
   */
  lock(name: Bytes, options?: LockOptions): Lock {
    return new Lock(this.#session, this.#keeper, name, options, this.#label);
  }

  /**
   * Holds the lock `name` while `fn` runs, and gives what it returns.
   *
   * `fn` is given the handle: its `fence` for the resource, its `signal`, which aborts when the lease
   * is lost. `options.signal` gives up waiting. Throws `LockTimeout` if `wait` is over before, what
   * `fn` throws, and `LockLost` if the lease ended before `fn` did.
   */
  withLock<T>(name: Bytes, fn: (held: Lock) => T | Promise<T>): Promise<T>;
  withLock<T>(name: Bytes, options: HoldOptions, fn: (held: Lock) => T | Promise<T>): Promise<T>;
  async withLock<T>(
    name: Bytes,
    first: HoldOptions | ((held: Lock) => T | Promise<T>),
    second?: (held: Lock) => T | Promise<T>,
  ): Promise<T> {
    const [given, fn] = typeof first === "function" ? [{}, first] : [first, second];
    if (typeof fn !== "function") throw invalid(`fn must be a function, not ${kindOf(fn)}`);
    const { signal, ...options } = given as HoldOptions;
    const held = this.lock(name, options);
    await held.take(signalOf(signal));
    let result: T;
    try {
      result = await fn(held);
    } catch (error) {
      // What the body threw matters more than what its release says.
      await held[asyncDispose]().catch(() => undefined);
      throw error;
    }
    await held[asyncDispose]();
    return result;
  }

  /** Who holds the lock `name` and who waits for it, as its server sees it now. */
  async inspect(name: Bytes, options?: Waiting): Promise<Inspection> {
    const bytes = octets("name", name);
    const { signal } = checked("options", options, ["signal"]);
    const event = await this.#session.ask("lockInspected", signal, (core, now) =>
      core.lockInspect(bytes, now),
      name,
    );
    return inspectionOf(event.inspection);
  }

  /**
   * The guard of a resource that cannot remember fences itself.
   *
   * True if `fence` is at least the highest that was ever shown for `resource`; false if a later
   * holder has already been here, and this one must do nothing.
   */
  async fenceCheck(resource: Bytes, fence: number, options?: Waiting): Promise<boolean> {
    const [bytes, token] = [octets("resource", resource), whole("fence", fence, 1)];
    const { signal } = checked("options", options, ["signal"]);
    const event = await this.#session.ask("fenceChecked", signal, (core, now) =>
      core.fenceCheck(bytes, token, now),
    );
    return event.accepted;
  }

  // Counters

  /**
   * The counter `name`, 1 to 512 bytes: counts each unit once, at memory speed. Nothing is sent at
   * once.
   *
   * One that is open in this coordinator is that very one; it stays open until `Counter.close` or
   * the coordinator's end. Throws `InvalidArgument`, `LimitExceeded`, `Corrupt`, and `InvalidState`
   * for one that is open with another durability.
   */
  counter(name: Bytes, options?: CounterOptions): Counter {
    const { durability, restore } = checked("options", options, ["durability", "restore"]);
    const key = counterName(name);
    const kept = keptAs(durability === undefined ? "batched" : durability);
    const bytes = restore === undefined ? null : octets("restore", restore);
    this.#session.requireOpen();
    const place = String(textOrBytes(key));
    const known = this.#counters.get(place);
    const how = `${kept.durability} ${kept.maxDelayUs} ${kept.maxUnits}`;
    if (known !== undefined && this.#session.cells.has(known.counter.id) && !known.counter.closed) {
      if ((durability !== undefined && known.kept !== how) || bytes !== null) {
        const message =
          "the counter is open already: its durability is what it was opened with, and nothing " +
          "can be restored into it but by restore()";
        throw new ComityError(ErrorCode.InvalidState, message);
      }
      return known.counter;
    }
    const from = bytes === null ? {} : { restore: bytes };
    const id = this.#session.call((core, now) =>
      core.counterOpen(key, now, { ...kept, ...from, collected: true }),
    );
    const counter = new Counter(this.#session, this.#keeper, this.#journals, id, name, kept.maxUnits);
    this.#session.cells.set(id, counter);
    this.#counters.set(place, { counter, kept: how });
    if (typeof durability === "object" && durability.kind === "journaled") {
      this.#journals.register(id, (journal) => durability.write(journal));
    }
    return counter;
  }

  // Transactions

  /**
   * An empty transaction; nothing is sent before it is executed. With `fn`, the transaction that it
   * makes is executed when it is done: all or nothing of it is applied, and the replies come back in
   * the order of its commands.
   *
   *     await co.transaction((tx) => tx.incrBy("alice", -30).incrBy("bob", 30));
   *
   * The replies have the types of the chain of commands that `fn` returns; `R` is for who wants others:
   * `co.transaction<[number, number]>(...)`.
   *
   * Throws `InvalidArgument`, naming the value and its range; with `fn` as `Transaction.execute`.
   */
  transaction(options: BytesOption): Transaction<Uint8Array>;
  transaction(options?: TransactionOptions): Transaction;
  transaction<X>(
    fn: (tx: Transaction<Uint8Array>) => X,
    options: BytesOption & Waiting,
  ): Promise<Returned<X>>;
  transaction<X>(
    fn: (tx: Transaction) => X,
    options?: TransactionOptions & Waiting,
  ): Promise<Returned<X>>;
  transaction<R extends readonly unknown[]>(
    fn: (tx: Transaction) => unknown,
    options?: TransactionOptions & Waiting,
  ): Promise<R>;
  transaction(
    first?: TransactionOptions | ((tx: never) => unknown),
    second?: TransactionOptions & Waiting,
  ): Transaction | Transaction<Uint8Array> | Promise<readonly unknown[]> {
    if (typeof first !== "function") return this.#begin(settings(first));
    return this.#once(first, second);
  }

  /**
   * Watches `keys`, which may be none, calls `fn(tx, seen)` and executes; again after a conflict.
   *
   *     await co.runTransaction(["alice", "bob"], async (tx, seen) => {
   *       const all = Number(await seen.get("alice"));
   *       tx.set("alice", 0).incrBy("bob", all);
   *     });
   *
   * The replies of the transaction, with types as `transaction` has them. After `attempts` the last `Conflict` is thrown; any other
   * failure at once.
   */
  runTransaction<X>(
    keys: Keys,
    fn: (tx: Transaction<Uint8Array>, seen: Watched<Uint8Array>) => X,
    options: BytesOption & RunOptions,
  ): Promise<Returned<X>>;
  runTransaction<X>(
    keys: Keys,
    fn: (tx: Transaction, seen: Watched) => X,
    options?: RunOptions,
  ): Promise<Returned<X>>;
  runTransaction<R extends readonly unknown[]>(
    keys: Keys,
    fn: (tx: Transaction, seen: Watched) => unknown,
    options?: RunOptions,
  ): Promise<R>;
  async runTransaction(
    keys: Keys,
    fn: (tx: never, seen: never) => unknown,
    options?: RunOptions,
  ): Promise<readonly unknown[]> {
    if (typeof fn !== "function") throw invalid(`fn must be a function, not ${kindOf(fn)}`);
    const how = settings(options, ["attempts", "signal"]);
    const attempts = whole("attempts", options?.attempts ?? 16, 1, MAX_ATTEMPTS);
    const waiting = signalOf(options?.signal);
    const names = listed(keys);
    const tx = this.#begin(how);
    for (let attempt = 1; ; attempt++) {
      try {
        const seen = names.length > 0 ? await tx.watch(names, waiting) : tx.seen(waiting);
        await fn(tx as never, seen as never);
        return await tx.execute(waiting);
      } catch (error) {
        const conflict = error instanceof ComityError && error.code === ErrorCode.Conflict;
        if (!conflict || attempt === attempts) throw error;
      } finally {
        tx.reset();
      }
      // Those who met each other do not meet again at once.
      const longest = Math.min(50, 2 ** attempt);
      await new Promise((resolve) => setTimeout(resolve, Math.random() * longest));
    }
  }

  /**
   * The strings at `keys`, on whatever servers, as they were at one instant, in one round trip; in
   * the order of the keys, null where there is none. Throws as `Transaction.execute` does.
   *
   * Other types can be read at one instant by a transaction that only reads.
   */
  snapshot(keys: Keys, options: BytesOption & Waiting): Promise<(Uint8Array | null)[]>;
  snapshot(keys: Keys, options?: TransactionOptions & Waiting): Promise<(string | null)[]>;
  async snapshot(keys: Keys, options?: TransactionOptions & Waiting): Promise<(Bytes | null)[]> {
    if (options?.durability !== undefined) {
      throw invalid("snapshot has no durability: what only reads is nothing for replicas to have");
    }
    const how = settings({ ack: "decided", ...options }, ["signal"]);
    const names = listed(keys).map((key, at) => word(`snapshot: key ${at + 1}`, key));
    if (names.length === 0) throw invalid("snapshot: no key is given");
    const commands = names.map((name) => [octets("GET", "GET"), name]);
    const done = await this.#executor.execute({ commands, expectations: [] }, how, options?.signal);
    return repliesOf(done, names.length).map((reply) => one(reply, how.value));
  }

  /**
   * What the server that decides knows of a transaction. Changes nothing.
   *
   * `id`: `ComityError.transactionId`, `Transaction.id`, or what a warning says.
   */
  async transactionStatus(id: string, options?: Waiting): Promise<Outcome> {
    const bytes = octets("id", id);
    const { signal } = checked("options", options, ["signal"]);
    const event = await this.#session.ask("transactionStatus", signal, (core, now) =>
      core.transactionStatus(bytes, now),
    );
    return event.outcome;
  }

  /**
   * Sees a transaction to its end on all its servers: `"committed"`, `"aborted"` or, where no record
   * is left, `"forgotten"`.
   *
   * One that is under way and undecided is aborted, also one that the server has not heard of yet:
   * what comes then is refused. An id of an earlier version does not tell until when something may
   * come; then that one stays as it is, `"unheard"`. `heuristic` is an operator's decision where the
   * server that decides is gone for good: if it does not answer, all that wait for it are told this,
   * and each is reported as damaged where that is not what their votes come to. Throws `Unreachable`,
   * `NoAnswer`, `ServerRefused` where a server that is needed does not answer.
   */
  async resolve(id: string, options?: ResolveOptions): Promise<Outcome> {
    const { heuristic, signal } = checked("options", options, ["heuristic", "signal"]);
    const bytes = octets("id", id);
    const how =
      heuristic === undefined
        ? {}
        : { heuristic: choice("heuristic", heuristic, ["commit", "abort"]) };
    const event = await this.#session.ask("transactionResolved", signal, (core, now) =>
      core.transactionResolve(bytes, now, how),
    );
    return event.outcome;
  }

  /**
   * Recovers transactions that were abandoned, and removes what is left of old ones, on all servers;
   * how much that was. To be run now and then, by anybody. Records that nobody can read, as after an
   * accident, are left, with a warning. A server that fails keeps none of the others from being swept;
   * the first error is thrown then.
   */
  async sweep(options?: SweepOptions): Promise<number> {
    const { shadows, signal } = checked("options", options, ["shadows", "signal"]);
    const what = { shadows: flag("shadows", shadows, true) };
    const event = await this.#session.ask("transactionSwept", signal, (core, now) =>
      core.transactionSweep(now, what),
    );
    if (event.unreadable > 0) {
      const many = String(event.unreadable);
      this.#session.warn(`${many} records of transactions can be read by nobody; a sweep has left them`);
    }
    return event.count;
  }

  // The whole

  /** What happens from now on, kept in a buffer; `for await` waits for the next. */
  events(options?: EventsOptions): Events {
    return new Events(this.#session, this.#keeper, options);
  }

  /** Counters since `connect`, for people and dashboards. */
  stats(): Record<string, number> {
    return this.#session.core.stats();
  }

  /**
   * Releases what is held, flushes what was counted, tells waiters `Closed`, ends connections.
   *
   * Takes at most the `timeout` of `connect` where a server does not answer. Harmless when repeated;
   * every other verb throws `Closed` afterwards.
   */
  close(): Promise<void> {
    this.#closing ??= this.#end();
    return this.#closing;
  }

  /** As `close`, for `await using`. */
  [asyncDispose](): Promise<void> {
    return this.close();
  }

  /** For `console.log`. */
  [show](...asked: Asked): string {
    return shownAs("Coordinator", () => ({ servers: this.#session.names(), closed: this.closed }), asked);
  }

  /** Not for users: proves every server able to serve. */
  async prove(signal: Signal | undefined): Promise<void> {
    const operations = this.#session.checkNodes();
    for (const operation of operations) await this.#session.wait(operation, signal);
    for (const operation of operations) this.#judge(operation);
  }

  #begin(how: Settings): Transaction {
    return new Transaction((...asked) => this.#executor.execute(...asked), how);
  }

  async #once(
    fn: (tx: never) => unknown,
    options: (TransactionOptions & Waiting) | undefined,
  ): Promise<unknown[]> {
    const tx = this.#begin(settings(options, ["signal"]));
    await fn(tx as never);
    return tx.execute(signalOf(options?.signal));
  }

  /** What a server answered to the check. Throws what it said if it cannot serve. */
  #judge(operation: Operation): void {
    const error = this.#session.failure(operation);
    if (error !== null) throw error;
    const { event } = operation;
    if (event?.kind !== "nodeChecked") return;
    const policy = event.evictionPolicy;
    if (policy === "" || policy === "noeviction") return;
    if (!this.#allowEviction) this.#executor.evicting.set(event.node, policy);
    this.#session.warn(
      `the server ${this.#session.servers.name(event.node)} evicts keys (maxmemory-policy ${policy}): a lock that is evicted has two ` +
        "holders; set it to noeviction",
    );
  }
}

// Apart from the coordinator, which nothing that these are kept by may lead to.

function ending(
  session: Session,
  driver: Driver,
  journals: Journals,
  timeout: number,
): () => Promise<void> {
  return async () => {
    try {
      session.close();
      await session.waitAtMost(session.drained, timeout + 500);
      const written = new Operation();
      void journals.finish().then(() => {
        written.done = true;
        written.wake();
      });
      await session.waitAtMost(written, timeout);
    } finally {
      session.abandon(new ComityError(ErrorCode.Closed, "the coordinator was closed meanwhile"));
      driver.stop();
      journals.stop();
    }
  };
}

function dropping(session: Session, end: () => Promise<void>): () => void {
  return () => {
    if (session.closed) return;
    session.warn("a coordinator that nobody has any more was not closed: it is now", "ResourceWarning");
    end().catch(() => undefined);
  };
}

function signalOf(signal: Signal | undefined): AcquireOptions & Waiting {
  return signal === undefined ? {} : { signal };
}

export type { Keys, Word };
