/**
 * The part of the core's module for transactions within the script, for those only who use it: a
 * bundler that finds none of what `withTransactions` has given leaves this out.
 */

import { transactions } from "../instance/transactions.js";
import { BASE64 } from "../raw/transactions.base64.js";
import { decoded } from "./decoded.js";

/** `what`, which may need the part, with the part provided. */
export function withTransactions<T>(what: T): T {
  transactions.provide(() => decoded(BASE64));
  return what;
}
