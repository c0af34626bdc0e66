/** The lock handle: what `co.lock(...)` returns. */

import { type Bytes, octets, readable } from "./bytes.js";
import { asyncDispose } from "./dispose.js";
import { ComityError, ErrorCode, invalid, kindOf } from "./errors.js";
import { Operation } from "./operation.js";
import type { Session } from "./session.js";
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

/** How a lock is asked for. Spans are milliseconds, which may have a fraction. */
export interface LockOptions {
  /**
   * How long a lease lasts unless it is renewed, 50 to 86,400,000; 30,000. A holder that dies
   * blocks others for at most that long.
   */
  ttl?: number;
  /** How long to wait for a grant: as long as it takes if left out or null, 0 to try once. */
  wait?: number | null;
  /** Whether the lease is renewed in the background until the release; true. */
  renew?: boolean;
  /** How long after the grant renewals end; never if left out or null. */
  maxHold?: number | null;
  /** Who holds it, for people, at most 256 bytes; the process by default. */
  label?: Bytes;
  /** Called when a lease ends before its release. */
  onLost?: (lock: Lock) => void;
}

/** How it is acquired. */
export interface AcquireOptions {
  /** In place of the handle's own. */
  wait?: number | null;
  /** Gives up waiting: it then throws `Aborted`, and what was begun is taken back. */
  signal?: AbortSignal;
}

/** Something that can be given up. */
export interface Waiting {
  /** Gives up waiting: it then throws `Aborted`. */
  signal?: AbortSignal;
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
  readonly #ready: () => void;
  readonly #key: Uint8Array;
  readonly #ttl: number;
  readonly #wait: number | null;
  readonly #renew: boolean;
  readonly #maxHold: number | null;
  readonly #label: Uint8Array;
  readonly #onLost: ((lock: Lock) => void) | undefined;
  #operation: Operation | null = null;
  #lost = new AbortController();
  #pinned = false;

  /** Not for users: see `Coordinator.lock`. */
  constructor(session: Session, name: Bytes, options: LockOptions | undefined, label: Uint8Array) {
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
    this.#ready = () => session.requireOpen();
    this.name = name;
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
    this.#operation = null;
    if (operation.error.code === ErrorCode.LockTimeout) return false;
    throw this.#failure(operation);
  }

  /** Not for users: the same, with a failure of every kind thrown. */
  async take(options?: AcquireOptions): Promise<void> {
    const operation = await this.#acquire(options);
    if (operation.error === null) return;
    this.#operation = null;
    throw this.#failure(operation);
  }

  /**
   * Gives the lock back; the next in line gets it in the same step.
   *
   * Throws `NotHeld` without a grant, `LockLost` if the lease ended before, and what kept the server
   * from confirming otherwise (comity then goes on releasing in the background, as it does when
   * `signal` aborts). The handle is free afterwards in any case.
   */
  async release(options?: Waiting): Promise<void> {
    const { signal } = checked("options", options, ["signal"]);
    const operation = this.#granted();
    this.#operation = null;
    this.#unpin();
    try {
      refuseAborted(signal);
      this.#session.resume(operation, (core, now) => core.lockRelease(operation.id, now));
      await this.#session.wait(operation, signal);
    } catch (error) {
      if (error instanceof ComityError && error.code === ErrorCode.Aborted) {
        this.#session.cancel(operation);
      }
      throw this.#about(error);
    }
    if (operation.error !== null) throw this.#failure(operation);
  }

  /**
   * Renews the lease now, for `ttl` milliseconds (the handle's own if left out) from now on.
   *
   * Throws `NotHeld` without a grant, `LockLost` if the lease is over. A renewal whose wait is given
   * up may still happen; the lock stays held.
   */
  async extend(ttl?: number, options?: Waiting): Promise<void> {
    const { signal } = checked("options", options, ["signal"]);
    const span = ttl === undefined ? this.#ttl : millis("ttl", ttl, MIN_TTL, MAX_TTL);
    refuseAborted(signal);
    const operation = this.#granted();
    operation.renewing = true;
    try {
      const renewal = { ttlUs: span };
      this.#session.resume(operation, (core, now) => core.lockRenew(operation.id, now, renewal));
      await this.#session.wait(operation, signal);
    } catch (error) {
      throw this.#about(error);
    } finally {
      operation.renewing = false;
      operation.done = true;
    }
    if (operation.ended) throw this.#ended(operation);
  }

  /** Throws `LockLost` if the lease is over or unproven, `NotHeld` without a grant. */
  check(): void {
    const operation = this.#granted();
    if (!this.#isHeld(operation)) throw this.#ended(operation);
  }

  /** Whether the lease is certain to be valid right now. */
  get held(): boolean {
    const operation = this.#operation;
    return operation !== null && operation.fence > 0 && this.#isHeld(operation);
  }

  /** Whether a grant has ended that was not given back. */
  get lost(): boolean {
    const operation = this.#operation;
    if (operation === null || operation.fence === 0) return false;
    return operation.ended || this.#session.now() >= operation.validUntil;
  }

  /** Aborts when the lease ends before its release; its reason is the `LockLost`. */
  get signal(): AbortSignal {
    return this.#lost.signal;
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
    const operation = this.#operation;
    if (operation === null || operation.fence === 0 || operation.ended) return 0;
    return Math.max(0, operation.validUntil - this.#session.now()) / 1000;
  }

  /** Releases what is held, for `await using`. Throws as `release` does, but not `NotHeld`. */
  async [asyncDispose](): Promise<void> {
    if (this.#operation !== null && this.#operation.fence > 0) await this.release();
  }

  async #acquire(options: AcquireOptions | undefined): Promise<Operation> {
    const given = checked("options", options, ["wait", "signal"]);
    const wait =
      given.wait === undefined ? this.#wait : someMillis("wait", given.wait, 0, MAX_WAIT);
    refuseAborted(given.signal);
    this.#ready();
    const before = this.#operation;
    if (before !== null && !before.ended) {
      const state = before.fence > 0 ? "is held already" : "is waited for already";
      throw this.#about(
        new ComityError(ErrorCode.InvalidState, `this handle on ${this.#shown()} ${state}`),
      );
    }
    const operation = new Operation();
    this.#operation = operation;
    this.#lost = new AbortController();
    operation.onLost = () => this.#told(operation);
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
      await this.#session.wait(operation, given.signal);
    } catch (error) {
      if (this.#operation === operation) this.#operation = null;
      this.#session.cancel(operation);
      throw this.#about(error);
    }
    if (operation.error === null && !operation.ended) this.#pin();
    return operation;
  }

  #told(operation: Operation): void {
    this.#unpin();
    const lost = this.#lost;
    queueMicrotask(() => lost.abort(this.#ended(operation)));
    const onLost = this.#onLost;
    if (onLost !== undefined) queueMicrotask(() => onLost(this));
  }

  #pin(): void {
    this.#pinned = true;
    this.#session.pin();
  }

  #unpin(): void {
    if (this.#pinned) this.#session.unpin();
    this.#pinned = false;
  }

  #isHeld(operation: Operation): boolean {
    if (operation.ended) return false;
    return this.#session.core.lockIsHeld(operation.id, this.#session.now());
  }

  #granted(): Operation {
    const operation = this.#operation;
    if (operation !== null && operation.fence > 0) return operation;
    const message = `${this.#shown()} is not held by this handle`;
    throw this.#about(new ComityError(ErrorCode.NotHeld, message));
  }

  #ended(operation: Operation): unknown {
    if (operation.error !== null) return this.#failure(operation);
    const message = `the lease on ${this.#shown()} has ended`;
    return this.#about(new ComityError(ErrorCode.LockLost, message));
  }

  /** What came of `operation`, in words that name the lock, its holder, the server. */
  #failure(operation: Operation): unknown {
    let error = this.#session.failure(operation);
    if (error === null) return this.#ended(operation);
    if (error.code === ErrorCode.LockTimeout && operation.holder !== null) {
      const holder = readable(operation.holder);
      const by = holder === "" ? "" : `: held by ${holder}`;
      error = new ComityError(error.code, `${this.#shown()} was not granted in time${by}`);
      if (holder !== "") error.holder = holder;
    }
    return this.#about(error);
  }

  #about(error: unknown): unknown {
    if (error instanceof ComityError) error.lockName = this.name;
    return error;
  }

  #shown(): string {
    return `lock '${typeof this.name === "string" ? this.name : readable(this.name)}'`;
  }
}
