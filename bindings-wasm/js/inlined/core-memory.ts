import { MemoryStore as Store } from "../core/memory.js";
import { withStore } from "./store.js";

/** The embedded store: a small Redis in this process. */
export type MemoryStore = Store;
/** The embedded store: a small Redis in this process. */
export const MemoryStore: typeof Store = /* @__PURE__ */ withStore(Store);
