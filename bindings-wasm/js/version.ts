import { core } from "./instance/core.js";

/** The version of the package, for example `"0.1.0"`. */
export function version(): string {
  return core.guarded((raw) => raw.version());
}
