import type { Transport } from "./driver/transport.js";
import type { Signal, Url } from "./platform.js";

/** A client of node-redis or ioredis; comity makes connections of its own by its settings. */
export interface RedisClient {
  duplicate(...overrides: never[]): unknown;
}

/** One server: by its URL, by a client, or by how it is reached. */
export type OneClient = string | Url | RedisClient | Transport;

/**
 * What `connect` takes: one server; several by stable ids, which form a ring; or several whose
 * addresses are the ids.
 */
export type Client =
  | OneClient
  | ReadonlyMap<string | Uint8Array, OneClient>
  | { readonly [id: string]: OneClient }
  | readonly OneClient[];

/** Where lines for people go: `console`, or a logger of pino, winston, bunyan, ... */
export interface Logger {
  info(line: string): void;
  /** What somebody has to see to; `info` is told where this is not there. */
  warn?(line: string): void;
}

/** How a coordinator is set up. */
export interface ConnectOptions {
  /** Stands in front of every key and channel: printable ASCII, at most 128 bytes; `"comity:"`. */
  prefix?: string | Uint8Array | undefined;
  /** Milliseconds a verb tries to reach a server before it fails, 10 to 60,000; 5,000. */
  timeout?: number | undefined;
  /** Prove at once, within `timeout`, that every server can serve; true. */
  check?: boolean | undefined;
  /**
   * Learn of a grant by pub/sub rather than by polling; true. Where an ACL forbids channels, say
   * false.
   */
  push?: boolean | undefined;
  /**
   * Take transactions to servers that evict keys as well, which can lose a part of one; false.
   */
  allowEviction?: boolean | undefined;
  /**
   * Told in one line each, and with names: a server is lost, and why, or back, and after how long; a
   * lease is lost; a lock is granted after a long wait; a transaction is in doubt. Nobody by default;
   * `events()` tells programs the same. Warnings go to its `warn`; by default they are the process's,
   * or the console's where there are none such.
   */
  logger?: Logger | undefined;
  /** Gives up connecting. */
  signal?: Signal | undefined;
}
