/** Streams of bytes to a server, as the platforms have them. */

import { ComityError, ErrorCode } from "../errors.js";
import type { Endpoint } from "../core/wire.js";

/** Who is told what becomes of a stream. */
export interface Heard {
  open(): void;
  data(bytes: Uint8Array): void;
  /** It is over; `error` says why, where something has gone wrong. */
  end(error?: unknown): void;
}

/** A stream that is being made, or is there. */
export interface Stream {
  write(bytes: Uint8Array): void;
  /** Ends it at once. */
  close(): void;
}

/** Settings of TLS, as `tls.connect` of Node has them: `ca`, `cert`, `key`, `servername`, ... */
export type TlsOptions = Readonly<Record<string, unknown>>;

/** What `connect` of `cloudflare:sockets` gives. */
export interface WebSocketlike {
  readonly readable: { getReader(): { read(): Promise<{ done: boolean; value?: Uint8Array }> } };
  readonly writable: { getWriter(): { write(bytes: Uint8Array): Promise<void> } };
  readonly opened?: Promise<unknown>;
  close(): Promise<unknown>;
}

/** `connect` of `cloudflare:sockets`, or what does the same. */
export type WebConnect = (
  address: { hostname: string; port: number },
  options: { secureTransport: "on" | "off"; allowHalfOpen: boolean },
) => WebSocketlike;

/** As much of Node's sockets as is used. */
interface NodeSocket {
  setNoDelay(): void;
  unref(): void;
  write(bytes: Uint8Array): void;
  destroy(): void;
  on(event: string, listener: (value: never) => void): void;
}

interface NodeNet {
  connect(options: object): NodeSocket;
  isIP(host: string): number;
}

/** `process.getBuiltinModule`: nothing of Node is imported, for the bundlers. */
function builtin<T>(name: string): T | undefined {
  const { process } = globalThis as { process?: { getBuiltinModule?(name: string): unknown } };
  return process?.getBuiltinModule?.(name) as T | undefined;
}

/** Whether there are sockets here. */
export function hasSockets(): boolean {
  return builtin("node:net") !== undefined;
}

/** Begins to connect, by Node's modules. Nothing waits for it by itself: it keeps no process alive. */
export function nodeStream(endpoint: Endpoint, tls: TlsOptions | undefined, heard: Heard): Stream {
  const net = builtin<NodeNet>("node:net");
  if (net === undefined) throw noSockets();
  const { host, port } = endpoint;
  const where = port === undefined ? { path: host } : { host, port };
  const name = port === undefined || net.isIP(host) !== 0 ? {} : { servername: host };
  const socket = endpoint.tls
    ? (builtin<NodeNet>("node:tls") ?? net).connect({ ...name, ...tls, ...where })
    : net.connect(where);
  socket.setNoDelay();
  socket.unref();
  let why: unknown;
  socket.on(endpoint.tls ? "secureConnect" : "connect", () => heard.open());
  socket.on("data", (bytes: Uint8Array) => heard.data(bytes));
  socket.on("error", (error) => (why = error));
  socket.on("end", () => socket.destroy());
  socket.on("close", () => heard.end(why));
  return { write: (bytes) => socket.write(bytes), close: () => socket.destroy() };
}

/** Begins to connect, by streams of the web. */
export function webStream(connect: WebConnect, endpoint: Endpoint, heard: Heard): Stream {
  const { host: hostname, port } = endpoint;
  if (port === undefined) {
    throw new ComityError(ErrorCode.Unsupported, "unix:// needs sockets of the system, not a connect function");
  }
  const secureTransport = endpoint.tls ? "on" : "off";
  const socket = connect({ hostname, port }, { secureTransport, allowHalfOpen: false });
  const out = socket.writable.getWriter();
  const failed = (error: unknown) => heard.end(error);
  void pump(socket, heard).catch(failed);
  return {
    write: (bytes) => void out.write(bytes).catch(failed),
    close: () => void socket.close().then(() => heard.end(), failed),
  };
}

async function pump(socket: WebSocketlike, heard: Heard): Promise<void> {
  await socket.opened;
  heard.open();
  const reader = socket.readable.getReader();
  for (;;) {
    const { done, value } = await reader.read();
    if (done || value === undefined) break;
    heard.data(value);
  }
  heard.end();
}

/** There are none here. */
export function noSockets(): ComityError {
  const message =
    "there are no sockets here (Node 20.16, 22.3, Deno 2.1 and Bun have them): give tcp(url, { connect }) the " +
    "connect of cloudflare:sockets, or use http(url, ...)";
  return new ComityError(ErrorCode.Unsupported, message);
}
