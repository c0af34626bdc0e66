/** node-redis 5 and 6. */

import { ComityError, ErrorCode, kindOf } from "../errors.js";
import type { Adapter } from "./adapters.js";
import { ascii, bufferClass, buffers, greeted, refusedOr, replyOf, replyOrThrow } from "./foreign.js";
import { attempt } from "./reason.js";
import { unlessAborted } from "../signal.js";
import { NotSent, Refused, type Connection, type Subscription, type Transport } from "./transport.js";
import type { Signal } from "../platform.js";
import { TextEncoder } from "../utf8.js";

/** Bytes that stand for the kinds of replies in RESP, by which node-redis maps them. */
const BULK = 36;
const SIMPLE = 43;
const INTEGER = 58;

/** What of a client is used. */
interface Client {
  readonly options?: Options;
  readonly isReady: boolean;
  duplicate(overrides: object): Client;
  connect(): Promise<unknown>;
  destroy(): void;
  sendCommand(words: readonly Uint8Array[]): Promise<unknown>;
  subscribe(channel: string, hear: (payload: Uint8Array) => void, bytes: true): Promise<unknown>;
  ping(): Promise<unknown>;
  unref(): void;
  on(event: string, listener: (value: unknown) => void): unknown;
}

interface Options {
  readonly keyPrefix?: unknown;
  readonly socket?: {
    readonly host?: string;
    readonly port?: number;
    readonly path?: string;
    readonly tls?: unknown;
  };
}

/** The adapter of node-redis. */
export const nodeRedis: Adapter = {
  name: "node-redis",

  knows(client) {
    const has = (name: string) => typeof (client as Record<string, unknown>)[name] === "function";
    // Those of other libraries have no commands in capitals.
    return has("sendCommand") && has("EVALSHA");
  },

  adapt(client) {
    const given = client as Client;
    const reason = objection(given);
    if (reason !== undefined) {
      throw new ComityError(ErrorCode.Unsupported, `${kindOf(client)} of node-redis ${reason}`);
    }
    return transport(given);
  },
};

function objection(client: Client): string | undefined {
  if ("getRandomNode" in client) {
    return "is a Redis Cluster client, which comity does not support yet: give it one client per independent master";
  }
  if ("getSentinelNode" in client) {
    return "finds servers by Sentinel, which comity does not support yet: give it a client of the master";
  }
  if ("execute" in client) {
    return "is a pool: give comity a plain client, of which it makes connections of its own";
  }
  if (!("withTypeMapping" in client)) {
    return "is older than version 5, which cannot give bytes as they are";
  }
  if (client.options?.keyPrefix) {
    return "puts its own prefix in front of keys (keyPrefix): give comity a plain client and set comity's own prefix";
  }
  return undefined;
}

function transport(client: Client): Transport {
  return {
    address: addressOf(client.options),
    dedicated: true,
    connect: (signal) => connected(client, signal),
    async subscribe(channel, hear, signal) {
      const link = await connected(client, signal);
      try {
        await link.client.subscribe(ascii(channel), hear, true);
      } catch (error) {
        link.close();
        throw refusedOr(error);
      }
      return link;
    },
  };
}

function addressOf(options: Options | undefined): string {
  const socket = options?.socket;
  return socket?.path ?? `${socket?.host ?? "localhost"}:${socket?.port ?? 6379}`;
}

interface Link extends Connection, Subscription {
  readonly client: Client;
}

/**
 * A duplicate that connects once and never again, queues nothing while it is offline, and has no
 * time limits: those are comity's. It speaks RESP2, which every server does.
 */
function duplicate(client: Client, database: number | undefined): Client {
  const asBytes = bufferClass();
  return client.duplicate({
    RESP: 2,
    ...(database !== undefined && { database }),
    disableOfflineQueue: true,
    // Its answer is not looked at, and a server that has too many clients says so in place of the first.
    disableClientInfo: true,
    commandsQueueMaxLength: undefined,
    pingInterval: undefined,
    clientSideCache: undefined,
    emitInvalidate: undefined,
    maintNotifications: "disabled",
    socket: { ...client.options?.socket, reconnectStrategy: false, socketTimeout: undefined },
    commandOptions: {
      timeout: undefined,
      typeMapping: { [BULK]: asBytes, [SIMPLE]: asBytes, [INTEGER]: String },
    },
  });
}

/**
 * The database that a client has chosen by SELECT, which it keeps to itself: it is asked on its own
 * connection, where it has one. Undefined where nobody says; then it is that of its options.
 */
async function selected(client: Client, signal: Signal): Promise<number | undefined> {
  if (!client.isReady) return undefined;
  const words = buffers(["CLIENT", "INFO"].map((word) => new TextEncoder().encode(word)));
  const asked = client.sendCommand(words).then(String, () => "");
  const [, number] = / db=(\d+)/.exec(await unlessAborted(asked, signal)) ?? [];
  return number === undefined ? undefined : Number(number);
}

async function connected(original: Client, signal: Signal): Promise<Link> {
  signal.throwIfAborted();
  const database = await selected(original, signal);
  signal.throwIfAborted();
  const client = duplicate(original, database);
  const begun = attempt(signal, original.options?.socket?.tls === true);
  // What waits for it keeps the process alive, and nothing else does.
  client.unref();
  let ended: (value?: unknown) => void = () => undefined;
  const closed = new Promise<unknown>((resolve) => (ended = resolve));
  let over = false;
  const destroy = () => {
    try {
      client.destroy();
    } catch {
      // Version 5 complains where there is nothing left to end.
    }
  };
  const close = () => {
    over = true;
    destroy();
    ended();
  };
  let why: unknown;
  // Every error is the end: nothing reconnects, and after one of the decoder nothing would fit. Of that
  // one `connect` says only that the connection was closed.
  client.on("error", (error) => {
    why ??= error;
    close();
  });
  client.on("end", ended);
  // One that is given up while it connects would stay connected.
  client.on("connect", () => {
    begun.isOpen = true;
    if (over) destroy();
  });
  signal.addEventListener("abort", close, { once: true });
  try {
    await client.connect();
    signal.throwIfAborted();
    await greeted(client.ping());
    signal.throwIfAborted();
  } catch (error) {
    close();
    throw error instanceof Refused ? error : refusedOr(why ?? error);
  } finally {
    signal.removeEventListener("abort", close);
  }
  return {
    client,
    closed,
    close,
    // It writes by an immediate.
    lazy: true,
    send: (batch) => batch.map(({ argv }) => send(client, argv)),
    ping: () => client.ping(),
  };
}

async function send(client: Client, argv: readonly Uint8Array[]) {
  if (!client.isReady) throw new NotSent("the connection is gone");
  return client.sendCommand(buffers(argv)).then(replyOf, replyOrThrow);
}
