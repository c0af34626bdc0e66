/** Why a server cannot be reached, of what a client says about it. */

import type { Signal } from "../platform.js";

interface Told {
  readonly code?: unknown;
  /** What OpenSSL says, without where in its sources. */
  readonly reason?: unknown;
  readonly errors?: readonly unknown[];
  readonly cause?: unknown;
}

/** What does not pass by waiting: a name, a file, a certificate, a protocol. */
const LASTING = [
  "ENOTFOUND",
  "ENOENT",
  "ENOTSOCK",
  "EACCES",
  "EPROTO",
  "ERR_INVALID_URL",
  "UNABLE_TO_VERIFY_LEAF_SIGNATURE",
  "UNABLE_TO_GET_ISSUER_CERT",
  "UNABLE_TO_GET_ISSUER_CERT_LOCALLY",
];
const LASTING_KINDS = /^(?:ERR_SSL_|ERR_TLS_|CERT_|HOSTNAME_MISMATCH|(?:DEPTH_ZERO_)?SELF_SIGNED_CERT)/;

/** An attempt to connect. */
interface Attempt {
  readonly tls: boolean;
  /** Whether there is a connection, on which nothing was answered yet. */
  isOpen: boolean;
}

/** By the signals that end them. */
const attempts = new WeakMap<Signal, Attempt>();

/** An attempt begins, which `signal` ends. What this gives is to be told how far it comes. */
export function attempt(signal: Signal, tls: boolean): { isOpen: boolean } {
  const begun = { tls, isOpen: false };
  attempts.set(signal, begun);
  return begun;
}

/**
 * In one line: the client's own words, with the system's code where they lack it, and what is known
 * of servers that end an attempt so.
 */
export function reasonOf(error: unknown, signal?: Signal): string {
  const first = innermost(error);
  const { code, reason } = (first ?? {}) as Told;
  const own = first instanceof Error ? first.message || first.name : String(first);
  const words = typeof reason === "string" && reason !== "" ? reason : own;
  const line = words.split("\n", 1)[0] ?? "";
  const named = typeof code === "string" && !words.includes(code) ? `${line} (${code})` : line;
  const of = signal === undefined ? undefined : attempts.get(signal);
  if (code === "ERR_SSL_WRONG_VERSION_NUMBER") return `${named}; the server does not speak TLS`;
  const wanted = ALERT.test(own) || (of?.tls === false && of.isOpen && isCut(code, own));
  return wanted ? `${named}; a server that wants TLS would do so` : named;
}

/** Why an attempt that nobody ended was given up. */
export function slownessOf(signal: Signal): string {
  const of = attempts.get(signal);
  if (of?.isOpen === true) return "there is a connection, but nothing was answered in time";
  const slow = "no connection was made in time";
  return of?.tls === true ? `${slow}; a server that does not speak TLS would be silent like this` : slow;
}

/** An alert of TLS where a reply should be, as the parsers of the clients show it. */
const ALERT = /got "\\u0015"|RESP type 21 /;

/** Whether the server has ended a connection, in the words of either client. */
function isCut(code: unknown, words: string): boolean {
  return code === "ECONNRESET" || code === "EPIPE" || /connection is closed|socket closed/i.test(words);
}

/** Whether waiting cannot help. */
export function isLasting(error: unknown): boolean {
  const first = innermost(error);
  const { code } = (first ?? {}) as Told;
  if (typeof code === "string") return LASTING.includes(code) || LASTING_KINDS.test(code);
  // What is there is no Redis, as the parsers of the clients say.
  return /protocol error|unexpected (?:reply|token)|unknown (?:reply|RESP) type/i.test(String(first));
}

/** One of the attempts at several addresses, or what is behind a `fetch` that failed. */
function innermost(error: unknown): unknown {
  const { errors, cause } = (error ?? {}) as Told;
  if (errors !== undefined && errors.length > 0) return innermost(errors[0]);
  return cause instanceof Error ? innermost(cause) : error;
}
