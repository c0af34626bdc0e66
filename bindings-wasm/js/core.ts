/**
 * The core as it is: pure state machines, no I/O, for programs that bring their own transport.
 *
 * Times and spans are whole microseconds. `now` is the host's monotonic clock, for example
 * `Math.floor(performance.now() * 1000)`. Verbs return an id, or throw a `ComityError` with the
 * state unchanged; inputs are never refused.
 */

import "./inlined/core.js";

export type { Bytes } from "./bytes.js";
export type { Command, Route } from "./core/command.js";
export { Coordinator, type Failure, type NodeChange } from "./core/coordinator.js";
export type { CounterAudit, RawCounterValue, RawInspection } from "./core/event.js";
export type { Event, Outcome } from "./core/events.js";
export type {
  CoordinatorOptions,
  RawCounterOptions,
  RawLockOptions,
  RawTransactionOptions,
} from "./core/options.js";
export { PNCounter } from "./core/peer.js";
export { ErrorReply, type Reply } from "./core/reply.js";
export { type Nodes, type NodeSpec, Ring, type RingOptions } from "./core/ring.js";
export type { Expectation, Words } from "./core/words.js";
export { ComityError, ErrorCode, type ErrorName } from "./errors.js";
export { MemoryStore } from "./inlined/core-memory.js";
export { version } from "./version.js";
