import { ComityError, ErrorCode, invalid, kindOf } from "./errors.js";

/** The longest name of a lock or counter, in bytes. */
export const MAX_NAME = 512;
const DAY = 86_400_000;
export const MIN_TTL = 50;
export const MAX_TTL = DAY;
export const MAX_WAIT = 365 * DAY;
export const MIN_TIMEOUT = 10;
export const MAX_TIMEOUT = 60_000;

const MAX_U64 = (1n << 64n) - 1n;

/** A value as messages show it. */
export function shown(value: unknown): string {
  const plain = ["number", "bigint", "boolean", "undefined"].includes(typeof value);
  if (plain || value === null) return `${String(value)}${typeof value === "bigint" ? "n" : ""}`;
  return typeof value === "string" ? JSON.stringify(value.slice(0, 80)) : kindOf(value);
}

/**
 * `value` milliseconds, which may have a fraction, as whole microseconds.
 *
 * Throws `InvalidArgument`, naming the option and its range.
 */
export function millis(name: string, value: unknown, low: number, high: number): number {
  if (typeof value !== "number" || !(value >= low && value <= high)) {
    throw invalid(`${name} must be ${low}..${high} milliseconds, not ${shown(value)}`);
  }
  return Math.round(value * 1000);
}

/** The same, or null where there is none. */
export function someMillis(
  name: string,
  value: unknown,
  low: number,
  high: number,
): number | null {
  return value === undefined || value === null ? null : millis(name, value, low, high);
}

/** A whole number, given as a number or `bigint`, in a range that a number holds exactly. */
export function whole(
  name: string,
  value: unknown,
  low = 0,
  high = Number.MAX_SAFE_INTEGER,
): number {
  const number = typeof value === "bigint" && fits(value) ? Number(value) : value;
  if (typeof number !== "number" || !Number.isSafeInteger(number) || number < low || number > high) {
    throw invalid(`${name} must be a whole number, ${low}..${high}, not ${shown(value)}`);
  }
  return number;
}

function fits(value: bigint): boolean {
  return value >= BigInt(Number.MIN_SAFE_INTEGER) && value <= BigInt(Number.MAX_SAFE_INTEGER);
}

/** A whole number of up to 64 bits, given as a safe integer or a `bigint`. */
export function wide(name: string, value: unknown, low = 0n, high = MAX_U64): bigint {
  const number = Number.isSafeInteger(value) ? BigInt(value as number) : value;
  if (typeof number !== "bigint" || number < low || number > high) {
    throw invalid(
      `${name} must be a whole number, ${low}..${high}, as a safe integer or a bigint, not ` +
        shown(value),
    );
  }
  return number;
}

/** A flag; `usual` where it is left out. */
export function flag(name: string, value: unknown, usual: boolean): boolean {
  if (value === undefined) return usual;
  if (typeof value === "boolean") return value;
  throw invalid(`${name} must be true or false, not ${shown(value)}`);
}

/** One of these words. */
export function choice<T extends string>(name: string, value: unknown, all: readonly T[]): T {
  if (all.includes(value as T)) return value as T;
  const words = all.map((each) => `"${each}"`).join(", ");
  throw invalid(`${name} must be one of ${words}, not ${shown(value)}`);
}

/** An object of options; those that it has must be among `known`, so that none is misspelt. */
export function options<T extends object>(
  name: string,
  value: T | undefined,
  known: readonly string[],
): Partial<T> {
  if (value === undefined) return {};
  if (typeof value !== "object" || value === null || Array.isArray(value)) {
    throw invalid(`${name} must be an object, not ${shown(value)}`);
  }
  const strange = Object.keys(value).find((key) => !known.includes(key));
  if (strange !== undefined) {
    const where = name === "options" ? "there is" : `${name} has`;
    throw invalid(`${where} no option ${JSON.stringify(strange)}: ${known.join(", ")}`);
  }
  return value;
}

/** The name of a lock or counter, 1 to 512 bytes. Throws `InvalidArgument`, `LimitExceeded`. */
export function checkedName(bytes: Uint8Array): Uint8Array {
  if (bytes.length === 0) throw invalid(`name must be 1..${MAX_NAME} bytes, not empty`);
  if (bytes.length > MAX_NAME) {
    const message = `name must be 1..${MAX_NAME} bytes, not ${bytes.length}`;
    throw new ComityError(ErrorCode.LimitExceeded, message);
  }
  return bytes;
}
