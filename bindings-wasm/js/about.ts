/** What an event is about. */

import type { Event } from "./core/events.js";
import { ComityError, ErrorCode } from "./errors.js";
import { shown } from "./units.js";

/** Whom an event is for. */
export function keyOf(event: Event): number | null {
  if ("lock" in event) return event.lock;
  if ("call" in event) return event.call;
  if ("counter" in event) return event.counter;
  return "transaction" in event ? event.transaction : null;
}

/** What befalls a transaction that somebody must hear of, besides who waits for it. */
export function isTold(event: Event, awaited: boolean): boolean {
  switch (event.kind) {
    case "transactionDamaged":
    case "transactionNotDurable":
      return true;
    case "transactionCommitted":
    case "transactionUnknown":
    case "transactionEnded":
      return !awaited;
    default:
      return false;
  }
}

/** The core has answered another question. */
export function unexpected(event: Event | null): ComityError {
  const message = `a bug in comity: ${shown(event?.kind)} is no answer to this`;
  return new ComityError(ErrorCode.Internal, message);
}
