/** `connect()`: a coordinator over one Redis server, several, or none. */

import { type Bytes, isBytes, octets } from "./bytes.js";
import type { Client, ConnectOptions, OneClient } from "./client.js";
import { nowUs } from "./clock.js";
import { Coordinator } from "./coordinator.js";
import { Coordinator as Core } from "./core/coordinator.js";
import { ADAPTERS } from "./driver/adapters.js";
import { type Embedded, drives, isEmbedded, TransportDriver } from "./driver/driver.js";
import { tcp } from "./driver/tcp.js";
import type { Transport } from "./driver/transport.js";
import { ComityError, ErrorCode, invalid, kindOf } from "./errors.js";
import { type Teller, tellerOf } from "./log.js";
import type { MemoryStore } from "./memory.js";
import { Session } from "./session.js";
import { refuseAborted } from "./signal.js";
import { flag, MAX_TIMEOUT, MIN_TIMEOUT, millis, options as checked } from "./units.js";

/** The one node of a ring without servers. */
const MEMORY_ID = "memory";
/** What the libraries call the parts of an address. */
const ADDRESS = ["host", "hostname", "port", "url", "path", "socket", "db", "database"];
const OPTIONS = ["prefix", "timeout", "check", "push", "allowEviction", "logger", "signal"];

/** Where a store for a `connect()` without a client comes from: only who calls that loads it. */
let source: () => Promise<{ ownStore(): Embedded }> = () => import("./own.js");

/** Has that store come from elsewhere. */
export function takeStoreFrom(elsewhere: typeof source): void {
  source = elsewhere;
}

/** A store for one coordinator. Throws `Unsupported` where the script that has it cannot be loaded. */
async function ownStore(): Promise<Embedded> {
  let script: Awaited<ReturnType<typeof source>>;
  try {
    script = await source();
  } catch (error) {
    const message = `a script of comity's cannot be loaded: ${String(error)}`;
    throw new ComityError(ErrorCode.Unsupported, message, { cause: error });
  }
  return script.ownStore();
}

/**
 * A coordinator over one Redis server, several, or none.
 *
 * `client`: a URL such as `"redis://localhost:6379"`, for which no client library is needed (see
 * `tcp`); a client of node-redis or ioredis, or `http(...)`; an object or `Map` of stable ids to
 * such, which form a ring; an array of them, whose addresses are the ids; a `MemoryStore`; or
 * nothing, for a store of its own in this process.
 *
 * The client's address, credentials, TLS and database are used; connections (two per server, a third
 * for `durability` of transactions) are comity's own, and the client is left alone. Throws
 * `Unsupported` for clients that comity cannot serve, before anything is sent; with `check` also
 * `Unreachable`, `NoAnswer`, `ServerRefused`, `RingMismatch`. Warns about a server that evicts keys.
 */
export async function connect(
  client?: Client | MemoryStore | null,
  options?: ConnectOptions,
): Promise<Coordinator> {
  const given = checked("options", options, OPTIONS);
  const timeout = millis("timeout", given.timeout ?? 5000, MIN_TIMEOUT, MAX_TIMEOUT);
  const prefix = octets("prefix", given.prefix ?? "comity:");
  const check = flag("check", given.check, true);
  const push = flag("push", given.push, true);
  const allowEviction = flag("allowEviction", given.allowEviction, false);
  const teller = tellerOf(given.logger);
  refuseAborted(given.signal);

  if (client === undefined || client === null || isEmbedded(client)) {
    const store = client ?? (await ownStore());
    const now = () => store.now();
    const core = new Core({ nodes: [MEMORY_ID], now: now(), prefix, timeoutUs: timeout, push });
    const session = new Session(core, 1, now, store.ticks);
    Object.assign(session, teller);
    session.isShared = false;
    return new Coordinator(session, store[drives](session), timeout / 1000, allowEviction);
  }

  const transports = transportsById(client, teller.warn);
  const pushes = push && transports.some(([, transport]) => transport.subscribe !== undefined);
  const core = new Core({
    nodes: transports.map(([id]) => id),
    now: nowUs(),
    prefix,
    timeoutUs: timeout,
    push: pushes,
  });
  // The core numbers nodes by their ids in the order of bytes; in the ring one alone has another id.
  const sorted = transports.map((_, node) => transportOf(transports, core.nodeId(node)));
  const session = new Session(core, sorted.length, nowUs, true);
  Object.assign(session, teller);
  const coordinator = new Coordinator(
    session,
    new TransportDriver(session, sorted),
    timeout / 1000,
    allowEviction,
  );
  if (check) {
    try {
      await coordinator.prove(given.signal);
    } catch (error) {
      await coordinator.close();
      throw error;
    }
  }
  return coordinator;
}

type Named = readonly [Bytes, Transport];

/** The transports by stable id. */
function transportsById(client: Client, warn: Teller["warn"]): Named[] {
  if (Array.isArray(client)) {
    const all = (client as readonly OneClient[]).map((each): Named => {
      const transport = adapted(each);
      return [transport.address, transport];
    });
    const twice = all.find(([id], at) => all.findIndex(([other]) => other === id) !== at);
    if (twice !== undefined) throw invalid(`two clients have the same address, ${twice[0]}`);
    warnOfLocalNames(all.map(([id]) => String(id)), warn);
    return some(all);
  }
  if (client instanceof Map) {
    return some(
      [...(client as ReadonlyMap<Bytes, OneClient>)].map(([id, each]) => [id, adapted(each)]),
    );
  }
  const one = known(client);
  if (one !== null) return [[one.address, one]];
  const prototype: unknown = typeof client === "object" ? Object.getPrototypeOf(client) : undefined;
  if (prototype === Object.prototype || prototype === null) {
    refuseAddress(client as object);
    return some(Object.entries(client as object).map(([id, each]) => [id, adapted(each)]));
  }
  throw unknown(client);
}

/** Throws for what a client is made of and is none, which else would be an id and no client. */
function refuseAddress(client: object): void {
  const words = Object.keys(client).filter((key) => ADDRESS.includes(key));
  const [word] = words.filter((key) => typeof (client as Record<string, unknown>)[key] !== "object");
  if (word !== undefined || words.includes("socket")) throw notByAddress(`{ ${words.join(", ")} }`);
}

function notByAddress(given: string): ComityError {
  const message =
    `${given} is no client: give it a URL, as in connect("redis://localhost:6379"), or a client, as in ` +
    "connect(createClient({ url })) of node-redis or connect(new Redis(url)) of ioredis";
  return new ComityError(ErrorCode.Unsupported, message);
}

function some(all: Named[]): Named[] {
  if (all.length === 0) throw invalid("no clients: give at least one");
  return all;
}

function adapted(client: unknown): Transport {
  const transport = known(client);
  if (transport === null) throw unknown(client);
  return transport;
}

/** How a client's server is reached; null if it is none that is known. */
function known(client: unknown): Transport | null {
  if (typeof client === "string" || (typeof URL === "function" && client instanceof URL)) return tcp(client);
  if (typeof client !== "object" && typeof client !== "function") return null;
  if (client === null) return null;
  if (isEmbedded(client)) {
    throw new ComityError(ErrorCode.Unsupported, "a MemoryStore cannot be one of several clients");
  }
  const { connect, address } = client as Partial<Transport>;
  const adapter = ADAPTERS.find((each) => each.knows(client));
  if (adapter !== undefined) return adapter.adapt(client);
  if (typeof connect === "function" && typeof address === "string") return client as Transport;
  return null;
}

function unknown(client: unknown): ComityError {
  const names = ADAPTERS.map(({ name }) => name).join(", ");
  const message =
    `comity does not know what to do with this client (${kindOf(client)}): it takes a URL, clients of ` +
    `${names}, http(...), a Transport, a MemoryStore, or several by their ids`;
  return new ComityError(ErrorCode.Unsupported, message);
}

function transportOf(all: readonly Named[], id: Bytes): Transport {
  const key = (one: Bytes) => String(isBytes(one) ? Array.from(one) : one);
  const found = all.find(([other]) => key(other) === key(id) || key(octets("id", other)) === key(id));
  if (found === undefined) throw invalid("the id of a client is not what it was");
  return found[1];
}

function warnOfLocalNames(ids: readonly string[], warn: Teller["warn"]): void {
  const local = ids.find((id) => /^(localhost|127\.|\[?::1)/.test(id) || id.startsWith("/"));
  if (local === undefined || ids.length < 2) return;
  warn(
    `the ids of the ring are addresses that mean something else elsewhere (${local}): a process ` +
      "that writes localhost and one that writes 127.0.0.1 look for keys on different servers; " +
      "give connect() an object of stable ids instead",
  );
}
