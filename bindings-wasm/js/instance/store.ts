/** The embedded store's instance. */

import * as raw from "../raw/store.js";
import { Instance } from "./instance.js";

export const store = /* @__PURE__ */ new Instance(
  raw,
  "comity/slim has no WebAssembly module of the embedded store: call loadStore(module) first",
);
