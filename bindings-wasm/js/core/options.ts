/** What the verbs of the core are told besides what they are about. */

import type { Bytes } from "../bytes.js";
import type { Nodes } from "./ring.js";
import type { Expectation } from "./words.js";

/** A whole number from 0 to 2^53 - 1. Times are microseconds of the host's monotonic clock. */
export type Whole = number | bigint;

/** How a coordinator is set up. */
export interface CoordinatorOptions {
  /** The servers by stable id. At least one with a weight. */
  nodes: Nodes;
  /** The time. */
  now: Whole;
  /** 32 bytes from a CSPRNG that were never used before; from `crypto` if left out. */
  entropy?: Uint8Array | undefined;
  /** Stands in front of every key and channel: printable ASCII, at most 128 bytes; `"comity:"`. */
  prefix?: Bytes | undefined;
  /** How long a verb tries to reach a server before it fails, 10 ms to 60 s; 5 s. */
  timeoutUs?: Whole | undefined;
  /** Whether grants are received by push; true. */
  push?: boolean | undefined;
}

/** How a lock is asked for. */
export interface RawLockOptions {
  /** How long a lease lasts unless it is renewed, 50 ms to 24 h; 30 s. */
  ttlUs?: Whole | undefined;
  /** How long to wait for the grant: as long as it takes if left out or null, 0 to try once. */
  waitUs?: Whole | null | undefined;
  /** Whether the lease is renewed by itself while it is held; true. */
  renew?: boolean | undefined;
  /** How long after the grant renewals end; never if left out or null. */
  maxHoldUs?: Whole | null | undefined;
  /** Shown to others as the owner, at most 256 bytes. */
  label?: Bytes | undefined;
}

/** How a counter is kept. */
export interface RawCounterOptions {
  /** When what was counted is safe; `"batched"`. */
  durability?: "sync" | "batched" | "journaled" | undefined;
  /** The longest that a unit waits for its flush, up to an hour; 10 ms. */
  maxDelayUs?: Whole | undefined;
  /** The most units that may be unacknowledged, from 2; no bound if left out. Batched only. */
  maxUnits?: Whole | undefined;
  /** Whether the host keeps the sums itself, and is asked for them by `pollCounterDue`; false. */
  collected?: boolean | undefined;
  /** The bytes of a journal or a snapshot. */
  restore?: Uint8Array | undefined;
}

/** How a transaction is executed. */
export interface RawTransactionOptions {
  /** What must hold, or nothing is applied. */
  expectations?: readonly Expectation[] | undefined;
  /** Done when plain readers see all of it, or when it is certain; `"applied"`. */
  ack?: "applied" | "decided" | undefined;
  /** How long it may take until it is decided, 10 ms to 60 s; the coordinator's timeout. */
  timeoutUs?: Whole | undefined;
  /** How long its keys stay locked after a vote before others may end it, 10 ms to 60 s. */
  patienceUs?: Whole | undefined;
  /** The largest collection that is copied to be changed, in elements; 10,000. */
  copyElements?: number | undefined;
  /** The largest string that is copied to be changed, in bytes; 1 MiB. */
  copyBytes?: number | undefined;
  /**
   * How many replicas of each of its servers, 1 to 64, are to have it, and for how long they are
   * waited for once it is applied, 10 ms to 60 s. Only with `ack: "applied"`; for none if left out.
   */
  durability?: { replicas: number; timeoutUs: Whole } | undefined;
}
