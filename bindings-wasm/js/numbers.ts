/** Integers of any size, for those who want numbers, and for JSON, which has nothing else. */

import { ComityError, ErrorCode } from "./errors.js";

/** A value as a number. Throws `Overflow`. */
export function exact(value: bigint): number {
  const number = Number(value);
  if (Number.isSafeInteger(number)) return number;
  const message = `the value ${value} is beyond 2^53 - 1, to which a number is exact: take the bigint`;
  throw new ComityError(ErrorCode.Overflow, message);
}

/** A value for JSON: a number where that is exact, else its digits. */
export function plain(value: unknown): unknown {
  if (typeof value !== "bigint") return value;
  const number = Number(value);
  return Number.isSafeInteger(number) ? number : String(value);
}

/** Fields, and beside each `bigint` the same as a number, which throws `Overflow` where it is none. */
export type Numbered<T> = T extends unknown
  ? T & { readonly [K in keyof T & string as T[K] extends bigint ? `${K}Number` : never]: number }
  : never;

/** What `JSON.stringify` takes for an object: every `bigint` of its fields as `plain` has it. */
export function jsonOf(fields: object): object {
  return Object.fromEntries(Object.entries(fields).map(([name, value]) => [name, plain(value)]));
}

/** `fields` with numbers beside, which `JSON.stringify` can write. */
export function numbered<T extends object>(fields: T): Numbered<T> {
  for (const [name, value] of Object.entries(fields)) {
    if (typeof value !== "bigint") continue;
    Object.defineProperty(fields, `${name}Number`, { get: () => exact(value), configurable: true });
  }
  const toJSON = { value: () => jsonOf(fields), configurable: true };
  return Object.defineProperty(fields, "toJSON", toJSON) as Numbered<T>;
}
