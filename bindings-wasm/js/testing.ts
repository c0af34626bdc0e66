/**
 * For the tests of programs that use comity: a store whose clock the test moves.
 *
 *     const store = new MemoryStore();
 *     const co = await connect(store);
 *     const lock = co.lock("job", { ttl: 10_000, renew: false });
 *     await lock.acquire();
 *     await store.advance(11_000);
 *     assert(lock.lost);
 *
 * Time stands still but for `advance`: leases, waits and renewals fall due in it, in their order,
 * and nothing sleeps.
 */

import { setTimeout } from "./clock.js";
import { MemoryStore as Store } from "./inlined/memory.js";
import { millis } from "./units.js";

const ORIGIN = 1_000_000_000;
const LONGEST = 10 * 365 * 86_400_000;

/** A `MemoryStore` with a clock of its own, for it and for every coordinator on it. */
export class MemoryStore extends Store {
  #time = ORIGIN;

  override get ticks(): boolean {
    return false;
  }

  override now(): number {
    return this.#time;
  }

  /** The time in milliseconds since an arbitrary origin; `Lock.validUntil` is told in it. */
  clock(): number {
    return this.#time / 1000;
  }

  /**
   * Lets `by` milliseconds pass, from 0 to ten years. What falls due on the way happens at its own
   * time; whoever waits for it goes on before this is done. Throws `InvalidArgument`.
   */
  async advance(by: number): Promise<void> {
    const until = this.#time + millis("by", by, 0, LONGEST);
    // What was begun in this turn, and what was counted, has set no deadline yet.
    await settled();
    for (const driver of this.drivers()) driver.tick();
    for (let next = this.#next(until); next !== undefined; next = this.#next(until)) {
      this.#time = Math.max(this.#time, next.deadline);
      next.tick();
      await settled();
    }
    this.#time = until;
    await settled();
  }

  /** Whose deadline comes first, if it comes by `until`. */
  #next(until: number) {
    const [first] = this.drivers().sort((one, other) => one.deadline - other.deadline);
    return first !== undefined && first.deadline <= until ? first : undefined;
  }
}

/** Once every promise that is settled by now has been told, and those that this settles. */
function settled(): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, 0));
}
