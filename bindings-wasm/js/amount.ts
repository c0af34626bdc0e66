import { ComityError, ErrorCode, invalid } from "./errors.js";
import { shown } from "./units.js";

const MAX_U64 = (1n << 64n) - 1n;

/** So much up, or so much down. */
export interface Amount {
  readonly up: bigint;
  readonly down: bigint;
}

/** What is to be counted. Throws `InvalidArgument`, and `Overflow` beyond 2^64 - 1 either way. */
export function amount(n: unknown): Amount {
  const value = Number.isSafeInteger(n) ? BigInt(n as number) : n;
  if (typeof value !== "bigint") {
    throw invalid(`n must be a whole number, a safe integer or a bigint, not ${shown(n)}`);
  }
  const by = value < 0n ? -value : value;
  if (by > MAX_U64) {
    const message = `n is beyond 2^64 - 1, which is the most that is counted at once: ${value}`;
    throw new ComityError(ErrorCode.Overflow, message);
  }
  return value < 0n ? { up: 0n, down: by } : { up: by, down: 0n };
}
