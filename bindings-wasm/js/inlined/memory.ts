import { MemoryStore as Store } from "../memory.js";
import { withStore } from "./store.js";

/** A store in this process that several coordinators can share. */
export type MemoryStore = Store;
/** A store in this process that several coordinators can share. */
export const MemoryStore: typeof Store = /* @__PURE__ */ withStore(Store);
