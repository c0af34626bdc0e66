/** Redis over sockets, without a client's library: `connect("redis://localhost")`. */

import { Alarm, nowUs } from "../clock.js";
import { ErrorReply, type Reply } from "../core/reply.js";
import { Endpoint, type Wire } from "../core/wire.js";
import { dispose } from "../core/handle.js";
import { invalid, kindOf } from "../errors.js";
import { options as checked, shown } from "../units.js";
import type { Signal, Url } from "../platform.js";
import { TextEncoder } from "../utf8.js";
import { attempt } from "./reason.js";
import {
  type Heard,
  hasSockets,
  nodeStream,
  noSockets,
  type Stream,
  type TlsOptions,
  type WebConnect,
  webStream,
} from "./sockets.js";
import { type Connection, NotSent, Refused, type Subscription, type Transport } from "./transport.js";

/** How a server is spoken to. */
export interface TcpOptions {
  /**
   * With `rediss://`: what `tls.connect` of Node takes, such as `ca`, `cert`, `key`, `servername`. To where
   * it connects the URL says: `host`, `port`, `path` and `socket` are refused.
   */
  tls?: TlsOptions | undefined;
  /** Makes streams in place of Node's sockets: `connect` of `cloudflare:sockets`. */
  connect?: WebConnect | undefined;
}

/** What of the settings of `tls.connect` says to where; `path` and `socket` would win over the URL. */
const WHERE = ["host", "port", "path", "socket"];
const SUBSCRIBE = new TextEncoder().encode("SUBSCRIBE");

/**
 * A Redis server by its address, for `connect`: `connect(tcp("rediss://user:pw@host:6380/2", { tls }))`;
 * without options `connect("redis://...")` is the same.
 *
 * `url`: `redis://[[user]:password@][host][:port][/database]`, `rediss://` with TLS, `valkey://` and
 * `valkeys://` for the same, `unix://[[user]:password@]/path`; behind a `?` may come `db`,
 * `client_name` and `protocol` (2 or 3). In users and passwords `/ ? # @ : %` are written as `%2F`, ...
 * A user has a password, which may be empty: `user:@`. An address of IPv6 may have a zone: `[fe80::1%25eth0]`.
 *
 * Sends nothing yet. Throws `InvalidArgument`, naming the part of the URL that is wrong, and
 * `Unsupported` where there are no sockets.
 */
export function tcp(url: string | Url, options?: TcpOptions): Transport {
  const { tls, connect } = checked("options", options, ["tls", "connect"]);
  const text: unknown = url instanceof URL ? url.href : url;
  if (typeof text !== "string") throw invalid(`url must be a string or a URL, not ${shown(url)}`);
  if (/\p{Surrogate}/u.test(text)) throw invalid("url has a lone surrogate, which is no text in UTF-8");
  const endpoint = new Endpoint(text);
  if (connect !== undefined && typeof connect !== "function") {
    throw invalid(`connect must be a function, not ${kindOf(connect)}`);
  }
  if (tls !== undefined && (typeof tls !== "object" || tls === null)) {
    throw invalid(`tls must be an object of settings, not ${shown(tls)}`);
  }
  const elsewhere = WHERE.find((name) => tls?.[name] !== undefined);
  if (elsewhere !== undefined) throw invalid(`tls may have no ${elsewhere}: to where it connects the URL says`);
  if (tls !== undefined && !endpoint.tls) throw invalid("tls is for rediss://, and the URL is of none such");
  if (tls !== undefined && connect !== undefined) throw invalid("tls is for Node's sockets, not for a connect function");
  if (connect === undefined && !hasSockets()) throw noSockets();
  const open = (purpose: "commands" | "messages", signal: Signal) =>
    Link.open(endpoint, purpose, signal, (heard) =>
      connect === undefined ? nodeStream(endpoint, tls, heard) : webStream(connect, endpoint, heard),
    );
  const { host, port } = endpoint;
  return {
    address: port === undefined ? host : `${host.includes(":") ? `[${host}]` : host}:${port}`,
    dedicated: true,
    connect: (signal) => open("commands", signal),
    async subscribe(channel, hear, signal) {
      const link = await open("messages", signal);
      link.hear = hear;
      await subscribed(link, signal, channel);
      return link;
    },
  };
}

/** Subscribes a new connection to a channel. Throws `Refused` for an error reply. */
function subscribed(link: Link, signal: Signal, channel: Uint8Array): Promise<void> {
  return closedUnless(link, signal, async () => {
    const [reply] = await Promise.all(link.send([{ argv: [SUBSCRIBE, channel] }]));
    if (reply instanceof ErrorReply) throw new Refused(reply.text);
  });
}

/** What `work` on a new connection comes to. It is closed where that fails, and once `signal` aborts. */
async function closedUnless(link: Link, signal: Signal, work: () => Promise<void>): Promise<void> {
  const close = () => link.close();
  signal.addEventListener("abort", close, { once: true });
  try {
    await work();
    signal.throwIfAborted();
  } catch (error) {
    close();
    throw error;
  } finally {
    signal.removeEventListener("abort", close);
  }
}

interface Waiting {
  readonly resolve: (reply: Reply) => void;
  readonly reject: (error: unknown) => void;
}

/** A connection of either purpose: moves bytes between a stream and what knows them. */
class Link implements Connection, Subscription {
  readonly closed: Promise<unknown>;
  /** Hears what is published. */
  hear: (payload: Uint8Array) => void = () => undefined;
  readonly #wire: Wire;
  readonly #waiting = new Map<number, Waiting>();
  readonly #alarm = new Alarm(() => this.#look());
  #stream: Stream | null = null;
  /** How many commands there were. */
  #sent = 0;
  #over = false;
  /** Why it is. */
  #why: unknown;
  #ended: (value?: unknown) => void = () => undefined;
  /** Told once that the server has let it in. */
  #ready: (() => void) | null = null;
  #failed: ((error: unknown) => void) | null = null;

  private constructor(wire: Wire) {
    this.#wire = wire;
    this.closed = new Promise((resolve) => (this.#ended = resolve));
  }

  /** Fulfilled once the server has let it in. */
  static async open(
    endpoint: Endpoint,
    purpose: "commands" | "messages",
    signal: Signal,
    begin: (heard: Heard) => Stream,
  ): Promise<Link> {
    signal.throwIfAborted();
    const begun = attempt(signal, endpoint.tls);
    const link = new Link(endpoint.wire(purpose, nowUs()));
    const entered = new Promise<void>((resolve, reject) => {
      link.#ready = resolve;
      link.#failed = reject;
    });
    // Where no stream can be begun, nobody waits for this.
    entered.catch(() => undefined);
    await closedUnless(link, signal, async () => {
      link.#stream = begin({
        open() {
          begun.isOpen = true;
          link.#opened();
        },
        data: (bytes) => link.#receive(bytes),
        end: (error) => link.#end(error ?? new Error("the connection is closed by the server")),
      });
      await entered;
      // It may have said more in the same piece than it was asked.
      if (link.#over) throw link.#why;
    });
    return link;
  }

  send(batch: readonly { readonly argv: readonly Uint8Array[] }[]): readonly Promise<Reply>[] {
    if (this.#over) return batch.map(() => Promise.reject(new NotSent("the connection is gone")));
    this.#wire.send(batch.map(({ argv }) => argv));
    const replies = batch.map(
      () => new Promise<Reply>((resolve, reject) => this.#waiting.set(++this.#sent, { resolve, reject })),
    );
    this.#flush();
    return replies;
  }

  close(): void {
    this.#end(new Error("the connection was closed"));
  }

  #opened(): void {
    if (this.#over) return;
    this.#flush();
    this.#arm();
    if (this.#wire.isReady) this.#enter();
  }

  #enter(): void {
    this.#ready?.();
    this.#ready = this.#failed = null;
  }

  #flush(): void {
    if (this.#over) return;
    const bytes = this.#wire.transmit();
    if (bytes.length > 0) this.#stream?.write(bytes);
  }

  #receive(bytes: Uint8Array): void {
    if (this.#over) return;
    try {
      this.#wire.receive(bytes, nowUs(), {
        ready: () => {
          this.#flush();
          this.#enter();
        },
        refused: (text) => this.#end(new Refused(text)),
        reply: (number, reply) => {
          this.#waiting.get(number)?.resolve(reply);
          this.#waiting.delete(number);
        },
        message: (payload) => this.hear(payload),
        // In the words by which waiting is known not to help.
        malformed: (why) => this.#end(new Error(`protocol error: ${why}`)),
      });
    } catch (error) {
      this.#end(error);
      return;
    }
    this.#arm();
  }

  /** Waits for the time at which a silent server is asked whether it is there. */
  #arm(): void {
    if (this.#over) return;
    const { deadline } = this.#wire;
    if (deadline < Number.MAX_SAFE_INTEGER) this.#alarm.set(deadline, nowUs());
  }

  #look(): void {
    if (this.#over) return;
    if (!this.#wire.handleTimeout(nowUs())) {
      this.close();
      return;
    }
    this.#flush();
    this.#arm();
  }

  /** It is over: whoever waits hears why. */
  #end(why: unknown): void {
    if (this.#over) return;
    this.#over = true;
    this.#why = why;
    this.#alarm.clear();
    this.#stream?.close();
    this.#failed?.(why);
    this.#ready = this.#failed = null;
    for (const { reject } of this.#waiting.values()) reject(why);
    this.#waiting.clear();
    this.#ended();
    this.#wire[dispose]();
  }
}
