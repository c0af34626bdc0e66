/**
 * The embedded store's module within the script, for those only who use the store: a bundler that
 * finds none of what `withStore` has given leaves this out.
 */

import { store } from "../instance/store.js";
import { BASE64 } from "../raw/store.base64.js";
import { decoded } from "./decoded.js";

/** `what`, which needs the store's module, with the module provided. */
export function withStore<T>(what: T): T {
  store.provide(() => decoded(BASE64));
  return what;
}
