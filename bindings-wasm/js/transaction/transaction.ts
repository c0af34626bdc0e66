/** The transaction: what is to be done and on what condition, until it is executed. */

import { type Bytes, latin1, octets, readable, type Word, word } from "../bytes.js";
import type { Expectation, Words } from "../core/words.js";
import type { Reply } from "../core/reply.js";
import { ComityError, ErrorCode, invalid } from "../errors.js";
import type { Waiting } from "../lock.js";
import { options as checked } from "../units.js";
import type { Ask, Request, Settings } from "./request.js";
import { type Keys, listed, type Modes, Reads } from "./reads.js";
import * as r from "./replies.js";
import type { Signal } from "../platform.js";
import type { Added, Replies } from "./replied.js";
import { Writes } from "./writes.js";
import { type Asked, show, shownAs } from "../show.js";

/** What must be true of a key: exactly one of these. */
export interface Condition {
  /** The string that it holds. */
  value?: Word | undefined;
  /** Whether it exists. */
  exists?: boolean | undefined;
}

/** A read, and what it was answered. */
interface Seen {
  readonly read: Words;
  readonly reply: Reply;
}

/** A place in the buffer of a transaction: see `Transaction.savepoint`. */
export class Savepoint {
  /** Not for users. */
  constructor(
    readonly commands: number,
    readonly checks: number,
  ) {}
}

/** How all that a key of a type holds is read. */
const ALL_OF: Readonly<Record<string, (key: Uint8Array) => Words>> = {
  none: (key) => words("EXISTS", key),
  string: (key) => words("GET", key),
  hash: (key) => words("HGETALL", key),
  list: (key) => words("LRANGE", key, "0", "-1"),
  set: (key) => words("SMEMBERS", key),
  zset: (key) => words("ZRANGE", key, "0", "-1", "WITHSCORES"),
  stream: (key) => words("XRANGE", key, "-", "+"),
};

/**
 * Commands that are all applied, on every server they go to, or none: `co.transaction()`.
 *
 * Commands are buffered by plain calls, which return the transaction; `watch` and `execute` are
 * awaited. It can be used again afterwards, for one thing at a time:
 *
 *     const tx = co.transaction();
 *     tx.incrBy("alice", -30).incrBy("bob", 30);
 *     const [alice, bob] = await tx.execute();
 *
 * `V` is what values come back as: strings, or `Uint8Array` with `{ bytes: true }`. `R` are the types
 * of the replies, as far as they follow from one chain of commands:
 *
 *     const [sum, name] = await co.transaction().incr("n").get("name").execute();
 *
 * A chain that goes on in another statement begins anew, for the types: what came before is not in
 * them. Give `execute` the types then, or `unknown[]`.
 */
export class Transaction<
  V extends Bytes = string,
  R extends readonly unknown[] = unknown[],
> extends Writes<V, R> {
  readonly #ask: Ask;
  readonly #settings: Settings;
  #commands: Words[] = [];
  #converts: r.Convert<unknown, V>[] = [];
  #checks: Expectation[] = [];
  #seen = new Map<string, Seen>();
  #savepoints: Savepoint[] = [];
  #id: string | null = null;
  #replicas: number | null = null;

  /** Not for users: see `Coordinator.transaction`. */
  constructor(ask: Ask, settings: Settings) {
    super();
    this.#ask = ask;
    this.#settings = settings;
  }

  /** How many commands are buffered. */
  get size(): number {
    return this.#commands.length;
  }

  /** Which transaction the last commit was; null before the first. */
  get id(): string | null {
    return this.#id;
  }

  /**
   * So many replicas of each of its servers are known to have the last commit; null where that was
   * not asked for (`durability`), or where it only read.
   */
  get replicas(): number | null {
    return this.#replicas;
  }

  /**
   * Any command that a transaction takes, by its name, its key and its arguments. The reply is as
   * it comes from the server, with values as `V`.
   *
   * docs/transaction.md has the list; what is not on it throws `Unsupported` on `execute`.
   */
  command(name: string, ...args: Word[]): Added<unknown, V, R> {
    return this.write<unknown>(r.plain, name, ...args);
  }

  /**
   * Has the transaction applied only if a key is as it should be, `Conflict` otherwise:
   * `{ value: "7" }`, `{ exists: true }` or `{ exists: false }`.
   */
  check(key: Word, condition: Condition): this {
    const given = checked("condition", condition, ["value", "exists"]);
    const number = this.#checks.length + 1;
    const where = word(`check # ${number}: key`, key);
    if (given.value !== undefined && given.exists === undefined) {
      this.#checks.push({ key: where, value: word(`check # ${number}: value`, given.value) });
    } else if (typeof given.exists === "boolean" && given.value === undefined) {
      this.#checks.push({ key: where, exists: given.exists });
    } else throw invalid(`check # ${number} needs exactly one of value, exists: true or false`);
    return this;
  }

  /**
   * Reads these keys now, and has the transaction applied only if they are unchanged then.
   *
   * What it gives reads more, at once; that is validated too. What was read stays what it was: the
   * same read has the same answer. Values are compared, not versions: a value that was changed and
   * changed back, or got another end, is unchanged. Throws as `execute` does.
   */
  async watch(keys: Keys, options?: Waiting): Promise<Watched<V>> {
    const { signal } = checked("options", options, ["signal"]);
    const names = listed(keys).map((key, at) => word(`watch: key ${at + 1}`, key));
    if (names.length === 0) throw invalid("watch: no key is given");
    const distinct = [...new Map(names.map((name) => [latin1(name), name])).values()];
    for (const seen of await this.#everything(distinct, signal)) this.#remember(seen);
    return this.seen(options);
  }

  /** Not for users: what `watch` gives, with nothing read yet. */
  seen(options?: Waiting): Watched<V> {
    const value = this.#settings.value as Value<V>;
    return new Watched<V>((asked) => this.#look(asked, options?.signal), value);
  }

  /** Forgets what was read since `watch`. */
  unwatch(): void {
    this.#seen.clear();
  }

  /**
   * Applies everything at once, or nothing. The replies, in the order of the commands.
   *
   * `Given` is for who knows the types better than they follow from the chain of commands that this
   * is called on: `await tx.execute<[number, string | null]>()`.
   *
   * The buffer is empty afterwards, whatever became of it. A reply is null where another client had
   * to finish the transaction and its replies are gone.
   *
   * Throws, with nothing applied: `Conflict` (a key is locked, or not as it was read or checked),
   * `CommandFailed` (names the command), `Aborted`, `RingMismatch`, `Unreachable`, `NoAnswer`,
   * `ServerRefused`, `LimitExceeded`, `InvalidArgument`, `Unsupported`, `Closed`. Throws
   * `OutcomeUnknown` where the server that decides does not say: the transaction is all or nothing,
   * and `Coordinator.resolve` tells which.
   *
   * `signal` gives the transaction up. What was decided by then stays: one that is committed after
   * it was given up is told as a warning with its id, for `Coordinator.transactionStatus`.
   */
  async execute<Given extends readonly unknown[] = Replies<R>>(options?: Waiting): Promise<Given> {
    const { signal } = checked("options", options, ["signal"]);
    const [commands, converts] = [this.#commands, this.#converts];
    const expectations = [...this.#checks, ...this.#seen.values()];
    this.reset();
    if (commands.length === 0 && expectations.length === 0) return [] as never;
    const done = await this.#ask({ commands, expectations }, this.#settings, signal);
    const { replies } = done;
    this.#id = done.id;
    this.#replicas = done.replicas;
    const value = this.#settings.value as Value<V>;
    return converts.map((convert, at) =>
      replies === null ? null : convert(replies[at] ?? null, value),
    ) as unknown as Given;
  }

  /** Forgets all that is buffered, checked and watched. Nothing was sent of it. */
  reset(): void {
    this.#commands = [];
    this.#converts = [];
    this.#checks = [];
    this.#seen = new Map();
    this.#savepoints = [];
  }

  /** As `reset`. */
  discard(): void {
    this.reset();
  }

  /** Marks what is buffered and checked by now, for `rollback`. */
  savepoint(): Savepoint {
    const mark = new Savepoint(this.#commands.length, this.#checks.length);
    this.#savepoints.push(mark);
    return mark;
  }

  /**
   * Forgets what was buffered and checked since a savepoint; without one, everything.
   *
   * The savepoint can be used again, later ones cannot. What was read after `watch` stays read and
   * is validated. Throws `InvalidState` for a savepoint that is not one of this buffer.
   */
  rollback(to?: Savepoint): void {
    if (to === undefined) {
      this.reset();
      return;
    }
    const place = this.#savepoints.indexOf(to);
    if (place < 0) {
      const message = "this savepoint was rolled back, committed, or is not one of these";
      throw new ComityError(ErrorCode.InvalidState, message);
    }
    this.#savepoints.length = place + 1;
    this.#commands.length = this.#converts.length = to.commands;
    this.#checks.length = to.checks;
  }

  /** For `console.log`. */
  [show](...asked: Asked): string {
    return shownAs("Transaction", () => ({ commands: this.size, id: this.id }), asked);
  }

  protected override read<T>(
    convert: r.Convert<T, V>,
    ...command: readonly Word[]
  ): Modes<T, V, R>["buffered"] {
    return this.write(convert, ...command);
  }

  protected override write<T>(
    convert: r.Convert<T, V>,
    ...command: readonly Word[]
  ): Added<T, V, R> {
    const who = `Command # ${this.#commands.length + 1} (${String(command[0]).slice(0, 64)})`;
    this.#commands.push(command.map((each, at) => word(`${who}: argument ${at}`, each)));
    this.#converts.push(convert);
    return this as unknown as Added<T, V, R>;
  }

  /** A read that is executed at once, or was before. */
  async #look(command: Words, signal: Signal | undefined): Promise<Reply> {
    const [first = new Uint8Array(), ...keys] = command;
    const name = readable(first).toUpperCase();
    if (keys.length < 2 || (name !== "MGET" && name !== "EXISTS")) {
      const [reply = null] = await this.#lookAll([command], signal);
      return reply;
    }
    // Each key is validated by itself.
    const replies = await this.#lookAll(keys.map((key) => [first, key]), signal);
    if (name === "EXISTS") return replies.reduce<number>((sum, each) => sum + r.count(each), 0);
    return replies.map((each) => (Array.isArray(each) ? (each as Reply[])[0] : null) ?? null);
  }

  /** Reads that are executed at once, all together, but for those that were before. */
  async #lookAll(reads: Words[], signal: Signal | undefined): Promise<Reply[]> {
    const unread = new Map(reads.map((read) => [keyOf(read), read]));
    for (const key of this.#seen.keys()) unread.delete(key);
    if (unread.size > 0) {
      const asked = [...unread.values()];
      const found = paired(asked, await this.#answers(asked, signal));
      for (const seen of found) this.#remember(seen);
    }
    return reads.map((read) => this.#seen.get(keyOf(read))?.reply ?? null);
  }

  #remember(seen: Seen): void {
    const key = keyOf(seen.read);
    if (!this.#seen.has(key)) this.#seen.set(key, seen);
  }

  /** All that these keys hold, of whatever types they are. */
  async #everything(keys: Uint8Array[], signal: Signal | undefined): Promise<Seen[]> {
    // With the settings of the whole: where it is done when it is applied, the locks of the reads
    // are gone before the commands meet them.
    let reads = keys.map((key) => words("GET", key));
    try {
      return paired(reads, await this.#answers(reads, signal));
    } catch (error) {
      // Some are no strings.
      if (!isA(error, ErrorCode.CommandFailed)) throw error;
    }
    const kinds = await this.#answers(keys.map((key) => words("TYPE", key)), signal);
    reads = keys.map((key, at) => {
      const how = ALL_OF[r.text(kinds[at] ?? null)];
      if (how !== undefined) return how(key);
      const name = readable(key).slice(0, 80);
      const message = `watch: key "${name}" is of a type that cannot be read as a whole`;
      throw new ComityError(ErrorCode.Unsupported, message);
    });
    try {
      return paired(reads, await this.#answers(reads, signal));
    } catch (error) {
      if (!isA(error, ErrorCode.CommandFailed)) throw error;
      const message = `a key was changed while it was read: ${error.message}`;
      throw new ComityError(ErrorCode.Conflict, message, { cause: error });
    }
  }

  async #answers(commands: Words[], signal: Signal | undefined): Promise<Reply[]> {
    const request: Request = { commands, expectations: [] };
    return repliesOf(await this.#ask(request, this.#settings, signal), commands.length);
  }
}

type Value<V> = (bytes: Uint8Array) => V;

/** Reads at once, in a transaction that is watching: see `Transaction.watch`. */
export class Watched<V extends Bytes = string> extends Reads<"now", V, []> {
  readonly #look: (command: Words) => Promise<Reply>;
  readonly #value: Value<V>;

  /** Not for users: see `Transaction.watch`. */
  constructor(look: (command: Words) => Promise<Reply>, value: Value<V>) {
    super();
    this.#look = look;
    this.#value = value;
  }

  /** Any command that only reads. */
  command(name: string, ...args: Word[]): Promise<unknown> {
    return this.read<unknown>(r.plain, name, ...args);
  }

  protected override async read<T>(
    convert: r.Convert<T, V>,
    ...command: readonly Word[]
  ): Promise<T> {
    const packed = command.map((each, at) => word(`${String(command[0])}: argument ${at}`, each));
    return convert(await this.#look(packed), this.#value);
  }
}

/** The replies of reads. Throws `Conflict` where they are gone. */
export function repliesOf({ replies }: { replies: Reply[] | null }, count: number): Reply[] {
  if (replies !== null && replies.length === count) return replies;
  const message = "another client had to finish the read, and its replies are gone";
  throw new ComityError(ErrorCode.Conflict, message);
}

function words(...all: Bytes[]): Words {
  return all.map((each) => octets("word", each));
}

function paired(reads: Words[], replies: Reply[]): Seen[] {
  return reads.map((read, at) => ({ read, reply: replies[at] ?? null }));
}

/** The same for the same command. */
function keyOf(command: Words): string {
  return command.map((each) => `${each.length}:${latin1(each)}`).join("");
}

function isA(error: unknown, code: ErrorCode): error is ComityError {
  return error instanceof ComityError && error.code === code;
}
