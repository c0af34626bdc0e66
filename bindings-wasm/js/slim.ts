/**
 * The same as `comity`, for those who serve the WebAssembly module (`comity/comity.wasm`) apart
 * from the script: `load` comes before anything else.
 */

export * from "./exports.js";
export { load, type Source } from "./instance.js";
