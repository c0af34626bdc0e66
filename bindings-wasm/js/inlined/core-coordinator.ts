import { Coordinator as Core } from "../core/coordinator.js";
import { withTransactions } from "./transactions.js";

/** The core: locks, counters, transactions and the ring, as pure state machines. */
export type Coordinator = Core;
/** The core: locks, counters, transactions and the ring, as pure state machines. */
export const Coordinator: typeof Core = /* @__PURE__ */ withTransactions(Core);
