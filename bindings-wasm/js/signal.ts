/** Signals that give up waiting. */

import { ComityError, ErrorCode } from "./errors.js";

/** The error for a signal that has aborted. */
export function aborted(signal: AbortSignal | undefined): ComityError {
  const cause: unknown = signal?.reason;
  const why = cause instanceof Error ? cause.message : String(cause);
  return new ComityError(ErrorCode.Aborted, `given up by its AbortSignal: ${why}`, { cause });
}

/** What `promise` comes to. Throws `Aborted` if `signal` aborts before. */
export async function unlessAborted<T>(
  promise: Promise<T>,
  signal: AbortSignal | undefined,
): Promise<T> {
  if (signal === undefined) return promise;
  let stop = () => {};
  const stopped = new Promise<never>((_, reject) => {
    stop = () => reject(aborted(signal));
    signal.addEventListener("abort", stop, { once: true });
  });
  try {
    return await Promise.race([promise, stopped]);
  } finally {
    signal.removeEventListener("abort", stop);
  }
}

/** Throws `Aborted` if `signal` has aborted, `InvalidArgument` if it is none. */
export function refuseAborted(signal: AbortSignal | undefined): void {
  if (signal === undefined) return;
  if (typeof signal !== "object" || typeof signal?.addEventListener !== "function") {
    throw new ComityError(ErrorCode.InvalidArgument, "signal must be an AbortSignal");
  }
  if (signal.aborted) throw aborted(signal);
}
