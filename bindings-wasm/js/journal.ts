/** Hears what befalls the counters of one coordinator: journals are written, losses told. */

import type { Event } from "./core/event.js";
import { ComityError } from "./errors.js";
import { warn } from "./log.js";
import type { Session } from "./session.js";

/** Milliseconds until a journal that could not be written is tried again. */
const PAUSE = 1000;

/** Writes a journal down. */
export type Write = (journal: Uint8Array) => void | Promise<void>;

export class Journals {
  readonly #session: Session;
  readonly #writers = new Map<number, Write>();
  readonly #writing = new Map<number, Promise<void>>();

  constructor(session: Session) {
    this.#session = session;
    session.onCounter = (event) => this.#heard(event);
  }

  /** How the journal of a counter is written. */
  register(counter: number, write: Write): void {
    this.#writers.set(counter, write);
  }

  /** Until the journals of this counter, or of all, that were begun are written. */
  async finish(counter?: number): Promise<void> {
    // The turn of those that are about to begin.
    await Promise.resolve();
    const due = counter === undefined ? [...this.#writing.values()] : [this.#writing.get(counter)];
    await Promise.all(due);
  }

  #heard(event: Event & { counter: number }): void {
    const { counter } = event;
    switch (event.kind) {
      case "counterJournal": {
        const write = this.#writers.get(counter);
        if (write !== undefined) this.#begin(counter, write, event.bytes);
        break;
      }
      case "counterClosed":
        this.#writers.delete(counter);
        this.#session.cells.delete(counter);
        if (event.units > 0n && !this.#session.awaits(counter)) {
          warn(`a counter was closed with ${event.units} units unacknowledged`);
        }
        break;
      case "counterLost":
        warn(`${event.units} units of a counter are lost: ${event.error.message}`);
        break;
      case "counterRegressed":
        warn("a server has lost acknowledged units of a counter");
        break;
      case "counterRefused":
        warn(`a server does not take what is counted: ${event.error.message}`);
        break;
      default:
    }
  }

  #begin(counter: number, write: Write, journal: Uint8Array): void {
    const before = this.#writing.get(counter) ?? Promise.resolve();
    const done = before.then(() => this.#write(counter, write, journal));
    this.#writing.set(counter, done);
    this.#session.pin();
    void done.finally(() => {
      this.#session.unpin();
      if (this.#writing.get(counter) === done) this.#writing.delete(counter);
    });
  }

  async #write(counter: number, write: Write, journal: Uint8Array): Promise<void> {
    for (;;) {
      try {
        await write(journal);
        break;
      } catch (error) {
        warn(`the journal of a counter could not be written: ${String(error)}`);
        if (this.#session.closed) return;
        await new Promise((resolve) => setTimeout(resolve, PAUSE));
      }
    }
    try {
      this.#session.core.counterJournaled(counter, this.#session.now());
      this.#session.drain();
    } catch (error) {
      // Closed meanwhile: nobody waits for it.
      if (!(error instanceof ComityError)) throw error;
    }
  }
}
