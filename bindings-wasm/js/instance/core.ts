/** The core's instance. */

import * as raw from "../raw/comity.js";
import { Instance } from "./instance.js";

export const core = /* @__PURE__ */ new Instance(
  raw,
  "comity/slim has no WebAssembly module: call load(module) first",
);
