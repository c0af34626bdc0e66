import { readable } from "./bytes.js";
import type { RawInspection } from "./core/event.js";

/** Who holds a lock. */
export interface Holder {
  /** The request that was granted. */
  readonly id: string;
  /** What the holder calls itself. */
  readonly label: string;
  /** The fencing token of the grant. */
  readonly fence: number;
  /** Milliseconds the lease still lasts on the server, if it is not renewed. */
  readonly remaining: number;
}

/** Who waits for a lock. */
export interface Waiter {
  /** The request that waits. */
  readonly id: string;
  /** What the waiter calls itself. */
  readonly label: string;
}

/**
 * A lock as its server sees it, the waiters in the order in which they will be served.
 *
 * The lists are cut at 256; the totals count everybody.
 */
export interface Inspection {
  /** How many may hold at once: 1 for a mutex, 0 while nobody holds or waits. */
  readonly capacity: number;
  readonly holders: readonly Holder[];
  readonly waiters: readonly Waiter[];
  readonly holdersTotal: number;
  readonly waitersTotal: number;
}

/** From what the core tells. */
export function inspectionOf(told: RawInspection): Inspection {
  return {
    capacity: told.capacity,
    holders: told.holders.map(({ id, label, fence, remainingUs }) => ({
      id,
      label: readable(label),
      fence,
      remaining: remainingUs / 1000,
    })),
    waiters: told.waiters.map(({ id, label }) => ({ id, label: readable(label) })),
    holdersTotal: told.holdersTotal,
    waitersTotal: told.waitersTotal,
  };
}
