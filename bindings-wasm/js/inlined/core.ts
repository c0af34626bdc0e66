/** The core's module within the script, decoded when it is first needed. */

import { core } from "../instance/core.js";
import { BASE64 } from "../raw/comity.base64.js";
import { decoded } from "./decoded.js";

core.provide(() => decoded(BASE64));
