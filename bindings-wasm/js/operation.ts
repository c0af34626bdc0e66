import type { Bytes } from "./bytes.js";
import type { Event } from "./core/event.js";
import type { ComityError } from "./errors.js";
import { aborted, onAbort } from "./signal.js";
import type { Signal } from "./platform.js";

/** One thing somebody waits for: a lock, a call or a transaction, and what became of it. */
export class Operation {
  id = -1;
  /** False while an answer is awaited. */
  done = false;
  /** Nothing more will be heard of it. */
  ended = false;
  error: ComityError | null = null;
  event: Event | null = null;
  fence = 0;
  validUntil = 0;
  holder: Uint8Array | null = null;
  renewing = false;
  /** Why the renewal that was waited for has failed. */
  unrenewed: ComityError | null = null;
  /** When it was asked for; infinity before. */
  began = Infinity;
  /** The lock or counter that it is about, for events; null where it is about none. */
  readonly name: Bytes | null;
  /** The node of its last command. */
  node = -1;
  onLost: (() => void) | null = null;
  /** What was held is given back by a close. */
  onGivenBack: (() => void) | null = null;
  #wake: (() => void) | null = null;

  constructor(name: Bytes | null = null) {
    this.name = name;
  }

  /**
   * Until it is done. Throws `Aborted` if `signal` aborts before; whose it is says then what
   * becomes of it.
   */
  wait(signal?: Signal): Promise<void> {
    if (this.done) return Promise.resolve();
    return new Promise((resolve, reject) => {
      const forget = onAbort(signal, () => {
        this.#wake = null;
        reject(aborted(signal));
      });
      this.#wake = () => {
        forget();
        resolve();
      };
    });
  }

  /** Wakes whoever waits. */
  wake(): void {
    const wake = this.#wake;
    this.#wake = null;
    wake?.();
  }
}
