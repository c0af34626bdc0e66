/**
 * What the platform has and a program's own types may not: Node without its types has no DOM. Each is
 * the global one where there is one.
 */

type Made<Name extends string, Else> =
  typeof globalThis extends Record<Name, { prototype: infer T }> ? T : Else;

/** As much of an `AbortSignal` as every platform has. */
interface AnySignal {
  readonly aborted: boolean;
  readonly reason: any;
  throwIfAborted(): void;
  addEventListener(type: "abort", listener: () => void, options?: { once?: boolean }): void;
  removeEventListener(type: "abort", listener: () => void): void;
}

/** An `AbortSignal`. */
export type Signal = Made<"AbortSignal", AnySignal>;

/** An `AbortController`. */
export interface Controller {
  readonly signal: Signal;
  abort(reason?: unknown): void;
}

/** A `URL`. */
export type Url = Made<"URL", { readonly href: string }>;

/** A `Response`. */
export type Answer = Made<"Response", { readonly status: number }>;

/** The global `fetch`, or what does the same. */
export type Fetch = typeof globalThis extends { fetch: infer T }
  ? T
  : (url: any, options?: any) => Promise<Answer>;

type Modules = typeof globalThis extends { WebAssembly: infer T } ? T : never;

/** A `WebAssembly.Module`. */
export type WasmModule = Modules extends { Module: { prototype: infer T } } ? T : object;

/** A `WebAssembly.Memory`. */
export type WasmMemory = Modules extends { Memory: { prototype: infer T } }
  ? T
  : { readonly buffer: ArrayBuffer };
