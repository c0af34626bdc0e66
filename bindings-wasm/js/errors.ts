/**
 * The codes of comity's errors: the same table in every language.
 *
 * A refused verb (1 to 5, 22, 40, 64) has changed nothing.
 */
export const ErrorCode = {
  /** An option or value of another type or range; the message names it and the range. */
  InvalidArgument: 1,
  /** A stated limit would be passed; the message names it. */
  LimitExceeded: 2,
  /** Verbs in an order that makes no sense, or a handle that is over or belongs elsewhere. */
  InvalidState: 3,
  /** A server, client, page or command that cannot serve this; the message says why. */
  Unsupported: 4,
  /** The coordinator or counter is closed. */
  Closed: 5,
  /** The lock was not granted in time. */
  LockTimeout: 20,
  /** The lease ended before the release: somebody else may have held the lock meanwhile. */
  LockLost: 21,
  /** Release, renewal or check without a grant. */
  NotHeld: 22,
  /** The transaction was not applied: a key was locked, or not as it was read or expected. */
  Conflict: 30,
  /** A command of the transaction failed; the message names it. Nothing was applied. */
  CommandFailed: 31,
  /** The transaction was not applied: cancelled, too late, or aborted by who recovered it. */
  Aborted: 32,
  /** The server that decides did not say whether the transaction is applied. */
  OutcomeUnknown: 33,
  /** A count beyond the range. */
  Overflow: 40,
  /** The server serves transactions of another ring; nothing was done. */
  RingMismatch: 50,
  /** Nothing was sent: the server could not be reached. */
  Unreachable: 60,
  /** Sent, and no answer in time: the server may or may not have done it. */
  NoAnswer: 61,
  /** The server said no (OOM, READONLY, LOADING, NOAUTH, NOPERM ...); carries its words. */
  ServerRefused: 62,
  /** The key holds something that is not comity's. */
  WrongType: 63,
  /** Bytes that are not a valid snapshot; the message says where. */
  Corrupt: 64,
  /** A bug in comity; the instance it came from is dead. */
  Internal: 90,
} as const;

/** The name of a code, which is the `name` of its errors. */
export type ErrorName = keyof typeof ErrorCode;
/** The number of a code. */
export type ErrorCode = (typeof ErrorCode)[ErrorName];

const NAMES = new Map<number, ErrorName>(
  Object.entries(ErrorCode).map(([name, code]) => [code, name as ErrorName]),
);

/** Everything that comity throws. `code` and `name` say what kind it is. */
export class ComityError extends Error {
  /** The name of its code. */
  declare readonly name: ErrorName;
  /** Its number in the table that all languages share. */
  readonly code: ErrorCode;
  /** The lock this is about, where it is about one. */
  declare lockName?: string | Uint8Array;
  /** Who held the lock, as it calls itself, where that is known. */
  declare holder?: string;
  /** The id of the server this is about, where it is about one. */
  declare server?: string;
  /** The number of that server: its place in `Coordinator.ring.nodes()`. */
  declare node?: number;
  /** Which transaction, where its outcome is not known: for `transactionStatus` and `resolve`. */
  declare transactionId?: string;

  constructor(code: ErrorCode, message: string, options?: ErrorOptions) {
    super(message, options);
    this.code = code;
    // Not enumerable: who shows an error shows its name anyway.
    Object.defineProperty(this, "name", { value: NAMES.get(code) ?? "Internal", configurable: true });
  }
}

/** The error for a value of another type or range. */
export function invalid(message: string): ComityError {
  return new ComityError(ErrorCode.InvalidArgument, message);
}

/** The kind of a value, for messages: never its content. */
export function kindOf(value: unknown): string {
  if (value === null) return "null";
  if (typeof value !== "object") return typeof value;
  return Object.getPrototypeOf(value)?.constructor?.name ?? "object";
}

/** An error of the core's: it calls this to make what it throws. */
export function refused(code: number, message: string): ComityError {
  return new ComityError((NAMES.has(code) ? code : ErrorCode.Internal) as ErrorCode, message);
}
