/**
 * What `connect()` loads where it is given no client. Nothing else imports it: a bundler would have
 * what is imported at once and later as well at once, for everybody.
 */

import type { Embedded } from "../driver/driver.js";
import { MemoryStore } from "../memory.js";
import { withStore } from "./store.js";

/** A store for one coordinator. */
export function ownStore(): Embedded {
  return new (withStore(MemoryStore))();
}
