/** What an event is about. */

import type { Event } from "./core/event.js";

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

/** Whether whoever waits for its lock, call, counter or transaction hears no more. */
export function isLast(event: Event): boolean {
  switch (event.kind) {
    case "lockNotRenewed":
    case "counterJournal":
    case "counterLost":
    case "counterRegressed":
    case "counterRefused":
    case "transactionNotDurable":
      return false;
    default:
      return true;
  }
}
