import { octets } from "../bytes.js";
import { ComityError, ErrorCode, invalid, kindOf } from "../errors.js";
import { core } from "../instance/core.js";
import { Reader } from "../pack.js";
import type { RawPNCounter } from "../raw/comity.js";
import { options as checked } from "../units.js";
import { amount } from "../amount.js";
import { exact } from "../numbers.js";
import { Handle } from "./handle.js";
import { type Asked, show, shownAs } from "../show.js";

/**
 * A counter without a server: replicas exchange bytes and merge them, in any order and any number
 * of times. Every instance is a replica of its own.
 */
export class PNCounter extends Handle<RawPNCounter> {
  /** `replica`: 16 bytes that no other instance ever has; random if left out. */
  constructor(options?: { replica?: Uint8Array }) {
    const { replica } = checked("options", options, ["replica"]);
    const id = replica === undefined ? randomId() : octets("replica", replica);
    if (id.length !== 16) throw invalid(`replica must be 16 bytes, not ${id.length}`);
    super(core, "counter", core.guarded((raw) => new raw.RawPNCounter(id)));
  }

  /** A new replica that knows all that a snapshot says. Throws `Corrupt`. */
  static restore(snapshot: Uint8Array): PNCounter {
    const restored = new PNCounter();
    restored.merge(snapshot);
    return restored;
  }

  /**
   * Counts `n`, up or down; 1. Throws `Overflow` beyond 2^64 - 1 increments or decrements of this
   * replica, `InvalidArgument` for what is no safe integer or `bigint`; nothing is counted then.
   */
  add(n: number | bigint = 1): void {
    const { up, down } = amount(n);
    this.call((raw) => raw.count(up, down));
  }

  /** Counts all of them or, where one is refused, none. Throws as `add` does. */
  addMany(amounts: Iterable<number | bigint>): void {
    let [up, down] = [0n, 0n];
    for (const n of iterable(amounts)) {
      const one = amount(n);
      [up, down] = [up + one.up, down + one.down];
    }
    if (up >> 64n || down >> 64n) throw beyond();
    this.call((raw) => raw.count(up, down));
  }

  /** The sum of all replicas known here. */
  value(): bigint {
    return this.call((raw) => raw.value());
  }

  /** The same as a number. Throws `Overflow` where that would not be exact: beyond 2^53 - 1. */
  valueNumber(): number {
    return exact(this.value());
  }

  /**
   * Takes in another replica's snapshot. Throws `Corrupt`, and `LimitExceeded` beyond 65,536
   * replicas; nothing is changed then.
   */
  merge(snapshot: Uint8Array): void {
    const bytes = octets("snapshot", snapshot);
    this.call((raw) => raw.merge(bytes));
  }

  /** All that is known here: the same bytes for the same counts, in every language. */
  snapshot(): Uint8Array {
    return this.call((raw) => raw.snapshot());
  }

  /** The id of this replica, 16 bytes. */
  get replica(): Uint8Array {
    return this.call((raw) => raw.replica());
  }

  /** For `console.log`. */
  [show](...asked: Asked): string {
    return shownAs("PNCounter", () => ({ value: this.value() }), asked);
  }

  /** The increments and decrements of each replica, by its id in hexadecimal. */
  slots(): Map<string, { increments: bigint; decrements: bigint }> {
    const packed = this.call((raw) => raw.slots());
    return new Map(
      new Reader(packed).each((each) => [
        Array.from(each.bytes(), (byte) => byte.toString(16).padStart(2, "0")).join(""),
        { increments: each.wide(), decrements: each.wide() },
      ]),
    );
  }
}

/** What can be iterated. Throws `InvalidArgument`. */
export function iterable<T>(amounts: Iterable<T>): Iterable<T> {
  if (typeof amounts === "object" && amounts !== null && Symbol.iterator in amounts) return amounts;
  throw invalid(`amounts must be an iterable of numbers, not ${kindOf(amounts)}`);
}

/** More than can be counted. */
export function beyond(): ComityError {
  const message = "more than 2^64 - 1 increments or decrements: nothing was counted";
  return new ComityError(ErrorCode.Overflow, message);
}

function randomId(): Uint8Array {
  return crypto.getRandomValues(new Uint8Array(16));
}
