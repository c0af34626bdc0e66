/**
 * Coordination over the Redis you have: fair, fenced locks, transactions across servers, exact
 * counters, and the ring that places keys.
 *
 *     import { connect } from "comity";
 *     const co = await connect(client);
 *     await co.withLock("invoice:42", { ttl: 10_000 }, async (held) => use(held.fence));
 *
 * `connect()` without a client runs on a store in this process. `comity/core` is the same without
 * any I/O, for programs that bring their own.
 */

import "./inlined/core.js";
import { takeStoreFrom } from "./connect.js";

takeStoreFrom(() => import("./inlined/own.js"));

export * from "./exports.js";
export { MemoryStore } from "./inlined/memory.js";
