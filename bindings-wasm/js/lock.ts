/** The lock handle: what `co.lock(...)` returns. */

import { type Bytes, octets, readable } from "./bytes.js";
import { asyncDispose } from "./dispose.js";
import { keeps, onceDropped, weakly } from "./dropped.js";
import { ComityError, ErrorCode, invalid, kindOf } from "./errors.js";
import { Grip, shownLock } from "./grip.js";
import { Operation } from "./operation.js";
import type { Session } from "./session.js";
import { type Asked, show, shownAs } from "./show.js";
import { refuseAborted } from "./signal.js";
import {
  checkedName,
  flag,
  MAX_TTL,
  MAX_WAIT,
  MIN_TTL,
  millis,
  options as checked,
  someMillis,
} from "./units.js";
import type { Signal } from "./platform.js";

/** How a lock is asked for. Spans are milliseconds, which may have a fraction. */
export interface LockOptions {
  /**
   * How many milliseconds a lease lasts unless it is renewed, 50 to 86,400,000; 30,000. A holder that dies
   * blocks others for at most that long.
   */
  ttl?: number | undefined;
  /**
   * How many milliseconds to wait for a grant: as long as it takes if left out or null, 0 to try
   * once.
   */
  wait?: number | null | undefined;
  /** Whether the lease is renewed in the background until the release; true. */
  renew?: boolean | undefined;
  /** How many milliseconds after the grant renewals end; never if left out or null. */
  maxHold?: number | null | undefined;
  /** Who holds it, for people, at most 256 bytes; host and process id by default. */
  label?: Bytes | undefined;
  /** Called when a lease ends before its release. */
  onLost?: ((lock: Lock) => void) | undefined;
}

/** How it is acquired. */
export interface AcquireOptions {
  /** In place of the handle's own: milliseconds, null for as long as it takes. */
  wait?: number | null | undefined;
  /** Gives up waiting: it then throws `Aborted`, and what was begun is taken back. */
  signal?: Signal | undefined;
}

/** Something that can be given up. */
export interface Waiting {
  /** Gives up waiting: it then throws `Aborted`. */
  signal?: Signal | undefined;
}

const LOCK_OPTIONS = ["ttl", "wait", "renew", "maxHold", "label", "onLost"];

/**
 * A fair, fenced lock on a name, held by at most one handle at a time.
 *
 * A handle can be used again after a release, and waits for one thing at a time; it is not
 * reentrant. Give `fence` to the resource you protect: it rises with every grant, so a resource
 * that remembers the highest one can refuse whoever comes late.
 */
export class Lock {
  /** The name as it was given. */
  readonly name: Bytes;
  readonly #session: Session;
  readonly #key: Uint8Array;
  readonly #ttl: number;
  readonly #wait: number | null;
  readonly #renew: boolean;
  readonly #maxHold: number | null;
  readonly #label: Uint8Array;
  readonly #onLost: ((lock: Lock) => void) | undefined;
  readonly #grip: Grip;
  #last: number | null = null;

  /** Not for users: see `Coordinator.lock`. */
  constructor(
    session: Session,
    keeper: object,
    name: Bytes,
    options: LockOptions | undefined,
    label: Uint8Array,
  ) {
    const given = checked("options", options, LOCK_OPTIONS);
    this.#key = checkedName(octets("name", name));
    this.#ttl = millis("ttl", given.ttl ?? 30_000, MIN_TTL, MAX_TTL);
    this.#wait = someMillis("wait", given.wait, 0, MAX_WAIT);
    this.#renew = flag("renew", given.renew, true);
    this.#maxHold = someMillis("maxHold", given.maxHold, MIN_TTL, MAX_WAIT);
    this.#label = given.label === undefined ? label : octets("label", given.label);
    if (given.onLost !== undefined && typeof given.onLost !== "function") {
      throw invalid(`onLost must be a function, not ${kindOf(given.onLost)}`);
    }
    this.#onLost = given.onLost;
    this.#session = session;
    keeps(this, keeper);
    this.name = name;
    const grip = new Grip(session, name);
    this.#grip = grip;
    onceDropped(this, dropping(grip));
  }

  /** What `Event.lock` says of the last `acquire`; null before the first. */
  get id(): number | null {
    const { operation } = this.#grip;
    return operation === null || operation.id < 0 ? this.#last : operation.id;
  }

  /**
   * Waits for the lock and takes it. True once it is held, false if `wait` is over first.
   *
   * Any other failure is thrown: `Unreachable`, `NoAnswer`, `ServerRefused`, `WrongType`, `Closed`,
   * `Aborted`; `InvalidState` if this handle already holds the lock or waits for it.
   */
  async acquire(options?: AcquireOptions): Promise<boolean> {
    const operation = await this.#acquire(options);
    if (operation.error === null) return true;
    this.#grip.operation = null;
    if (operation.error.code === ErrorCode.LockTimeout) return false;
    throw this.#failure(operation);
  }

  /** Not for users: the same, with a failure of every kind thrown. */
  async take(options?: AcquireOptions): Promise<void> {
    const operation = await this.#acquire(options);
    if (operation.error === null) return;
    this.#grip.operation = null;
    throw this.#failure(operation);
  }

  /**
   * Gives the lock back; the next in line gets it in the same step.
   *
   * Throws `NotHeld` without a grant, `LockLost` if the lease ended before, or was given back by a
   * close, and what kept the server from confirming otherwise (comity then goes on releasing in the
   * background, as it does when `signal` aborts). The handle is free afterwards in any case.
   */
  async release(options?: Waiting): Promise<void> {
    const { signal } = checked("options", options, ["signal"]);
    const operation = this.#granted();
    this.#grip.operation = null;
    this.#grip.unpin();
    try {
      refuseAborted(signal);
      this.#session.resume(operation, (core, now) => core.lockRelease(operation.id, now));
      await this.#session.wait(operation, signal);
    } catch (error) {
      if (error instanceof ComityError && error.code === ErrorCode.Aborted) {
        this.#session.cancel(operation);
      }
      throw this.#grip.about(error, operation);
    }
    if (operation.error !== null) throw this.#failure(operation);
  }

  /**
   * Renews the lease now, for `ttl` milliseconds (the handle's own if left out) from now on.
   *
   * Throws `NotHeld` without a grant, `LockLost` if the lease is over. Within the coordinator's
   * `timeout` it throws `ServerRefused`, `Unreachable` if it was never sent, or `NoAnswer` if it was:
   * the lease then lasts as long as it did, at least, and renewals by themselves go on. A renewal whose
   * wait is given up may still happen; the lock stays held.
   */
  async extend(ttl?: number, options?: Waiting): Promise<void> {
    const { signal } = checked("options", options, ["signal"]);
    const span = ttl === undefined ? this.#ttl : millis("ttl", ttl, MIN_TTL, MAX_TTL);
    refuseAborted(signal);
    const operation = this.#granted();
    operation.renewing += 1;
    operation.unrenewed = null;
    try {
      const renewal = { ttlUs: span };
      this.#session.resume(operation, (core, now) => core.lockRenew(operation.id, now, renewal));
      await this.#session.wait(operation, signal);
    } catch (error) {
      throw this.#grip.about(error, operation);
    } finally {
      operation.renewing -= 1;
      if (operation.renewing === 0) operation.done = true;
    }
    if (operation.ended) throw this.#grip.ended(operation);
    const failure = this.#session.failure(operation, operation.unrenewed);
    if (failure !== null) throw this.#grip.about(failure, operation);
  }

  /**
   * Throws `LockLost` if the lease is over or unproven, also once `release` has said so, and `NotHeld`
   * without a grant.
   */
  check(): void {
    const operation = this.#granted();
    if (!this.#isHeld(operation)) throw this.#grip.ended(operation);
  }

  /** Whether the lease is certain to be valid right now. */
  get held(): boolean {
    const operation = this.#grip.operation;
    return operation !== null && operation.fence > 0 && this.#isHeld(operation);
  }

  /**
   * Whether the lease of the last grant ended before its release, or was given back by a close, as
   * `signal` tells; until the next `acquire`. After a stall of the event loop, `held` and `check` say at
   * once that the lease is not proven; it is lost once what has arrived was read, an answer to a renewal
   * that was sent in time among it.
   */
  get lost(): boolean {
    return this.#grip.lost.signal.aborted;
  }

  /**
   * Aborts when the lease ends before its release, or is given back by a close; its reason is the
   * `LockLost`.
   */
  get signal(): Signal {
    return this.#grip.lost.signal;
  }

  /**
   * The fencing token of this grant: higher than that of every grant before it, below 2^53. Throws
   * `NotHeld` without a grant.
   */
  get fence(): number {
    return this.#granted().fence;
  }

  /**
   * When the lease ends unless it is renewed, on the clock of `performance.now()`. Throws `NotHeld`
   * without a grant.
   */
  get validUntil(): number {
    return this.#granted().validUntil / 1000;
  }

  /** Milliseconds until `validUntil`, never negative; 0 without a grant. */
  get remaining(): number {
    const operation = this.#grip.operation;
    if (operation === null || operation.fence === 0 || operation.ended) return 0;
    return Math.max(0, operation.validUntil - this.#session.now()) / 1000;
  }

  /** Releases what is held, for `await using`. Throws as `release` does, but not `NotHeld`. */
  async [asyncDispose](): Promise<void> {
    const { operation } = this.#grip;
    if (operation !== null && operation.fence > 0) await this.release();
  }

  async #acquire(options: AcquireOptions | undefined): Promise<Operation> {
    const given = checked("options", options, ["wait", "signal"]);
    const wait =
      given.wait === undefined ? this.#wait : someMillis("wait", given.wait, 0, MAX_WAIT);
    refuseAborted(given.signal);
    this.#session.requireOpen();
    const grip = this.#grip;
    const before = grip.operation;
    if (before !== null && !before.ended) {
      const state = before.fence > 0 ? "is held already" : "is waited for already";
      const message = `this handle on ${shownLock(this.name)} ${state}`;
      throw grip.about(new ComityError(ErrorCode.InvalidState, message));
    }
    const operation = new Operation(this.name);
    grip.take(operation);
    operation.onLost = losing(grip, operation, weakly(this));
    operation.onGivenBack = losing(grip, operation, null);
    try {
      this.#session.begin(operation, (core, now) =>
        core.lockAcquire(this.#key, now, {
          ttlUs: this.#ttl,
          waitUs: wait,
          renew: this.#renew,
          maxHoldUs: this.#maxHold,
          label: this.#label,
        }),
      );
      this.#last = operation.id;
      await this.#session.wait(operation, given.signal);
    } catch (error) {
      if (grip.operation === operation) grip.operation = null;
      this.#session.cancel(operation);
      throw grip.about(error, operation);
    }
    if (operation.error === null && !operation.ended) grip.pin();
    return operation;
  }

  /** Not for users: tells the user that the lease is lost. */
  tellLost(): void {
    this.#onLost?.(this);
  }

  #isHeld(operation: Operation): boolean {
    if (operation.ended) return false;
    return this.#session.core.lockIsHeld(operation.id, this.#session.now());
  }

  #granted(): Operation {
    const { operation, gone } = this.#grip;
    if (operation !== null && operation.fence > 0) return operation;
    if (operation === null && gone !== null) throw this.#grip.ended(gone);
    const message = `${shownLock(this.name)} is not held by this handle`;
    throw this.#grip.about(new ComityError(ErrorCode.NotHeld, message));
  }

  /** What came of `operation`, in words that name the lock, its holder, the server. */
  #failure(operation: Operation): unknown {
    const { error, holder: bytes } = operation;
    if (error?.code !== ErrorCode.LockTimeout || bytes === null) return this.#grip.ended(operation);
    const holder = readable(bytes);
    const whose = this.#session.holds(this.#key)
      ? ", by another handle of this coordinator"
      : holder === readable(this.#label) && holder !== ""
        ? ", which is what this one is called too"
        : "";
    const by = holder === "" && whose === "" ? "" : `: held by ${holder}${whose}`;
    const message = `${shownLock(this.name)} was not granted in time${by}`;
    const late = new ComityError(error.code, message, { cause: error });
    if (holder !== "") late.holder = holder;
    return this.#grip.about(late, operation);
  }

  /** For `console.log`. */
  [show](...asked: Asked): string {
    const { name, id, held, lost } = this;
    const more = held ? { fence: this.fence, remaining: Math.round(this.remaining) } : {};
    return shownAs("Lock", () => ({ name, id, held, lost, ...more }), asked);
  }
}

// Apart from the handle, which nothing that these are kept by may lead to.

function dropping(grip: Grip): () => void {
  return () => grip.drop();
}

function losing(
  grip: Grip,
  operation: Operation,
  told: { deref(): Lock | undefined } | null,
): () => void {
  return () => grip.lose(operation, () => told?.deref()?.tellLost());
}
