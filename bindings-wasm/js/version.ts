import { guarded, wasm } from "./instance.js";

/** The version of the package, for example `"0.1.0"`. */
export function version(): string {
  return guarded(() => wasm().version());
}
