import type { Event } from "./core/event.js";
import type { ComityError } from "./errors.js";
import { aborted } from "./signal.js";

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
  /** The node of its last command. */
  node = -1;
  onLost: (() => void) | null = null;
  #wake: (() => void) | null = null;

  /**
   * Until it is done. Throws `Aborted` if `signal` aborts before; whose it is says then what
   * becomes of it.
   */
  wait(signal?: AbortSignal): Promise<void> {
    if (this.done) return Promise.resolve();
    return new Promise((resolve, reject) => {
      const stop = () => {
        this.#wake = null;
        reject(aborted(signal));
      };
      this.#wake = () => {
        signal?.removeEventListener("abort", stop);
        resolve();
      };
      signal?.addEventListener("abort", stop, { once: true });
    });
  }

  /** Wakes whoever waits. */
  wake(): void {
    const wake = this.#wake;
    this.#wake = null;
    wake?.();
  }
}
