/** `co.events()`: what happened, for those who want to watch. */

import type { Bytes } from "./bytes.js";
import type { Event as Raw } from "./core/events.js";
import { keeps } from "./dropped.js";
import type { Numbered } from "./numbers.js";
import type { Listener, Session } from "./session.js";
import { aborted, onAbort, refuseAborted } from "./signal.js";
import { options as checked, whole } from "./units.js";
import type { Signal } from "./platform.js";

const DEFAULT_BUFFER = 1024;
const MAX_BUFFER = 1_048_576;

type Named<T> = T extends { name: unknown }
  ? Omit<T, "name"> & {
      /** The name of the lock or counter, as it was given. */
      readonly name: Bytes;
    }
  : T & {
      /** The name of the lock, where it is about one. */
      readonly name?: Bytes;
    };

/**
 * Something happened. Times are microseconds on the clock of `performance.now()`; `kind` says what
 * else there is.
 */
export type Event = Named<Numbered<Raw>> & {
  /** The id of the server this is about, where it is about one. */
  readonly server?: string;
  /** The number of that server: its place in `Coordinator.ring.nodes()`. */
  readonly node?: number;
};

/** How events are watched. */
export interface EventsOptions {
  /** How many events are kept for a reader that is slower, 1 to 1,048,576; 1,024. */
  buffer?: number | undefined;
  /** Ends the iteration: it then throws `Aborted`. */
  signal?: Signal | undefined;
}

/**
 * A bounded buffer of events, from the moment it was made.
 *
 * A reader that is too slow loses the oldest events, never holds anything up, and finds in
 * `dropped` how many it lost. `for await` waits for the next event and ends when the coordinator or
 * this object is closed. It has one reader at a time.
 */
export class Events implements AsyncIterableIterator<Event>, Listener {
  readonly #session: Session;
  readonly #limit: number;
  readonly #signal: Signal | undefined;
  readonly #buffer: Event[] = [];
  #dropped = 0;
  #closed = false;
  #wake: (() => void) | null = null;

  /** Not for users: see `Coordinator.events`. */
  constructor(session: Session, keeper: object, options?: EventsOptions) {
    const given = checked("options", options, ["buffer", "signal"]);
    this.#limit = whole("buffer", given.buffer ?? DEFAULT_BUFFER, 1, MAX_BUFFER);
    refuseAborted(given.signal);
    this.#signal = given.signal;
    this.#session = session;
    keeps(this, keeper);
    session.listen(this);
  }

  /** How many events this reader lost because its buffer was full. */
  get dropped(): number {
    return this.#dropped;
  }

  /** The next event; what `for await` calls. Throws `Aborted`. */
  async next(): Promise<IteratorResult<Event, undefined>> {
    while (true) {
      const event = this.#buffer.shift();
      if (event !== undefined) return { done: false, value: event };
      if (this.#closed) return { done: true, value: undefined };
      if (this.#signal?.aborted) {
        this.close();
        throw aborted(this.#signal);
      }
      await this.#more();
    }
  }

  /** Stops listening. What is buffered can still be read. */
  close(): void {
    this.#session.unlisten(this);
    this.end();
  }

  /** The end of a `for await` that is left early. */
  return(): Promise<IteratorResult<Event, undefined>> {
    this.close();
    this.#buffer.length = 0;
    return Promise.resolve({ done: true, value: undefined });
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  /** Not for users: takes an event in, at the expense of the oldest where there is no room. */
  put(event: Event): void {
    if (this.#buffer.length >= this.#limit) {
      this.#buffer.shift();
      this.#dropped += 1;
    }
    this.#buffer.push(event);
    this.#wake?.();
  }

  /** Not for users: no event will come any more. */
  end(): void {
    this.#closed = true;
    this.#wake?.();
  }

  async #more(): Promise<void> {
    const signal = this.#signal;
    this.#session.pin();
    let forget = () => {};
    try {
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
        forget = onAbort(signal, resolve);
      });
    } finally {
      forget();
      this.#wake = null;
      this.#session.unpin();
    }
  }
}
