import { ComityError, ErrorCode } from "../errors.js";
import type { WasmMemory, WasmModule } from "../platform.js";

/** What a module is made of. */
export type Source = WasmModule | ArrayBuffer | ArrayBufferView;

/** What a module gives out; what is callable there is called by its script. */
interface Exports {
  memory: WasmMemory;
}

/** The script that calls a module. */
interface Glue {
  initSync(options: { module: WasmModule }): Exports;
}

/** The one instance of a WebAssembly module: made on first use, and dead after a bug in it. */
export class Instance<T extends Glue = Glue> {
  readonly #raw: T;
  readonly #missing: string;
  #supply: (() => Source) | null = null;
  #state: "absent" | "ready" | "dead" = "absent";
  #cause: unknown;
  #exports: Exports | null = null;

  /** `missing` is said where the module is needed and nothing has been provided. */
  constructor(raw: T, missing: string) {
    this.#raw = raw;
    this.#missing = missing;
  }

  /** Where the module comes from, if it is needed. The first to say so counts. */
  provide(source: () => Source): void {
    this.#supply ??= source;
  }

  /** Has the module ready, for those who have it compiled already. */
  load(source: Source): void {
    if (this.#state === "absent") this.#instantiate(source);
  }

  /** The module. Throws `Unsupported` where it cannot be had, `Internal` where it is dead. */
  wasm(): T {
    if (this.#state !== "ready") this.#revive();
    return this.#raw;
  }

  /** The module's memory. */
  memory(): WasmMemory {
    this.wasm();
    return (this.#exports as Exports).memory;
  }

  /** Runs one call into the module, and nothing else. What it throws but its own errors is a bug. */
  guarded<R>(call: (raw: T) => R): R {
    const raw = this.wasm();
    try {
      return call(raw);
    } catch (error) {
      throw this.died(error);
    }
  }

  /** What `guarded` throws for what was thrown. */
  died(error: unknown): unknown {
    if (error instanceof ComityError) return error;
    this.#state = "dead";
    this.#cause = error;
    return this.#dead();
  }

  #dead(): ComityError {
    const cause = this.#cause;
    const what = "a bug in comity: this instance is dead; please report it with its cause's stack";
    const message = `${what}: ${String(cause)}`;
    return new ComityError(ErrorCode.Internal, message, { cause });
  }

  #revive(): void {
    if (this.#state === "dead") throw this.#dead();
    if (this.#supply === null) throw new ComityError(ErrorCode.InvalidState, this.#missing);
    this.#instantiate(this.#supply());
  }

  #instantiate(source: Source): void {
    const module = compiled(source);
    try {
      this.#exports = this.#raw.initSync({ module });
    } catch (error) {
      const message = `the WebAssembly module cannot be instantiated: ${String(error)}`;
      throw new ComityError(ErrorCode.Unsupported, message, { cause: error });
    }
    this.#state = "ready";
  }
}

/** The module itself. Throws `Unsupported` where it cannot be had. */
function compiled(source: Source): WasmModule {
  if (typeof WebAssembly !== "object") {
    throw new ComityError(ErrorCode.Unsupported, "there is no WebAssembly here");
  }
  try {
    if (source instanceof WebAssembly.Module) return source;
    return new WebAssembly.Module(source as BufferSource);
  } catch (error) {
    // What a page's Content-Security-Policy forbids is a CompileError that names the policy.
    const message = `${whyNot(String(error))} (${String(error)})`;
    throw new ComityError(ErrorCode.Unsupported, message, { cause: error });
  }
}

function whyNot(error: string): string {
  if (/content security policy|unsafe-eval|csp/i.test(error)) {
    return "the page's Content-Security-Policy forbids WebAssembly: add 'wasm-unsafe-eval' to its script-src";
  }
  // As Cloudflare Workers have it.
  if (/disallowed by embedder/i.test(error)) {
    return "modules are not made of bytes here: import them, and give them to load(module) of comity/slim";
  }
  return "the WebAssembly module cannot be compiled";
}
