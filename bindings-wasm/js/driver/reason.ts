/** Why a server cannot be reached, of what a client says about it. */

interface Told {
  readonly code?: unknown;
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

/** In one line: the client's own words, with the system's code where they lack it. */
export function reasonOf(error: unknown): string {
  const first = innermost(error);
  const { code } = (first ?? {}) as Told;
  const words = first instanceof Error ? first.message || first.name : String(first);
  const line = words.split("\n", 1)[0] ?? "";
  return typeof code === "string" && !words.includes(code) ? `${line} (${code})` : line;
}

/** Whether waiting cannot help. */
export function isLasting(error: unknown): boolean {
  const first = innermost(error);
  const { code } = (first ?? {}) as Told;
  if (typeof code === "string") return LASTING.includes(code) || LASTING_KINDS.test(code);
  // What is there is no Redis, as the parsers of the clients say.
  return /protocol error|unexpected (?:reply|token)|unknown reply type/i.test(String(first));
}

/** One of the attempts at several addresses, or what is behind a `fetch` that failed. */
function innermost(error: unknown): unknown {
  const { errors, cause } = (error ?? {}) as Told;
  if (errors !== undefined && errors.length > 0) return innermost(errors[0]);
  return cause instanceof Error ? innermost(cause) : error;
}
