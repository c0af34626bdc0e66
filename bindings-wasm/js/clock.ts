/** The one clock of the package, in microseconds since an arbitrary origin, and its timers. */

/** Node's, where there is one: what has arrived is read before it is called. */
type Immediate = (then: () => void) => unknown;

// As they are when the package is loaded: test runners put clocks of their own in their place later.
export const { setTimeout, clearTimeout, setInterval, clearInterval, queueMicrotask } = globalThis;
const { setImmediate } = globalThis as { setImmediate?: Immediate };
const clock = performance.now.bind(performance);
const wall = Date.now;

/** What every call of the core takes as `now`. */
export function nowUs(): number {
  return Math.floor(clock() * 1000);
}

/**
 * Calls `then` once what had arrived by now has been read. A turn of Node's loop has timers first,
 * then sockets, then immediates; the second turn is for what took more than one, as TLS does.
 */
export function onceRead(then: () => void): void {
  if (setImmediate === undefined) setTimeout(then, 0);
  else setImmediate(() => setImmediate(then));
}

/** Calls `then` after what was to be written in this turn of the event loop. */
export function onceWritten(then: () => void): void {
  if (setImmediate === undefined) setTimeout(then, 0);
  else setImmediate(then);
}

/** The longest that a timer sleeps, in milliseconds: so long may a suspend go unnoticed. */
export const NAP = 1000;

/** How far wall clock and monotonic clock may part before a suspend is assumed, in milliseconds. */
const JUMP = 1000;

/**
 * Notices that the machine slept: on some systems `performance.now()` stands still meanwhile, and
 * the wall clock does not.
 */
export class Gaps {
  #offset = offset();

  /** Whether there was a gap since this was last asked. */
  seen(): boolean {
    const before = this.#offset;
    this.#offset = offset();
    return Math.abs(this.#offset - before) > JUMP;
  }
}

function offset(): number {
  return wall() - clock();
}

/**
 * A timer that keeps no process alive, where there are such. It rings once what has arrived has been
 * read: after a stall, what came in time is not taken for late.
 */
export class Alarm {
  #timer: ReturnType<typeof setTimeout> | undefined;
  #at = Infinity;
  readonly #ring: () => void;

  constructor(ring: () => void) {
    this.#ring = ring;
  }

  /** When it rings, in microseconds of `nowUs`; infinity while it is off. */
  get at(): number {
    return this.#at;
  }

  /** Rings once at `at`, or after `longest` milliseconds, in place of when it would have. */
  set(at: number, now: number, longest = 2 ** 31 - 1): void {
    this.clear();
    if (at === Infinity) return;
    this.#at = at;
    const left = Math.min(Math.max(0, Math.ceil((at - now) / 1000)), longest);
    const timer = setTimeout(() => onceRead(() => this.#rung(timer)), left);
    this.#timer = timer;
    // A number in browsers, an object in Node.
    (timer as { unref?(): void }).unref?.();
  }

  clear(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    this.#at = Infinity;
  }

  #rung(timer: ReturnType<typeof setTimeout>): void {
    // It may have been cleared or set anew while was read.
    if (this.#timer !== timer) return;
    this.clear();
    this.#ring();
  }
}

/** Keeps the process alive while something is held or awaited, where a process can end by itself. */
export class Pins {
  #count = 0;
  #timer: { ref(): void; unref(): void } | null = null;

  add(): void {
    this.#count += 1;
    if (this.#count !== 1) return;
    if (this.#timer === null) {
      const timer = setInterval(() => {}, 2 ** 30) as unknown;
      if (typeof timer === "number") clearInterval(timer);
      else this.#timer = timer as { ref(): void; unref(): void };
    } else this.#timer.ref();
  }

  remove(): void {
    this.#count -= 1;
    if (this.#count === 0) this.#timer?.unref();
  }

  /** Nothing is held or awaited any more, whatever is said. */
  end(): void {
    this.#count = -Infinity;
    if (this.#timer !== null) clearInterval(this.#timer as unknown as number);
    this.#timer = null;
  }
}
