/** Signals that give up waiting. */

import { ComityError, ErrorCode } from "./errors.js";
import type { Signal } from "./platform.js";

/** The error for a signal that has aborted. */
export function aborted(signal: Signal | undefined): ComityError {
  const cause: unknown = signal?.reason;
  const why = cause instanceof Error ? cause.message : String(cause);
  return new ComityError(ErrorCode.Aborted, `given up by its AbortSignal: ${why}`, { cause });
}

/** Who waits for each signal to abort: all by one listener, for Node warns of many. */
const waiting = new WeakMap<Signal, Set<() => void>>();

/** Calls `then` once `signal` aborts, if there is one; what this gives has it forgotten. */
export function onAbort(signal: Signal | undefined, then: () => void): () => void {
  if (signal === undefined) return () => {};
  const all = waiting.get(signal) ?? listening(signal);
  all.add(then);
  return () => {
    all.delete(then);
  };
}

function listening(signal: Signal): Set<() => void> {
  const all = new Set<() => void>();
  waiting.set(signal, all);
  const tell = () => {
    for (const then of all) then();
    all.clear();
  };
  signal.addEventListener("abort", tell, { once: true });
  return all;
}

/** What `promise` comes to. Throws `Aborted` if `signal` aborts before. */
export async function unlessAborted<T>(
  promise: Promise<T>,
  signal: Signal | undefined,
): Promise<T> {
  if (signal === undefined) return promise;
  let forget = () => {};
  const stopped = new Promise<never>((_, reject) => {
    forget = onAbort(signal, () => reject(aborted(signal)));
  });
  try {
    return await Promise.race([promise, stopped]);
  } finally {
    forget();
  }
}

/** Throws `Aborted` if `signal` has aborted, `InvalidArgument` if it is none. */
export function refuseAborted(signal: Signal | undefined): void {
  if (signal === undefined) return;
  if (typeof signal !== "object" || typeof signal?.addEventListener !== "function") {
    throw new ComityError(ErrorCode.InvalidArgument, "signal must be an AbortSignal");
  }
  if (signal.aborted) throw aborted(signal);
}
