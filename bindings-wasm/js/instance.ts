/** The one instance of the WebAssembly module: made on first use, and dead after a bug in it. */

import { ComityError, ErrorCode } from "./errors.js";
import * as raw from "./raw.js";

/** What the module is made of. */
export type Source = WebAssembly.Module | BufferSource;

let supply: (() => Source) | null = null;
let state: "absent" | "ready" | "dead" = "absent";
let cause: unknown;

/** Where the module comes from, if it is needed. */
export function provide(source: () => Source): void {
  supply ??= source;
}

/** Has the module ready, for those who have it compiled already. */
export function load(source: Source): void {
  if (state !== "absent") return;
  instantiate(source);
}

/** The module. Throws `Unsupported` where it cannot be had, `Internal` where it is dead. */
export function wasm(): typeof raw {
  if (state !== "ready") revive();
  return raw;
}

/** Runs one call into the module, and nothing else. What it throws but its own errors is a bug. */
export function guarded<T>(call: () => T): T {
  if (state !== "ready") revive();
  try {
    return call();
  } catch (error) {
    throw died(error);
  }
}

/** What `guarded` throws for what was thrown. */
export function died(error: unknown): unknown {
  if (error instanceof ComityError) return error;
  state = "dead";
  cause = error;
  return dead();
}

function dead(): ComityError {
  const message = `a bug in comity: this instance is dead; please report it: ${String(cause)}`;
  return new ComityError(ErrorCode.Internal, message, { cause });
}

function revive(): void {
  if (state === "dead") throw dead();
  if (supply === null) {
    const message = "comity/slim has no WebAssembly module: call load(module) first";
    throw new ComityError(ErrorCode.InvalidState, message);
  }
  instantiate(supply());
}

function instantiate(source: Source): void {
  if (typeof WebAssembly !== "object") {
    throw new ComityError(ErrorCode.Unsupported, "there is no WebAssembly here");
  }
  try {
    raw.initSync({ module: source instanceof WebAssembly.Module ? source : compiled(source) });
  } catch (error) {
    if (error instanceof ComityError) throw error;
    const message = `the WebAssembly module cannot be instantiated: ${String(error)}`;
    throw new ComityError(ErrorCode.Unsupported, message, { cause: error });
  }
  state = "ready";
}

function compiled(source: BufferSource): WebAssembly.Module {
  try {
    return new WebAssembly.Module(source);
  } catch (error) {
    // What a page's Content-Security-Policy forbids is a CompileError that names the policy.
    const why = /content security policy|unsafe-eval|csp/i.test(String(error))
      ? "the page's Content-Security-Policy forbids WebAssembly: add 'wasm-unsafe-eval' to its " +
        `script-src (${String(error)})`
      : `the WebAssembly module cannot be compiled: ${String(error)}`;
    throw new ComityError(ErrorCode.Unsupported, why, { cause: error });
  }
}
