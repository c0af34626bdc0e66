/** The part of the core's module that transactions need. */

import { core } from "./core.js";
import { Part } from "./part.js";

export const transactions = /* @__PURE__ */ new Part(
  core,
  "there is no WebAssembly module of transactions: comity/slim needs loadTransactions(module) first",
);
