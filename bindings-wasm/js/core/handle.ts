import { ComityError, ErrorCode } from "../errors.js";
import type { Instance } from "../instance/instance.js";

/** What the module gives out: an object in its memory. */
interface Owned {
  free(): void;
}

/** As `Symbol.dispose`, which not every browser knows. */
export const dispose: typeof Symbol.dispose =
  Symbol.dispose ?? (Symbol.for("Symbol.dispose") as typeof Symbol.dispose);

/**
 * Owns an object in the module's memory. It is freed by `dispose`, or at some time after nobody
 * has the handle any more.
 */
export abstract class Handle<T extends Owned> {
  readonly #instance: Instance;
  readonly #what: string;
  #owned: T | null;

  constructor(instance: Instance, what: string, owned: T) {
    this.#instance = instance;
    this.#what = what;
    this.#owned = owned;
  }

  /** Frees its memory at once. Harmless when repeated; every other use throws `InvalidState`. */
  [dispose](): void {
    const owned = this.#owned;
    this.#owned = null;
    if (owned !== null) this.#guarded(() => owned.free());
  }

  /** Calls into the module, with nothing else on the way. */
  protected call<R>(call: (owned: T) => R): R {
    const owned = this.owned();
    return this.#guarded(() => call(owned));
  }

  /**
   * The object itself, for what is called so often that a function for each call costs more than the
   * call. What a call of it throws goes through its `died`.
   */
  protected owned(): T {
    this.#instance.wasm();
    if (this.#owned !== null) return this.#owned;
    throw new ComityError(ErrorCode.InvalidState, `this ${this.#what} was disposed of`);
  }

  #guarded<R>(call: () => R): R {
    this.#instance.wasm();
    try {
      return call();
    } catch (error) {
      throw this.#instance.died(error);
    }
  }
}
