/** What `connect()` loads where it is given no client; of `comity/slim`. */

import type { Embedded } from "./driver/driver.js";
import { MemoryStore } from "./memory.js";

/** A store for one coordinator. */
export function ownStore(): Embedded {
  return new MemoryStore();
}
