/** The counter: what `co.counter(...)` returns. Counting is an addition in this process. */

import { type Amount, amount } from "./amount.js";
import { type Bytes, octets } from "./bytes.js";
import type { CounterAudit, RawCounterValue } from "./core/event.js";
import { beyond, iterable } from "./core/peer.js";
import { keeps } from "./dropped.js";
import { ComityError, ErrorCode, invalid, kindOf } from "./errors.js";
import type { Waiting } from "./lock.js";
import type { Journals } from "./journal.js";
import { exact, numbered } from "./numbers.js";
import { Operation } from "./operation.js";
import type { Session } from "./session.js";
import { refuseAborted } from "./signal.js";
import { checkedName, choice, MAX_WAIT, millis, options as checked, shown, someMillis, whole, wide } from "./units.js";
import type { Signal } from "./platform.js";
import { type Asked, show, shownAs } from "./show.js";

/** The longest that a counter waits before it flushes, in milliseconds. */
const MAX_DELAY = 3_600_000;
const MAX_U64 = (1n << 64n) - 1n;

/** Flushed after `maxDelay` milliseconds at the latest while the server answers. */
export interface Batched {
  kind: "batched";
  /** Milliseconds, 0 to 3,600,000; 10. */
  maxDelay?: number | undefined;
  /**
   * So many units may be unacknowledged at most, from 2; no bound if left out. What would pass it
   * is refused with `LimitExceeded`, and half of it is flushed at once. A process that is killed
   * loses at most what is unacknowledged.
   */
  maxUnits?: number | bigint | undefined;
}

/**
 * Flushed after `maxDelay` milliseconds, and written down as well: the first of both makes it safe.
 */
export interface Journaled {
  kind: "journaled";
  /**
   * Keeps the bytes in place of those before, for `restore` after a crash, and returns, or fulfils
   * its promise, when they are safe. Where it throws, that is told as a warning and it is tried
   * again every second. What is counted before the server has answered for the first time is in no
   * journal.
   */
  write(journal: Uint8Array): void | Promise<void>;
  /** Milliseconds, 0 to 3,600,000; 100. */
  maxDelay?: number | undefined;
}

/**
 * When what was counted is safe. `"sync"`: flushed at once; what is counted during a round trip
 * shares the next. In each of them `flush()` is done when it is safe.
 */
export type Durability = "sync" | "batched" | Batched | Journaled;

/** How a counter is opened. */
export interface CounterOptions {
  /** `"batched"` for one that is not open yet. */
  durability?: Durability | undefined;
  /** The bytes of a journal or a snapshot: what they hold and the server has not is counted. */
  restore?: Uint8Array | undefined;
}

/** What a counter stands at. JSON has numbers for it, and digits beyond 2^53 - 1. */
export interface CounterValue {
  /** What the server last told of all others, and all that was counted here. */
  readonly value: bigint;
  /** The same as a number. Throws `Overflow` where that would not be exact: beyond 2^53 - 1. */
  readonly valueNumber: number;
  /** How many milliseconds old the server's part is at most; null before its first answer. */
  readonly staleness: number | null;
  /** How far the server's part goes: `read({ atLeast: token })` anywhere is at least as recent. */
  readonly token: number;
  /** How many resets there were by then. */
  readonly epoch: number;
  /** Units counted here that are not acknowledged. */
  readonly pending: bigint;
  /** The same as a number. Throws `Overflow` where that would not be exact: beyond 2^53 - 1. */
  readonly pendingNumber: number;
  /** How many milliseconds the oldest of them has waited at most; null where there are none. */
  readonly oldestPending: number | null;
}

/** How a value is read. */
export interface ReadOptions extends Waiting {
  /** A token of an earlier read anywhere: the server is asked only if what is known is older. */
  atLeast?: number | undefined;
}

/** How a counter is kept, as the core takes it. */
interface Kept {
  readonly durability: "sync" | "batched" | "journaled";
  readonly maxDelayUs: number;
  readonly maxUnits: bigint;
}

/** What a counter tells the core when it is asked. */
export interface Cell {
  /** Tells what was counted, because the core asks. */
  collect(now: number): void;
  /** Tells what was counted, for the last time. */
  finish(): void;
  /** Nothing is counted any more. */
  shut(): void;
}

/**
 * Counts each unit once, in Redis. Made by `Coordinator.counter`.
 *
 * What is counted is flushed in the background, as the counter's durability says; docs/counter.md
 * has the promises. Every verb but `name` and `id` throws `Closed` after the close.
 */
export class Counter implements Cell {
  /** The name as it was given. */
  readonly name: Bytes;
  /** What `Event.counter` says. */
  readonly id: number;
  readonly #session: Session;
  readonly #journals: Journals;
  readonly #maxUnits: bigint;
  /** What the core was told, up and down. */
  #told: Amount = { up: 0n, down: 0n };
  /** What it was not told yet. */
  #up = 0;
  #down = 0;
  /** From so many untold units on it has to be told. */
  #quiet = 0;
  /** Beyond so many untold units nothing is counted without asking it. */
  #limit = 0;
  #closed = false;

  /** Not for users: see `Coordinator.counter`. */
  constructor(
    session: Session,
    keeper: object,
    journals: Journals,
    id: number,
    name: Bytes,
    maxUnits: bigint,
  ) {
    this.#session = session;
    keeps(this, keeper);
    this.#journals = journals;
    this.id = id;
    this.name = name;
    this.#maxUnits = maxUnits;
    this.#allow();
  }

  /**
   * Counts `n`, up or down; 1. Waits for nothing.
   *
   * Throws `Overflow` beyond 2^64 - 1 increments or decrements since the opening, `LimitExceeded`
   * where more than `maxUnits` would be unacknowledged, `InvalidArgument` for what is no safe
   * integer or `bigint`; nothing is counted then.
   */
  add(n: number | bigint = 1): void {
    if (typeof n === "number" && Number.isSafeInteger(n)) {
      const up = n > 0 ? this.#up + n : this.#up;
      const down = n < 0 ? this.#down - n : this.#down;
      const units = up + down;
      if (units <= this.#limit) {
        this.#up = up;
        this.#down = down;
        if (units >= this.#quiet && n !== 0) this.#tell();
        return;
      }
    }
    this.#count(amount(n));
  }

  /** Counts all of them or, where one is refused, none. Throws as `add` does. */
  addMany(amounts: Iterable<number | bigint>): void {
    let [up, down] = [0n, 0n];
    for (const n of iterable(amounts)) {
      const one = amount(n);
      [up, down] = [up + one.up, down + one.down];
    }
    this.#count({ up, down });
  }

  /** What it stands at as far as is known here, own counts included. Waits for nothing. */
  value(): bigint {
    return this.#local().value;
  }

  /** The same as a number. Throws `Overflow` where that would not be exact: beyond 2^53 - 1. */
  valueNumber(): number {
    return exact(this.value());
  }

  /**
   * The value and how sure it is.
   *
   * `"fresh"`: as of this call, by one round trip; with `atLeast` only if what is known here is
   * older. `"local"`: what is known here, at once. Throws `Unreachable`, `NoAnswer`,
   * `ServerRefused`, `WrongType`.
   */
  async read(mode: "fresh" | "local" = "fresh", options?: ReadOptions): Promise<CounterValue> {
    const { atLeast, signal } = checked("options", options, ["atLeast", "signal"]);
    if (choice("mode", mode, ["fresh", "local"]) === "local") return valueOf(this.#local());
    const token = atLeast === undefined ? {} : { atLeast: whole("atLeast", atLeast) };
    const operation = await this.#ask(signal, (core, now) => core.counterRead(this.id, now, token));
    if (operation.event?.kind !== "counterRead") throw this.#over();
    return valueOf(operation.event.value);
  }

  /**
   * Waits until all that was counted before is safe, as the durability has it.
   *
   * Throws as `read` does when that takes longer than the coordinator's `timeout`; what was counted
   * is kept then, and tried again in the background.
   */
  async flush(options?: Waiting): Promise<void> {
    const { signal } = checked("options", options, ["signal"]);
    await this.#ask(signal, (core, now) => core.counterFlush(this.id, now));
  }

  /**
   * Lets the value be zero, once; how many resets there were by now, this one included.
   *
   * What reaches the server after it counts. `epoch`: only if there were so many resets before,
   * otherwise `InvalidState`. Throws as `read` does.
   */
  async reset(options?: Waiting & { epoch?: number | undefined }): Promise<number> {
    const { epoch, signal } = checked("options", options, ["epoch", "signal"]);
    const only = epoch === undefined ? {} : { epoch: whole("epoch", epoch) };
    const operation = await this.#ask(signal, (core, now) => core.counterReset(this.id, now, only));
    if (operation.event?.kind !== "counterReset") throw this.#over();
    return operation.event.epoch;
  }

  /**
   * Compares the sums with all slots and corrects them.
   *
   * `prune`: milliseconds; slots that nobody has raised for so long are retired. New ones take their
   * places when there are no others, and until then, for seven days, their owners are still counted
   * when they come back. Throws as `read` does, if a part of it is not answered in time.
   */
  async audit(options?: Waiting & { prune?: number | undefined }): Promise<CounterAudit> {
    const { prune, signal } = checked("options", options, ["prune", "signal"]);
    const span = someMillis("prune", prune, 0, MAX_WAIT);
    const only = span === null ? {} : { pruneUs: span };
    const operation = await this.#ask(signal, (core, now) => core.counterAudit(this.id, now, only));
    if (operation.event?.kind !== "counterAudited") throw this.#over();
    return operation.event.audit;
  }

  /**
   * Flushes what is pending and gives the slot back.
   *
   * Throws `NoAnswer` if that was not acknowledged within the coordinator's `timeout`.
   */
  async close(): Promise<void> {
    const operation = await this.#ask(undefined, (core, now) => {
      core.counterClose(this.id, now);
      this.shut();
      return this.id;
    });
    await this.#journals.finish(this.id);
    const units = operation.event?.kind === "counterClosed" ? operation.event.units : 0n;
    if (units > 0n) {
      const message =
        `the counter is closed; ${units} units were not acknowledged by then: they may be ` +
        "counted or not";
      throw new ComityError(ErrorCode.NoAnswer, message);
    }
  }

  /** What a later life has to restore to lose nothing, were this one to end now. */
  snapshot(): Uint8Array {
    this.#open();
    this.#advance();
    return this.#session.call((core) => core.counterSnapshot(this.id));
  }

  /**
   * Counts what the replicas of a `PNCounter` have counted, by its `snapshot`.
   *
   * Each unit once, however often it is merged. It shows in the value once the server has it, which
   * `flush` waits for. Throws `Corrupt`.
   */
  merge(snapshot: Uint8Array): void {
    this.#open();
    const bytes = octets("snapshot", snapshot);
    this.#session.call((core, now) => core.counterMerge(this.id, bytes, now));
  }

  /**
   * Takes up a snapshot of an earlier life, before anything is counted or read.
   *
   * Throws `Corrupt`; `InvalidState` later than that, or for a journaled counter: give `restore` at
   * its opening.
   */
  restore(snapshot: Uint8Array): void {
    this.#open();
    const bytes = octets("snapshot", snapshot);
    this.#advance();
    this.#session.call((core, now) => core.counterTakeUp(this.id, bytes, now));
  }

  /** Whether it was closed. */
  get closed(): boolean {
    return this.#closed;
  }

  /** For `console.log`. */
  [show](...asked: Asked): string {
    const { name, closed } = this;
    const known = closed || this.#session.closed ? {} : { value: this.value() };
    return shownAs("Counter", () => ({ name, ...known, closed }), asked);
  }

  // Not for users

  /** The core asks: from here on it has to be told of the next unit. */
  collect(now: number): void {
    this.#take();
    this.#quiet = 0;
    this.#session.core.counterCollect(this.id, this.#told.up, this.#told.down, now);
    this.#allow();
  }

  /** Tells the core everything, for the last time. */
  finish(): void {
    if (this.#closed) return;
    this.#advance();
    this.shut();
  }

  /** Nothing is counted any more. */
  shut(): void {
    this.#closed = true;
    this.#limit = -1;
  }

  // How

  /** Where a plain addition does not do. */
  #count({ up, down }: Amount): void {
    this.#open();
    this.#take();
    const told = { up: this.#told.up + up, down: this.#told.down + down };
    if (told.up > MAX_U64 || told.down > MAX_U64) {
      this.#advance();
      throw beyond();
    }
    // The core may know of more room by now.
    this.#advance();
    if (up + down > this.#session.core.counterRoom(this.id)) {
      const message =
        `more than ${this.#maxUnits} units would be unacknowledged, which is the limit: the ` +
        "server does not keep up";
      throw new ComityError(ErrorCode.LimitExceeded, message);
    }
    this.#told = told;
    this.#tell();
  }

  /** Something was counted while the core thought that nothing was, or much was. */
  #tell(): void {
    this.#advance();
    const half = Number(this.#maxUnits / 2n);
    this.#quiet = Math.max(1, Math.min(half, Number.MAX_SAFE_INTEGER));
    this.#session.stir();
  }

  /** Tells the core what was counted by now, and learns how much more may be. */
  #advance(): void {
    this.#take();
    const { core } = this.#session;
    core.counterAdvance(this.id, this.#told.up, this.#told.down, this.#session.now());
    this.#allow();
  }

  #take(): void {
    const { up, down } = this.#told;
    this.#told = { up: up + BigInt(this.#up), down: down + BigInt(this.#down) };
    this.#up = this.#down = 0;
  }

  #allow(): void {
    if (this.#closed) return;
    const room = this.#session.core.counterRoom(this.id);
    const { up, down } = this.#told;
    this.#limit = least(room, MAX_U64 - up, MAX_U64 - down);
  }

  #local(): RawCounterValue {
    this.#open();
    const value = this.#session.core.counterValue(this.id, this.#session.now());
    return {
      ...value,
      value: value.value + BigInt(this.#up) - BigInt(this.#down),
      pending: value.pending + BigInt(this.#up) + BigInt(this.#down),
    };
  }

  async #ask(
    signal: Signal | undefined,
    verb: Parameters<Session["begin"]>[1],
  ): Promise<Operation> {
    refuseAborted(signal);
    this.#open();
    const operation = new Operation();
    this.#advance();
    this.#session.begin(operation, verb);
    try {
      await this.#session.wait(operation, signal);
    } catch (error) {
      this.#session.leave(operation);
      throw error;
    }
    const error = this.#session.failure(operation);
    if (error !== null) throw error;
    return operation;
  }

  #open(): void {
    this.#session.requireOpen();
    if (this.#closed) throw this.#over();
  }

  #over(): ComityError {
    return new ComityError(ErrorCode.Closed, "the counter is closed");
  }
}

/** The lowest of these, as a number that is exact. */
function least(...values: bigint[]): number {
  const lowest = values.reduce((one, other) => (other < one ? other : one));
  return Number(lowest > BigInt(Number.MAX_SAFE_INTEGER) ? Number.MAX_SAFE_INTEGER : lowest);
}

function valueOf(told: RawCounterValue): CounterValue {
  const { stalenessUs, oldestPendingUs, ...value } = told;
  return numbered({
    ...value,
    staleness: stalenessUs === null ? null : stalenessUs / 1000,
    oldestPending: oldestPendingUs === null ? null : oldestPendingUs / 1000,
  });
}

/** How a counter is kept, as the core takes it. Throws `InvalidArgument`. */
export function keptAs(durability: Durability): Kept {
  if (durability === "sync") return { durability, maxDelayUs: 0, maxUnits: MAX_U64 };
  if (durability === "batched") return { durability, maxDelayUs: 10_000, maxUnits: MAX_U64 };
  if (typeof durability !== "object" || durability === null) {
    throw invalid(
      `durability must be "sync", "batched", { kind: "batched" } or { kind: "journaled" }, not ` +
        shown(durability),
    );
  }
  if (choice("durability.kind", durability.kind, ["batched", "journaled"]) === "batched") {
    const given = checked("durability", durability as Batched, ["kind", "maxDelay", "maxUnits"]);
    const delay = millis("maxDelay", given.maxDelay ?? 10, 0, MAX_DELAY);
    const units = wide("maxUnits", given.maxUnits ?? MAX_U64, 2n);
    return { durability: "batched", maxDelayUs: delay, maxUnits: units };
  }
  const given = checked("durability", durability as Journaled, ["kind", "write", "maxDelay"]);
  if (typeof given.write !== "function") {
    throw invalid(`write must be a function, not ${kindOf(given.write)}`);
  }
  const delay = millis("maxDelay", given.maxDelay ?? 100, 0, MAX_DELAY);
  return { durability: "journaled", maxDelayUs: delay, maxUnits: MAX_U64 };
}

/** The name of a counter as bytes. */
export function counterName(name: Bytes): Uint8Array {
  return checkedName(octets("name", name));
}
