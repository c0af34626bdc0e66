/** ioredis 5 and 6. */

import { ComityError, ErrorCode } from "../errors.js";
import type { Adapter } from "./adapters.js";
import { ascii, buffers, greeted, refusedOr, replyOf, replyOrThrow } from "./foreign.js";
import { attempt } from "./reason.js";
import { NotSent, Refused, type Connection, type Subscription, type Transport } from "./transport.js";
import type { Signal } from "../platform.js";
import { TextEncoder } from "../utf8.js";

/** What of a client is used. */
interface Client {
  readonly options: Options;
  readonly status: string;
  /** What the connection was told; null before it is made. */
  readonly condition?: { readonly select?: number } | null;
  readonly isCluster?: boolean;
  readonly stream?: Stream;
  duplicate(overrides: object): Client;
  connect(): Promise<unknown>;
  disconnect(): void;
  callBuffer(command: string, words: readonly Uint8Array[]): Promise<unknown>;
  subscribe(channel: string): Promise<unknown>;
  ping(): Promise<unknown>;
  on(event: string, listener: (...values: never[]) => void): unknown;
}

interface Options {
  readonly keyPrefix?: unknown;
  readonly host?: string;
  readonly port?: number;
  readonly path?: string;
  readonly sentinels?: readonly unknown[] | null;
  readonly name?: string | null;
  readonly role?: string;
  readonly db?: number;
  readonly tls?: unknown;
}

interface Stream {
  readonly writable: boolean;
  cork(): void;
  uncork(): void;
  unref(): void;
  destroy(): void;
}

/** The adapter of ioredis. */
export const ioredis: Adapter = {
  name: "ioredis",

  knows(client) {
    const given = client as Record<string, unknown>;
    return typeof given["callBuffer"] === "function" && typeof given["duplicate"] === "function";
  },

  adapt(client) {
    const given = client as Client;
    const reason = objection(given);
    if (reason !== undefined) {
      throw new ComityError(ErrorCode.Unsupported, `the client of ioredis ${reason}`);
    }
    return transport(given);
  },
};

function objection(client: Client): string | undefined {
  if (client.isCluster) {
    return "is a Redis Cluster client, which comity does not support yet: give it one client per independent master";
  }
  if (client.options.keyPrefix) {
    return "puts its own prefix in front of keys (keyPrefix): give comity a plain client and set comity's own prefix";
  }
  if (client.options.sentinels && client.options.role === "slave") {
    return "reads from replicas (role): give comity a client of the master";
  }
  return undefined;
}

function transport(client: Client): Transport {
  return {
    address: addressOf(client.options),
    dedicated: true,
    connect: (signal) => connected(client, signal),
    async subscribe(channel, hear, signal) {
      // Which answers by itself, and knows no databases.
      const link = await connected(client, signal, () => undefined);
      link.client.on("messageBuffer", (_: Uint8Array, payload: Uint8Array) => hear(payload));
      try {
        await link.client.subscribe(ascii(channel));
      } catch (error) {
        link.close();
        throw refusedOr(error);
      }
      return link;
    },
  };
}

function addressOf(options: Options): string {
  if (options.sentinels) return options.name ?? "sentinel";
  return options.path ?? `${options.host ?? "localhost"}:${options.port ?? 6379}`;
}

interface Link extends Connection, Subscription {
  readonly client: Client;
}

/**
 * A duplicate that connects once and never again, queues nothing while it is offline, and has no
 * time limits: those are comity's. It speaks RESP2, which every server does.
 */
function duplicate(client: Client, db: number): Client {
  return client.duplicate({
    protocol: 2,
    replyMapping: "legacy",
    lazyConnect: true,
    enableOfflineQueue: false,
    // Whether it is loading is the server's to say, to each command.
    enableReadyCheck: false,
    // Its answer is not looked at, and a server that has too many clients says so in place of the first.
    disableClientInfo: true,
    enableAutoPipelining: false,
    autoResubscribe: false,
    autoResendUnfulfilledCommands: false,
    retryStrategy: null,
    reconnectOnError: null,
    sentinelRetryStrategy: null,
    failoverDetector: false,
    maxRetriesPerRequest: null,
    commandTimeout: undefined,
    socketTimeout: undefined,
    blockingTimeout: undefined,
    db,
    connectTimeout: undefined,
    himportFieldsets: undefined,
    monitor: false,
    stringNumbers: true,
  });
}

/** What a new connection is asked first. */
type Asks = (client: Client, db: number) => Promise<void> | undefined;

async function connected(original: Client, signal: Signal, asks: Asks = arrived): Promise<Link> {
  signal.throwIfAborted();
  // Also where it was chosen by SELECT.
  const db = Number(original.condition?.select ?? original.options.db ?? 0);
  const client = duplicate(original, db);
  const begun = attempt(signal, Boolean(original.options.tls));
  let ended: (value?: unknown) => void = () => undefined;
  const closed = new Promise<unknown>((resolve) => (ended = resolve));
  let why: unknown;
  const close = () => {
    client.disconnect();
    // Which by itself would give the server two seconds to hang up first.
    client.stream?.destroy();
    ended();
  };
  // `connect` says only that the connection is closed: the reason comes as this event.
  client.on("error", (error: unknown) => (why = error));
  client.on("end", ended);
  // What waits for it keeps the process alive, and nothing else does.
  client.on("connect", () => {
    begun.isOpen = true;
    client.stream?.unref();
  });
  signal.addEventListener("abort", close, { once: true });
  try {
    await client.connect();
    signal.throwIfAborted();
    await asks(client, db);
    signal.throwIfAborted();
  } catch (error) {
    close();
    throw error instanceof Refused ? error : refusedOr(why ?? error);
  } finally {
    signal.removeEventListener("abort", close);
  }
  return { client, closed, close, send: (batch) => sent(client, batch), ping: () => client.ping() };
}

/**
 * Asks once: the client works in database 0 where the server refuses the one that was chosen. Throws
 * `Refused` then.
 */
async function arrived(client: Client, db: number): Promise<void> {
  if (db === 0) return greeted(client.callBuffer("PING", []));
  try {
    await client.callBuffer("SELECT", buffers([new TextEncoder().encode(String(db))]));
  } catch (error) {
    throw refusedOr(error);
  }
}

function sent(client: Client, batch: Parameters<Connection["send"]>[0]) {
  const stream = client.stream;
  stream?.cork();
  const replies = batch.map(({ argv }) => send(client, argv));
  stream?.uncork();
  return replies;
}

async function send(client: Client, [name, ...words]: readonly Uint8Array[]) {
  if (name === undefined || client.status !== "ready" || !client.stream?.writable) {
    throw new NotSent("the connection is gone");
  }
  return client.callBuffer(ascii(name), buffers(words)).then(replyOf, replyOrThrow);
}
