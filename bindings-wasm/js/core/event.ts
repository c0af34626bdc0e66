import { type ComityError, refused } from "../errors.js";
import { numbered } from "../numbers.js";
import { Reader } from "../pack.js";
import { readReply } from "./codec.js";
import type { Reply } from "./reply.js";

/**
 * What is known of a transaction. `"unheard"`: nothing is recorded of it, and it may still come;
 * `"forgotten"`: it is over, and how is no longer recorded.
 */
export type Outcome = "committed" | "aborted" | "pending" | "unheard" | "forgotten";

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

/**
 * Something happened. Those marked *last* are the last of their lock, call, counter or transaction.
 * `name` is that of the lock or counter. Times are microseconds of the host's clock.
 */
export type Event =
  /** The lock is not free; so many are ahead. `holder` is the label of one who has it. */
  | {
      readonly kind: "lockQueued";
      readonly lock: number;
      name: Uint8Array;
      rank: number;
      holder: Uint8Array;
    }
  /** The lock is held. */
  | {
      readonly kind: "lockGranted";
      readonly lock: number;
      name: Uint8Array;
      fence: number;
      validUntil: number;
    }
  /** The lease was made longer. */
  | {
      readonly kind: "lockRenewed";
      readonly lock: number;
      name: Uint8Array;
      validUntil: number;
      /** Whether it is what the last `lockRenew` asked for, and not an earlier one that was on its way. */
      asked: boolean;
    }
  /**
   * The renewal that was asked for was refused, or not confirmed in time: the lease is as it was, unless
   * the server has executed one that is not answered. Renewals by themselves go on.
   */
  | { readonly kind: "lockNotRenewed"; readonly lock: number; name: Uint8Array; error: ComityError }
  /** The lease has ended without a release. *Last.* */
  | { readonly kind: "lockLost"; readonly lock: number; name: Uint8Array; error: ComityError }
  /** The lock was given back. *Last.* */
  | { readonly kind: "lockReleased"; readonly lock: number; name: Uint8Array }
  /** The lock was not granted, or its release could not be confirmed. *Last.* */
  | {
      readonly kind: "lockFailed";
      readonly lock: number;
      name: Uint8Array;
      error: ComityError;
      holder: Uint8Array | null;
    }
  /** The answer to `lockInspect`. *Last.* */
  | { readonly kind: "lockInspected"; readonly call: number; inspection: RawInspection }
  /** The answer to `fenceCheck`; `fence` is the highest that was shown. *Last.* */
  | { readonly kind: "fenceChecked"; readonly call: number; accepted: boolean; fence: number }
  /** All that was counted before is safe. *Last.* */
  | { readonly kind: "counterFlushed"; readonly call: number; counter: number; name: Uint8Array }
  /** The answer to `counterRead`. *Last.* */
  | {
      readonly kind: "counterRead";
      readonly call: number;
      counter: number;
      name: Uint8Array;
      value: RawCounterValue;
    }
  /** The answer to `counterReset`: so many resets there were. *Last.* */
  | {
      readonly kind: "counterReset";
      readonly call: number;
      counter: number;
      name: Uint8Array;
      epoch: number;
    }
  /** The answer to `counterAudit`. *Last.* */
  | {
      readonly kind: "counterAudited";
      readonly call: number;
      counter: number;
      name: Uint8Array;
      audit: CounterAudit;
    }
  /** Write this down in place of what was written before, then call `counterJournaled`. */
  | {
      readonly kind: "counterJournal";
      readonly counter: number;
      name: Uint8Array;
      bytes: Uint8Array;
    }
  /** So many units at most are not counted, or nobody can tell, and will not be tried again. */
  | {
      readonly kind: "counterLost";
      readonly counter: number;
      name: Uint8Array;
      units: bigint;
      error: ComityError;
    }
  /** The server has lost acknowledged units, as after a failover. */
  | { readonly kind: "counterRegressed"; readonly counter: number; name: Uint8Array; node: number }
  /** The server does not take what is counted. It is kept and tried again. */
  | {
      readonly kind: "counterRefused";
      readonly counter: number;
      name: Uint8Array;
      error: ComityError;
    }
  /** The counter is closed; so many units were not acknowledged by then. *Last.* */
  | {
      readonly kind: "counterClosed";
      readonly counter: number;
      name: Uint8Array;
      node: number;
      units: bigint;
    }
  /** The transaction is applied, or will be. `replies` are null where they are gone. *Last.* */
  | {
      readonly kind: "transactionCommitted";
      readonly transaction: number;
      id: string;
      replies: Reply[] | null;
      /** Whether plain readers see all of it by now. */
      applied: boolean;
      /**
       * So many replicas of each of its servers are known to have all of it; null where they were not
       * waited for.
       */
      replicas: number | null;
    }
  /**
   * The transaction is committed, and fewer of a node's replicas are known to have it than was asked
   * for: a failover of the node could lose its part. One for each such node, ahead of
   * `transactionCommitted`. `error` says why not more.
   */
  | {
      readonly kind: "transactionNotDurable";
      readonly transaction: number;
      id: string;
      node: number;
      replicas: number;
      error: ComityError;
    }
  /** Nothing of it was applied; `id` is empty where it had none yet. *Last.* */
  | {
      readonly kind: "transactionFailed";
      readonly transaction: number;
      id: string;
      error: ComityError;
    }
  /** Nobody can tell now whether it is applied; `transactionEnded` will. *Last.* */
  | {
      readonly kind: "transactionUnknown";
      readonly transaction: number;
      id: string;
      error: ComityError;
    }
  /** What has become of a transaction that was unknown. */
  | { readonly kind: "transactionEnded"; id: string; outcome: Outcome }
  /** A node does not have what a transaction has decided, as after a failover. */
  | { readonly kind: "transactionDamaged"; id: string; node: number }
  /** The answer to `transactionStatus`. *Last.* */
  | { readonly kind: "transactionStatus"; readonly call: number; id: string; outcome: Outcome }
  /** The answer to `transactionResolve`. *Last.* */
  | { readonly kind: "transactionResolved"; readonly call: number; id: string; outcome: Outcome }
  /** The answer to `transactionSweep`: so many things were removed or are being ended. *Last.* */
  | { readonly kind: "transactionSwept"; readonly call: number; count: number; unreadable: number }
  /** The answer to `checkNodes`, for one node. Texts are empty where it would not tell. *Last.* */
  | {
      readonly kind: "nodeChecked";
      readonly call: number;
      node: number;
      serverVersion: string;
      evictionPolicy: string;
    }
  /** A call came to nothing. *Last.* */
  | { readonly kind: "callFailed"; readonly call: number; node: number; error: ComityError }
  /** The push connection is subscribed. */
  | { readonly kind: "pushReady"; node: number }
  /** There is no push connection for now: waiters ask again and again instead. */
  | { readonly kind: "pushUnavailable"; node: number; error: ComityError }
  /** Everything that `close` began is done, or its time is over. */
  | { readonly kind: "closed" }
  /**
   * The server of a node does not serve: no connection to it can be made, the one there was broke, a
   * command was not answered in time, or the server refuses to connect or to do anything. Once for each
   * outage. `error` says why, in the client's words where it has any, or in the server's; `waiting` is how many wait in line for a lock there, and wait on.
   */
  | { readonly kind: "nodeDown"; node: number; waiting: number; error: ComityError }
  /** The server of a node serves again, which a refusal is no sign of, so long after the first sign that it was away. */
  | { readonly kind: "nodeUp"; node: number; outageUs: number }
  /** Of a kind that this version does not know. */
  | { readonly kind: "unknown" };

const OUTCOMES: readonly Outcome[] = ["committed", "aborted", "pending", "unheard", "forgotten"];

/** In the order of the bytes that stand for them in `src/event.rs`. */
const READERS: readonly ((r: Reader) => Event)[] = [
  (r) => ({
    kind: "lockQueued",
    lock: r.number(),
    name: r.bytes(),
    rank: r.number(),
    holder: r.bytes(),
  }),
  (r) => ({
    kind: "lockGranted",
    lock: r.number(),
    name: r.bytes(),
    fence: r.number(),
    validUntil: r.number(),
  }),
  (r) => ({
    kind: "lockRenewed",
    lock: r.number(),
    name: r.bytes(),
    validUntil: r.number(),
    asked: r.flag(),
  }),
  (r) => ({ kind: "lockLost", lock: r.number(), name: r.bytes(), error: why(r) }),
  (r) => ({ kind: "lockReleased", lock: r.number(), name: r.bytes() }),
  (r) => ({
    kind: "lockFailed",
    lock: r.number(),
    name: r.bytes(),
    error: why(r),
    holder: r.option((some) => some.bytes()),
  }),
  (r) => ({ kind: "lockInspected", call: r.number(), inspection: inspection(r) }),
  (r) => ({ kind: "fenceChecked", call: r.number(), accepted: r.flag(), fence: r.number() }),
  (r) => ({ kind: "counterFlushed", call: r.number(), counter: r.number(), name: r.bytes() }),
  (r) => ({
    kind: "counterRead",
    call: r.number(),
    counter: r.number(),
    name: r.bytes(),
    value: counterValue(r),
  }),
  (r) => ({
    kind: "counterReset",
    call: r.number(),
    counter: r.number(),
    name: r.bytes(),
    epoch: r.number(),
  }),
  (r) => ({
    kind: "counterAudited",
    call: r.number(),
    counter: r.number(),
    name: r.bytes(),
    audit: audit(r),
  }),
  (r) => ({ kind: "counterJournal", counter: r.number(), name: r.bytes(), bytes: r.bytes() }),
  (r) => ({
    kind: "counterLost",
    counter: r.number(),
    name: r.bytes(),
    units: r.wide(),
    error: why(r),
  }),
  (r) => ({ kind: "counterRegressed", counter: r.number(), name: r.bytes(), node: r.number() }),
  (r) => ({ kind: "counterRefused", counter: r.number(), name: r.bytes(), error: why(r) }),
  (r) => ({
    kind: "counterClosed",
    counter: r.number(),
    name: r.bytes(),
    node: r.number(),
    units: r.wide(),
  }),
  (r) => ({
    kind: "transactionCommitted",
    transaction: r.number(),
    id: r.text(),
    replies: r.option((some) => some.each(readReply)),
    applied: r.flag(),
    replicas: r.option((some) => some.number()),
  }),
  (r) => ({
    kind: "transactionNotDurable",
    transaction: r.number(),
    id: r.text(),
    node: r.number(),
    replicas: r.number(),
    error: why(r),
  }),
  (r) => ({ kind: "transactionFailed", transaction: r.number(), id: r.text(), error: why(r) }),
  (r) => ({ kind: "transactionUnknown", transaction: r.number(), id: r.text(), error: why(r) }),
  (r) => ({ kind: "transactionEnded", id: r.text(), outcome: outcome(r) }),
  (r) => ({ kind: "transactionDamaged", id: r.text(), node: r.number() }),
  (r) => ({ kind: "transactionStatus", call: r.number(), id: r.text(), outcome: outcome(r) }),
  (r) => ({ kind: "transactionResolved", call: r.number(), id: r.text(), outcome: outcome(r) }),
  (r) => ({
    kind: "transactionSwept",
    call: r.number(),
    count: r.number(),
    unreadable: r.number(),
  }),
  (r) => ({
    kind: "nodeChecked",
    call: r.number(),
    node: r.number(),
    serverVersion: r.text(),
    evictionPolicy: r.text(),
  }),
  (r) => ({ kind: "callFailed", call: r.number(), node: r.number(), error: why(r) }),
  (r) => ({ kind: "pushReady", node: r.number() }),
  (r) => ({ kind: "pushUnavailable", node: r.number(), error: why(r) }),
  () => ({ kind: "closed" }),
  (r) => ({ kind: "nodeDown", node: r.number(), waiting: r.number(), error: why(r) }),
  (r) => ({ kind: "nodeUp", node: r.number(), outageUs: r.number() }),
  (r) => ({ kind: "lockNotRenewed", lock: r.number(), name: r.bytes(), error: why(r) }),
];

/** The event that these bytes tell. */
export function readEvent(bytes: Uint8Array): Event {
  const reader = new Reader(bytes);
  return READERS[reader.byte()]?.(reader) ?? { kind: "unknown" };
}

function why(from: Reader): ComityError {
  const error = refused(from.byte(), from.text());
  const node = from.option((some) => some.number());
  if (node !== null) error.node = node;
  return error;
}

function outcome(from: Reader): Outcome {
  return OUTCOMES[from.byte()] ?? "unheard";
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

function audit(from: Reader): CounterAudit {
  return numbered({
    live: from.number(),
    retired: from.number(),
    pruned: from.number(),
    compared: from.flag(),
    corrected: from.widest(),
  });
}

function inspection(from: Reader): RawInspection {
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
