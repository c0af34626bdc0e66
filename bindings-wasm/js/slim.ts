/**
 * The same as `comity`, for those who serve the WebAssembly modules apart from the script: `load`
 * (`comity/comity.wasm`) comes before anything else, `loadTransactions` (`comity/transactions.wasm`)
 * before the first transaction, and `loadStore` (`comity/store.wasm`) before the embedded store,
 * where those are used.
 */

import { core } from "./instance/core.js";
import type { Source } from "./instance/instance.js";
import { store } from "./instance/store.js";
import { transactions } from "./instance/transactions.js";

export * from "./exports.js";
export type { Source } from "./instance/instance.js";
export { MemoryStore } from "./memory.js";

/** Has the core ready. Throws `Unsupported` where the module cannot be had; harmless when repeated. */
export function load(module: Source): void {
  core.load(module);
}

/** Has transactions ready; as `load`. The module has to be of the same build as the core's. */
export function loadTransactions(module: Source): void {
  transactions.load(module);
}

/** Has the embedded store ready, for `MemoryStore` and a `connect()` without a client; as `load`. */
export function loadStore(module: Source): void {
  store.load(module);
}
