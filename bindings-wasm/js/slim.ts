/**
 * The same as `comity`, for those who serve the WebAssembly modules apart from the script: `load`
 * (`comity/comity.wasm`) comes before anything else, and `loadStore` (`comity/store.wasm`) before the
 * embedded store, where that is used.
 */

import { core } from "./instance/core.js";
import type { Source } from "./instance/instance.js";
import { store } from "./instance/store.js";

export * from "./exports.js";
export type { Source } from "./instance/instance.js";
export { MemoryStore } from "./memory.js";

/** Has the core ready. Throws `Unsupported` where the module cannot be had; harmless when repeated. */
export function load(module: Source): void {
  core.load(module);
}

/** Has the embedded store ready, for `MemoryStore` and a `connect()` without a client; as `load`. */
export function loadStore(module: Source): void {
  store.load(module);
}
