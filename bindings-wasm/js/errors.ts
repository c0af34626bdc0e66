import { ErrorCode } from "./codes.js";

export { ErrorCode } from "./codes.js";

/** The name of a code, which is the `name` of its errors. */
export type ErrorName = keyof typeof ErrorCode;

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
