import { ComityError, ErrorCode } from "../errors.js";
import { compiled, type Instance, type Source } from "./instance.js";

/** A part of an instance's module that not every program needs: instantiated when one does. */
export class Part {
  readonly #whole: Instance;
  readonly #missing: string;
  #supply: (() => Source) | null = null;
  #fetch: (() => Promise<void>) | null = null;
  #there = false;

  /** `missing` is said where the part is needed and nothing has been provided. */
  constructor(whole: Instance, missing: string) {
    this.#whole = whole;
    this.#missing = missing;
  }

  /** Where the part comes from, if it is needed. The first to say so counts. */
  provide(source: () => Source): void {
    this.#supply ??= source;
  }

  /** Loads a script that provides it, for who can wait. */
  provideLater(script: () => Promise<void>): void {
    this.#fetch ??= script;
  }

  /** For those who have it compiled already. */
  load(source: Source): void {
    const module = compiled(source);
    this.provide(() => module);
  }

  /** What to wait for before it is needed; null for nothing. Throws `Unsupported`. */
  fetched(): Promise<void> | null {
    return this.#supply !== null || this.#fetch === null ? null : this.#fetched(this.#fetch);
  }

  /** Has it there. Throws `Unsupported` where it cannot be had, `InvalidState` where nobody has it. */
  need(): void {
    if (this.#there) return;
    if (this.#supply === null) throw new ComityError(ErrorCode.InvalidState, this.#missing);
    this.#whole.extend(this.#supply());
    this.#there = true;
  }

  async #fetched(fetch: () => Promise<void>): Promise<void> {
    try {
      await fetch();
    } catch (error) {
      const message = `a script of comity's cannot be loaded: ${String(error)}`;
      throw new ComityError(ErrorCode.Unsupported, message, { cause: error });
    }
  }
}
