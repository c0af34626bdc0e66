import { ioredis } from "./ioredis.js";
import { nodeRedis } from "./node-redis.js";
import type { Transport } from "./transport.js";

/** Makes a transport of one library's clients. */
export interface Adapter {
  /** For messages: `"node-redis"`. */
  readonly name: string;

  /** Whether `client` is one of that library's, told by its shape: nothing is imported for it. */
  knows(client: object): boolean;

  /**
   * How the client's server is reached, by connections of comity's own: the client itself is left
   * alone. Throws `Unsupported` with the reason for a client that comity cannot serve.
   */
  adapt(client: object): Transport;
}

/** Every library that `connect` knows; the first that knows a client has it. */
export const ADAPTERS: readonly Adapter[] = [ioredis, nodeRedis];
