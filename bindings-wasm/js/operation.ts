import type { Bytes } from "./bytes.js";
import { type Event, isLast } from "./core/events.js";
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
  /** How many wait for a renewal. */
  renewing = 0;
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
  /** More than one may wait for the same lock to be renewed. */
  readonly #wakes = new Set<() => void>();

  constructor(name: Bytes | null = null) {
    this.name = name;
  }

  /** Takes in an event about it. Whether who waits has heard what they waited for. */
  hear(event: Event): boolean {
    this.event = event;
    switch (event.kind) {
      case "lockGranted":
        this.fence = event.fence;
        this.validUntil = event.validUntil;
        this.done = true;
        break;
      case "lockRenewed":
        this.validUntil = event.validUntil;
        // One by itself that was on its way before is not what was asked for.
        if (this.renewing > 0 && event.accepted) this.done = true;
        break;
      case "lockNotRenewed":
        if (this.renewing === 0) return false;
        this.unrenewed = event.error;
        this.done = true;
        break;
      case "lockQueued":
        this.holder = event.holder;
        return false;
      default:
        if (!isLast(event) || this.ended) return false;
        if ("error" in event) this.error = event.error;
        if ("holder" in event && event.holder !== null) this.holder = event.holder;
        this.done = this.ended = true;
        if (event.kind === "lockLost") this.onLost?.();
    }
    return this.done;
  }

  /** Whether it is held, and this event gives it back although nobody has asked for that. */
  isGivenBackBy({ kind }: Event): boolean {
    if (kind !== "lockReleased" && kind !== "lockFailed") return false;
    return this.fence > 0 && (this.done || this.renewing > 0);
  }

  /**
   * Until it is done. Throws `Aborted` if `signal` aborts before; whose it is says then what
   * becomes of it.
   */
  wait(signal?: Signal): Promise<void> {
    if (this.done) return Promise.resolve();
    return new Promise((resolve, reject) => {
      const forget = onAbort(signal, () => {
        this.#wakes.delete(wake);
        reject(aborted(signal));
      });
      const wake = () => {
        forget();
        resolve();
      };
      this.#wakes.add(wake);
    });
  }

  /** Wakes whoever waits. */
  wake(): void {
    const wakes = [...this.#wakes];
    this.#wakes.clear();
    for (const wake of wakes) wake();
  }
}
