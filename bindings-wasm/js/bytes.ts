import { ComityError, ErrorCode, invalid, kindOf } from "./errors.js";
import { TextDecoder, TextEncoder } from "./utf8.js";

/** Bytes; a string stands for its UTF-8. A string with a lone surrogate has none and is refused. */
export type Bytes = string | Uint8Array;

/**
 * The most bytes that go into the module at once: what Redis takes for one string (its
 * `proto-max-bulk-len`), and little enough to be copied there.
 */
export const MAX_BYTES = 2 ** 29;

const encoder = new TextEncoder();
const decoder = new TextDecoder("utf-8", { ignoreBOM: true });
const strict = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });
const LONE_SURROGATE = /\p{Surrogate}/u;

/** Whether a string can be written as UTF-8. Firefox before 119 cannot say so itself. */
export const isWellFormed: (text: string) => boolean =
  "isWellFormed" in String.prototype
    ? (text) => (text as string & { isWellFormed(): boolean }).isWellFormed()
    : (text) => !LONE_SURROGATE.test(text);

/** What all typed arrays have their properties from. */
const typedArray: object = Object.getPrototypeOf(Uint8Array.prototype);

/** Nothing that a caller has made answers to this, as it could to `instanceof` and by its name. */
const { get: kindOfArray } = Object.getOwnPropertyDescriptor(
  typedArray,
  Symbol.toStringTag,
) as { get(): string | undefined };

/** Whether a value is a `Uint8Array`, also one of another realm. */
export function isBytes(value: unknown): value is Uint8Array {
  return kindOfArray.call(value) === "Uint8Array";
}

/** How long bytes are, also where a subclass says something else. */
export const { get: lengthOf } = Object.getOwnPropertyDescriptor(typedArray, "length") as {
  get(): number;
};

/** A string that is well-formed, as it is. Throws `InvalidArgument`. */
export function text(name: string, value: string): string {
  if (isWellFormed(value)) return value;
  throw invalid(`${name} has a lone surrogate, which UTF-8 cannot hold`);
}

/** Throws `LimitExceeded` for more bytes than go into the module. */
export function refuseLong(name: string, length: number): void {
  if (length <= MAX_BYTES) return;
  const message = `${name} has ${length} bytes: more than ${MAX_BYTES}, the most that Redis takes`;
  throw new ComityError(ErrorCode.LimitExceeded, message);
}

/**
 * The bytes of a string or `Uint8Array`. Throws `InvalidArgument` for anything else, and
 * `LimitExceeded`.
 */
export function octets(name: string, value: unknown): Uint8Array {
  if (typeof value !== "string" && !isBytes(value)) {
    throw invalid(`${name} must be a string or a Uint8Array, not ${kindOf(value)}`);
  }
  // No character has less than a byte.
  refuseLong(name, typeof value === "string" ? value.length : lengthOf.call(value));
  const bytes = typeof value === "string" ? encoder.encode(text(name, value)) : honest(value);
  refuseLong(name, bytes.length);
  return bytes;
}

/** Bytes that are as long as they say: so much memory is taken for them, and all of them is copied. */
function honest(bytes: Uint8Array): Uint8Array {
  const length = lengthOf.call(bytes);
  if (bytes.length === length) return bytes;
  const copy = new Uint8Array(length);
  copy.set(bytes);
  return copy;
}

/** What a command is made of: numbers are written as JavaScript writes them. */
export type Word = string | Uint8Array | number | bigint;

/** A word of a command as bytes. Throws `InvalidArgument`, `LimitExceeded`. */
export function word(name: string, value: unknown): Uint8Array {
  if (typeof value === "bigint") return encoder.encode(value.toString());
  if (typeof value === "number") {
    if (!Number.isFinite(value)) throw invalid(`${name} must be a finite number, not ${value}`);
    return encoder.encode(String(value));
  }
  if (typeof value === "string" || isBytes(value)) return octets(name, value);
  throw invalid(
    `${name} must be a string, a Uint8Array, a number or a bigint, not ${kindOf(value)}`,
  );
}

/** A string that is the same for the same bytes: a character for each. */
export function latin1(bytes: Uint8Array): string {
  let out = "";
  for (let at = 0; at < bytes.length; at += 4096) {
    out += String.fromCharCode(...bytes.subarray(at, at + 4096));
  }
  return out;
}

/** Text for people: what is not UTF-8 shows as U+FFFD. */
export function readable(bytes: Uint8Array): string {
  return decoder.decode(bytes);
}

/** Text where it is UTF-8, else a copy of the bytes. */
export function textOrBytes(bytes: Uint8Array): Bytes {
  try {
    return strict.decode(bytes);
  } catch {
    return bytes.slice();
  }
}

/** Whether these are the same bytes. */
export function equal(one: Uint8Array, other: Uint8Array): boolean {
  return one.length === other.length && one.every((byte, at) => byte === other[at]);
}
