/** Hears what befalls the counters of one coordinator: journals are written, losses told. */

import { Alarm, nowUs } from "./clock.js";
import type { Event } from "./core/events.js";
import { ComityError } from "./errors.js";
import { Gathered, SPAN_US, type Tiding } from "./gathered.js";
import type { Session } from "./session.js";

/** Milliseconds until a journal that could not be written is tried again. */
const PAUSE = 1000;

/** Writes a journal down. */
export type Write = (journal: Uint8Array) => void | Promise<void>;

export class Journals {
  readonly #session: Session;
  readonly #writers = new Map<number, Write>();
  readonly #writing = new Map<number, Promise<void>>();

  readonly #gathered = new Gathered();
  readonly #soon = new Alarm(() => this.stop());

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

  /** Says now what was gathered. */
  stop(): void {
    this.#soon.clear();
    for (const line of this.#gathered.take()) this.#session.warn(line);
  }

  #heard(event: Event & { counter: number }): void {
    const { counter } = event;
    switch (event.kind) {
      case "counterJournal": {
        const write = this.#writers.get(counter);
        if (write !== undefined) this.#begin(counter, event.name, write, event.bytes);
        break;
      }
      case "counterClosed":
        this.#writers.delete(counter);
        this.#session.cells.delete(counter);
        if (event.units > 0n && !this.#session.awaits(counter)) {
          const { name, node, units } = event;
          const why = this.#gathered.why(counter) ?? this.#session.servers.why(node);
          this.#gather({ kind: "closed", counter, name, ...this.#at(node), why, units });
        }
        this.#gathered.over(counter, "refused", "regressed", "journal");
        break;
      case "counterLost": {
        const { name, units, error } = event;
        const where = this.#at(error.node);
        this.#gather({ kind: "lost", counter, name, ...where, why: error.message, units });
        break;
      }
      case "counterRegressed":
        this.#gather({ kind: "regressed", counter, name: event.name, ...this.#at(event.node) });
        break;
      case "counterRefused": {
        const { name, error } = event;
        this.#gather({ kind: "refused", counter, name, ...this.#at(error.node), why: error.message });
        break;
      }
      default:
    }
  }

  #at(node: number | undefined): { server?: string } {
    return node === undefined ? {} : { server: this.#session.servers.name(node) };
  }

  #gather(tiding: Tiding): void {
    // Who closes says what there is when all is done.
    if (!this.#gathered.put(tiding) || this.#session.closed) return;
    const now = nowUs();
    if (this.#soon.at === Infinity) this.#soon.set(now + SPAN_US, now);
  }

  #begin(counter: number, name: Uint8Array, write: Write, journal: Uint8Array): void {
    const before = this.#writing.get(counter) ?? Promise.resolve();
    const done = before.then(() => this.#write(counter, name, write, journal));
    this.#writing.set(counter, done);
    this.#session.pin();
    void done.finally(() => {
      this.#session.unpin();
      if (this.#writing.get(counter) === done) this.#writing.delete(counter);
    });
  }

  async #write(
    counter: number,
    name: Uint8Array,
    write: Write,
    journal: Uint8Array,
  ): Promise<void> {
    for (;;) {
      try {
        await write(journal);
        break;
      } catch (error) {
        this.#gather({ kind: "journal", counter, name, why: String(error) });
        if (this.#session.closed) return;
        await new Promise((resolve) => setTimeout(resolve, PAUSE));
      }
    }
    this.#gathered.over(counter, "journal");
    try {
      this.#session.core.counterJournaled(counter, this.#session.now());
      this.#session.drain();
    } catch (error) {
      // Closed meanwhile: nobody waits for it.
      if (!(error instanceof ComityError)) throw error;
    }
  }
}
