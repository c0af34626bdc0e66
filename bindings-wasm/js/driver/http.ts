/** Redis over HTTP, for browsers and wherever else there are no sockets. */

import { ErrorReply, type Reply } from "../core/reply.js";
import { invalid, kindOf } from "../errors.js";
import { options as checked } from "../units.js";
import { Denied, poster, type Gateway, type Target } from "./gateway.js";
import { NotSent, Refused, type Connection, type Transport } from "./transport.js";
import { UPSTASH_HEADERS, upstash } from "./upstash.js";
import { webdis } from "./webdis.js";
import type { Fetch, Signal, Url } from "../platform.js";
import { TextEncoder } from "../utf8.js";

/** How a gateway is spoken to. */
export interface HttpOptions {
  /**
   * `"webdis"`: Webdis 0.1.9 or later. Every byte passes, and grants are pushed.
   *
   * `"upstash"`: the REST API of Upstash and what is made after it. A command with bytes that are
   * not UTF-8 is refused (`ServerRefused`, nothing was done), and waiters ask again and again,
   * because nothing is pushed. Tested against an imitation, not against the service.
   */
  dialect: "webdis" | "upstash";
  /** Goes along as `Authorization: Bearer`. For basic authentication put both into the URL. */
  token?: string | undefined;
  /** In place of the global `fetch`. */
  fetch?: Fetch | undefined;
}

/** Of the six connections that a browser has for one host, one hears pushes. */
const AT_ONCE = 5;
const PING = [new TextEncoder().encode("PING")];

/**
 * A Redis server behind an HTTP gateway, for `connect`:
 * `connect(http("https://example.com/redis", { dialect: "webdis" }))`.
 *
 * Sends nothing yet. Throws `InvalidArgument` for an address that is no URL of http or https, and
 * for a dialect that there is not.
 */
export function http(url: string | Url, options: HttpOptions): Transport {
  const { address, target } = located(url, options);
  const { dialect } = options;
  const gateway =
    dialect === "webdis"
      ? webdis(poster(target))
      : upstash(poster({ ...target, url: `${target.url.replace(/\/$/, "")}/pipeline` }));
  return {
    address,
    connect: (signal) => connected(gateway, signal),
    ...(gateway.subscribe && { subscribe: gateway.subscribe }),
  };
}

function located(given: string | Url, options: HttpOptions): { address: string; target: Target } {
  const known = checked("options", options, ["dialect", "token", "fetch"]);
  const { dialect, token, fetch = globalThis.fetch.bind(globalThis) } = known;
  if (dialect !== "webdis" && dialect !== "upstash") {
    throw invalid(`dialect must be "webdis" or "upstash", not ${shown(dialect)}`);
  }
  if (token !== undefined && typeof token !== "string") {
    throw invalid(`token must be a string, not ${kindOf(token)}`);
  }
  const url = parsed(given);
  const headers: Record<string, string> = dialect === "upstash" ? { ...UPSTASH_HEADERS } : {};
  if (token !== undefined) headers["Authorization"] = `Bearer ${token}`;
  else if (url.username !== "") headers["Authorization"] = `Basic ${basic(url)}`;
  // A request with credentials in its address is refused by `fetch`.
  url.username = url.password = url.hash = "";
  return { address: url.href, target: { url: url.href, headers, fetch } };
}

function parsed(given: unknown): URL {
  let url;
  try {
    url = new URL(given as string | Url);
  } catch {
    // Of the text nothing is told: there may be a password anywhere.
    throw invalid(typeof given === "string" ? "url is no URL of http or https" : `url must be a URL, not ${kindOf(given)}`);
  }
  if (url.protocol !== "http:" && url.protocol !== "https:") {
    throw invalid(`url must be of http or https, not ${url.protocol}`);
  }
  return url;
}

/** A string as it is, of anything else the kind. */
function shown(value: unknown): string {
  return typeof value === "string" ? JSON.stringify(value) : kindOf(value);
}

function basic({ username, password }: URL): string {
  const plain = `${decodeURIComponent(username)}:${decodeURIComponent(password)}`;
  return btoa(String.fromCharCode(...new TextEncoder().encode(plain)));
}

/** Asks once, so that a gateway that is not there is known before anything else is sent. */
async function connected(gateway: Gateway, signal: Signal): Promise<Connection> {
  signal.throwIfAborted();
  const connection = new HttpConnection(gateway);
  const close = () => connection.close();
  signal.addEventListener("abort", close, { once: true });
  try {
    const reply = await connection.ask(PING);
    // To forbid PING is no reason to forbid anything else.
    if (reply instanceof ErrorReply && !reply.text.startsWith("NOPERM")) {
      throw new Refused(reply.text);
    }
    signal.throwIfAborted();
    return connection;
  } catch (error) {
    close();
    throw error;
  } finally {
    signal.removeEventListener("abort", close);
  }
}

interface Waiting {
  readonly command: string;
  readonly resolve: (reply: Reply) => void;
  readonly reject: (error: unknown) => void;
}

/**
 * Requests to one gateway, five at a time. They may overtake one another, which changes nothing for
 * comity's commands. The first that fails is the end of it.
 */
class HttpConnection implements Connection {
  readonly closed: Promise<unknown>;
  readonly #gateway: Gateway;
  /** One for each request: a signal that many share keeps something of each. */
  readonly #running = new Set<AbortController>();
  #waiting: Waiting[] = [];
  #gone = false;
  #ended: (value?: unknown) => void = () => undefined;

  constructor(gateway: Gateway) {
    this.#gateway = gateway;
    this.closed = new Promise((resolve) => (this.#ended = resolve));
  }

  send(batch: Parameters<Connection["send"]>[0]): readonly Promise<Reply>[] {
    const replies = batch.map(({ argv }) => this.#enqueue(argv));
    this.#next();
    return replies;
  }

  ask(argv: readonly Uint8Array[]): Promise<Reply> {
    const reply = this.#enqueue(argv);
    this.#next();
    return reply;
  }

  close(): void {
    this.#gone = true;
    this.#ended();
    for (const request of this.#running) request.abort();
    const unsent = this.#waiting;
    this.#waiting = [];
    for (const { reject } of unsent) reject(new NotSent("the connection is gone"));
  }

  #enqueue(argv: readonly Uint8Array[]): Promise<Reply> {
    const command = this.#gateway.encode(argv);
    if (command instanceof ErrorReply) return Promise.resolve(command);
    if (this.#gone) return Promise.reject(new NotSent("the connection is gone"));
    return new Promise((resolve, reject) => this.#waiting.push({ command, resolve, reject }));
  }

  #next(): void {
    while (this.#waiting.length > 0 && this.#running.size < AT_ONCE) {
      void this.#exchange(this.#waiting.splice(0, this.#gateway.most));
    }
  }

  async #exchange(batch: readonly Waiting[]): Promise<void> {
    const request = new AbortController();
    this.#running.add(request);
    try {
      const commands = batch.map(({ command }) => command);
      const replies = await this.#gateway.exchange(commands, request.signal);
      batch.forEach(({ resolve }, at) => resolve(replies[at] ?? null));
    } catch (error) {
      if (error instanceof Denied) {
        for (const { resolve } of batch) resolve(error.reply);
      } else {
        for (const { reject } of batch) reject(error);
        this.close();
      }
    } finally {
      this.#running.delete(request);
      this.#next();
    }
  }
}
