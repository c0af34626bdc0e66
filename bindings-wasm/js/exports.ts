/** What `comity` and `comity/slim` have in common. */

export type { Bytes, Word } from "./bytes.js";
export type { Client, ConnectOptions, Logger, OneClient, RedisClient } from "./client.js";
export { connect } from "./connect.js";
export {
  Coordinator,
  type HoldOptions,
  type ResolveOptions,
  type RunOptions,
  type SweepOptions,
} from "./coordinator.js";
export {
  type Batched,
  Counter,
  type CounterOptions,
  type CounterValue,
  type Durability,
  type Journaled,
  type ReadOptions,
} from "./counter.js";
export type { CounterAudit } from "./core/event.js";
export type { Outcome } from "./core/events.js";
export { PNCounter } from "./core/peer.js";
export { ErrorReply, type Reply } from "./core/reply.js";
export { type Nodes, type NodeSpec, Ring, type RingOptions } from "./core/ring.js";
export { http } from "./driver/http.js";
export type { TlsOptions, WebConnect } from "./driver/sockets.js";
export { tcp, type TcpOptions } from "./driver/tcp.js";
export {
  type Connection,
  NotSent,
  Refused,
  type Subscription,
  type Transport,
} from "./driver/transport.js";
export { ComityError, ErrorCode, type ErrorName } from "./errors.js";
export { type Event, Events, type EventsOptions } from "./events.js";
export type { Holder, Inspection, Waiter } from "./inspection.js";
export { type AcquireOptions, Lock, type LockOptions, type Waiting } from "./lock.js";
export type { StoreReply } from "./memory.js";
export type { Keys } from "./transaction/reads.js";
export type { BytesOption, TransactionOptions, Wait } from "./transaction/request.js";
export { type Condition, Savepoint, Transaction, Watched } from "./transaction/transaction.js";
export { version } from "./version.js";
