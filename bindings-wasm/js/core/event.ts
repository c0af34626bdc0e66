/** What events can say beside numbers and bytes; the events themselves are in `events.ts`. */

import { type ComityError, refused } from "../errors.js";
import { numbered } from "../numbers.js";
import type { Reader } from "../pack.js";

/** What a counter stands at. Spans are microseconds. */
export interface RawCounterValue {
  /** The value: what the server last told of all others, and all that was counted here. */
  readonly value: bigint;
  /** How old the server's part is at most; null before its first answer. */
  readonly stalenessUs: number | null;
  /** How far the server's part goes, for `counterRead`. */
  readonly token: number;
  /** How many resets there were by then. */
  readonly epoch: number;
  /** Units counted here that are not acknowledged. */
  readonly pending: bigint;
  /** How long the oldest of them has waited at most; null where there are none. */
  readonly oldestPendingUs: number | null;
}

/** What an audit of a counter found. */
export interface CounterAudit {
  /** Slots in use. */
  readonly live: number;
  /** Slots that were given back and still count. */
  readonly retired: number;
  /** Slots retired by this audit, because nobody had raised them for long. */
  readonly pruned: number;
  /** Whether the sum of all slots was compared with the totals: not while others kept counting. */
  readonly compared: boolean;
  /** By how much the value was wrong, and was corrected. */
  readonly corrected: bigint;
  /** The same as a number. Throws `Overflow` where that would not be exact: beyond 2^53 - 1. */
  readonly correctedNumber: number;
}

/** A lock as its server sees it. At most 256 holders and waiters; the totals count all. */
export interface RawInspection {
  /** The server's clock, in microseconds. */
  readonly nowUs: number;
  /** How many may hold at once: 1 for a mutex, 0 while nobody holds or waits. */
  readonly capacity: number;
  readonly holdersTotal: number;
  readonly waitersTotal: number;
  readonly holders: readonly {
    /** The request that was granted. */
    readonly id: string;
    /** What the holder calls itself. */
    readonly label: Uint8Array;
    readonly fence: number;
    /** How long its lease still lasts, if it is not renewed. */
    readonly remainingUs: number;
    /** How much of the capacity it has. */
    readonly weight: number;
  }[];
  /** In the order in which they will be served. */
  readonly waiters: readonly {
    /** The request that waits. */
    readonly id: string;
    /** What the waiter calls itself. */
    readonly label: Uint8Array;
  }[];
}

/** An error of an event. */
export function why(from: Reader): ComityError {
  const error = refused(from.byte(), from.text());
  const node = from.option((some) => some.number());
  if (node !== null) error.node = node;
  return error;
}

/** What a counter stands at. */
export function counterValue(from: Reader): RawCounterValue {
  return {
    value: from.widest(),
    stalenessUs: from.option((some) => some.number()),
    token: from.number(),
    epoch: from.number(),
    pending: from.wide() + from.wide(),
    oldestPendingUs: from.option((some) => some.number()),
  };
}

/** What an audit found. */
export function audit(from: Reader): CounterAudit {
  return numbered({
    live: from.number(),
    retired: from.number(),
    pruned: from.number(),
    compared: from.flag(),
    corrected: from.widest(),
  });
}

/** Who holds a lock and who waits. */
export function inspection(from: Reader): RawInspection {
  return {
    nowUs: from.number(),
    capacity: from.number(),
    holdersTotal: from.number(),
    waitersTotal: from.number(),
    holders: from.each((each) => ({
      id: each.text(),
      label: each.bytes(),
      fence: each.number(),
      remainingUs: each.number(),
      weight: each.number(),
    })),
    waiters: from.each((each) => ({ id: each.text(), label: each.bytes() })),
  };
}
