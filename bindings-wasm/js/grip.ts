/** What a handle on a lock holds. It outlives the handle, whose lease is given back then. */

import { type Bytes, readable } from "./bytes.js";
import { queueMicrotask } from "./clock.js";
import { ComityError, ErrorCode } from "./errors.js";
import type { Operation } from "./operation.js";
import type { Controller } from "./platform.js";
import type { Session } from "./session.js";

/** `lock 'x'`, for messages. */
export function shownLock(name: Bytes): string {
  return `lock '${typeof name === "string" ? name : readable(name)}'`;
}

/** One handle's request, and whether its lease was lost. Nothing here leads to the handle. */
export class Grip {
  readonly session: Session;
  readonly name: Bytes;
  /** The request that is waited for, held, or lost and not given back yet. */
  operation: Operation | null = null;
  /** Aborts when the lease of the last grant is lost. */
  lost: Controller = new AbortController();
  /** The grant that was lost; until another request begins. */
  gone: Operation | null = null;
  #pinned = false;

  constructor(session: Session, name: Bytes) {
    this.session = session;
    this.name = name;
  }

  /** Another request begins. */
  take(operation: Operation): void {
    this.operation = operation;
    this.lost = new AbortController();
    this.gone = null;
  }

  /** The lease of the request is lost: `then` hears of it once this turn is over. */
  lose(operation: Operation, then: () => void): void {
    this.unpin();
    this.gone = operation;
    const { lost } = this;
    queueMicrotask(() => lost.abort(this.ended(operation)));
    queueMicrotask(then);
  }

  /** What is held keeps the process alive, where others would have to wait for the lease to end. */
  pin(): void {
    if (!this.session.isShared) return;
    this.#pinned = true;
    this.session.pin();
  }

  unpin(): void {
    if (this.#pinned) this.session.unpin();
    this.#pinned = false;
  }

  /** Nobody has the handle any more: what it holds is given back, in the background. */
  drop(): void {
    const { operation } = this;
    this.operation = null;
    this.unpin();
    if (operation === null || operation.ended || this.session.closed) return;
    this.session.cancel(operation);
    const message = `${shownLock(this.name)} was held by a handle that nobody has any more: it is released`;
    this.session.warn(`${message}. Keep the handle while you need the lock`, "ResourceWarning");
    this.lost.abort(this.about(new ComityError(ErrorCode.LockLost, message), operation));
  }

  /** Why a grant is over, or not certain. */
  ended(operation: Operation): unknown {
    if (operation.error === null && this.session.closed) this.session.giveBack(operation);
    const failure = this.session.failure(operation);
    const what = operation.ended ? "has ended" : "is not proven any more";
    const message = `the lease on ${shownLock(this.name)} ${what}`;
    return this.about(failure ?? new ComityError(ErrorCode.LockLost, message), operation);
  }

  /** An error that names the lock, and its server where it is known. */
  about(error: unknown, operation: Operation | null = this.operation): unknown {
    if (!(error instanceof ComityError)) return error;
    error.lockName = this.name;
    if (operation !== null && operation.node >= 0 && error.code !== ErrorCode.Internal) {
      error.server ??= this.session.servers.name(operation.node);
      error.node ??= operation.node;
    }
    return error;
  }
}
