/** The module within the script, decoded when it is first needed. */

import { provide } from "./instance.js";
import { BASE64 } from "./module.js";

provide(() => {
  const text = atob(BASE64);
  const bytes = new Uint8Array(text.length);
  for (let at = 0; at < text.length; at++) bytes[at] = text.charCodeAt(at);
  return bytes;
});
