import { type Bytes, isBytes, isWellFormed, lengthOf, octets } from "../bytes.js";
import { core } from "../instance/core.js";
import type { RawKeys } from "../raw/comity.js";
import { TextEncoder } from "../utf8.js";

/** How many bytes `RawKeys` in src/ring.rs has room for, and for how many keys. */
const BYTES = 16 << 10;
const KEYS = 512;

/** Where a key ends that has no room. */
const FULL = -1;

/** Up to here a loop writes the characters of a string faster than a call does. */
const SHORT = 32;

const encoder = new TextEncoder();

// In the build for Node an import is reached through getters, which take as long as a lookup.
const areBytes: (key: unknown) => key is Uint8Array = isBytes;
const byteLength = lengthOf;

/**
 * Keys in the module's memory, written there without a call into the module, which would allocate and
 * copy for each. Nothing of the caller's runs from when they are written until they are read, so
 * one of these is enough.
 */
export class Keys {
  readonly raw: RawKeys = core.guarded((raw) => new raw.RawKeys());
  /** Where it is in the module's memory. */
  readonly here = core.guarded(() => this.raw.bytes());
  readonly #words = core.guarded(() => this.raw.words());
  #bytes = new Uint8Array();
  #lengths = new Int32Array();

  /** Writes one key, and says how long it is, or -1 where there is no room. */
  one(key: Bytes): number {
    return put(this.#room(), 0, key);
  }

  /** Writes as many of `keys` as there is room for, from one on, and says how many these are. */
  fill(keys: readonly Bytes[], first: number): number {
    const bytes = this.#room();
    const lengths = this.#lengths;
    const most = Math.min(keys.length - first, KEYS);
    for (let count = 0, begin = 0; count < most; count++) {
      const end = put(bytes, begin, keys[first + count] as Bytes, first + count);
      if (end === FULL) return count;
      lengths[count] = end - begin;
      // Each begins at a multiple of 4.
      begin = (end + 3) & ~3;
    }
    return most;
  }

  /** What the module has answered for a key, by its number. */
  get answers(): Int32Array {
    this.#room();
    return this.#lengths;
  }

  /** The bytes; they are where they were, but a memory that grows leaves all views of it empty. */
  #room(): Uint8Array {
    if (this.#bytes.length === 0) {
      const { buffer } = core.memory();
      this.#bytes = new Uint8Array(buffer, this.here, BYTES);
      this.#lengths = new Int32Array(buffer, this.#words, KEYS);
    }
    return this.#bytes;
  }
}

/** Writes a key to `begin` and says where it ends, or `FULL`. Throws `InvalidArgument`. */
function put(bytes: Uint8Array, begin: number, key: Bytes, number?: number): number {
  if (typeof key === "string") return putText(bytes, begin, key, number);
  // Throws, as it does for a string that is not well-formed.
  if (!areBytes(key)) octets(nameOf(number), key);
  const end = begin + byteLength.call(key);
  if (end > BYTES) return FULL;
  bytes.set(key, begin);
  return end;
}

function putText(bytes: Uint8Array, begin: number, key: string, number?: number): number {
  const end = begin + key.length;
  if (end > BYTES) return FULL;
  if (key.length <= SHORT) {
    let units = 0;
    for (let at = 0; at < key.length; at++) {
      const unit = key.charCodeAt(at);
      units |= unit;
      bytes[begin + at] = unit;
    }
    if (units < 128) return end;
  }
  if (!isWellFormed(key)) octets(nameOf(number), key);
  const room = begin === 0 ? bytes : bytes.subarray(begin);
  const { read, written } = encoder.encodeInto(key, room);
  return read === key.length ? begin + written : FULL;
}

/** What errors call a key: one alone, or that of a number in a batch. */
function nameOf(number: number | undefined): string {
  return number === undefined ? "key" : `keys[${number}]`;
}
