/** Values as runs of bytes, as `src/pack.rs` reads and writes them. */

import { MAX_BYTES, refuseLong } from "./bytes.js";
import { TextDecoder } from "./utf8.js";

const decoder = new TextDecoder("utf-8", { ignoreBOM: true });
const ROOM = 1024;
const LARGEST_KEPT = 1 << 20;

/**
 * Writes one run after the other into the same memory: each is over when the next begins. Throws
 * `LimitExceeded` where a run becomes too long for one call.
 */
export class Writer {
  #bytes = new Uint8Array(ROOM);
  #view = new DataView(this.#bytes.buffer);
  #at = 0;

  /** Begins a run. */
  begin(): this {
    this.#at = 0;
    if (this.#bytes.length > LARGEST_KEPT) this.#room(new Uint8Array(ROOM));
    return this;
  }

  /** The run, valid until the next one begins. */
  end(): Uint8Array {
    return this.#bytes.subarray(0, this.#at);
  }

  byte(value: number): this {
    this.#reserve(1);
    this.#bytes[this.#at++] = value;
    return this;
  }

  count(value: number): this {
    this.#reserve(4);
    this.#view.setUint32(this.#at, value, true);
    this.#at += 4;
    return this;
  }

  wide(value: bigint): this {
    this.#reserve(8);
    this.#view.setBigInt64(this.#at, value, true);
    this.#at += 8;
    return this;
  }

  bytes(value: Uint8Array): this {
    this.count(value.length);
    this.#reserve(value.length);
    this.#bytes.set(value, this.#at);
    this.#at += value.length;
    return this;
  }

  /** Bytes that are ASCII, from a string. */
  ascii(value: string): this {
    this.count(value.length);
    this.#reserve(value.length);
    for (let at = 0; at < value.length; at++) this.#bytes[this.#at++] = value.charCodeAt(at);
    return this;
  }

  /** Words, and how many. */
  words(words: readonly Uint8Array[]): this {
    this.count(words.length);
    for (const word of words) this.bytes(word);
    return this;
  }

  #reserve(more: number): void {
    const needed = this.#at + more;
    if (needed <= this.#bytes.length) return;
    refuseLong("all that goes into one call", needed);
    const room = Math.min(2 * this.#bytes.length, MAX_BYTES);
    const larger = new Uint8Array(Math.max(needed, room));
    larger.set(this.#bytes);
    this.#room(larger);
  }

  #room(bytes: Uint8Array<ArrayBuffer>): void {
    this.#bytes = bytes;
    this.#view = new DataView(bytes.buffer);
  }
}

/** The writer of this module: no run lasts longer than the call that it is for. */
export const writer = new Writer();

/** Reads one run. */
export class Reader {
  readonly #bytes: Uint8Array;
  readonly #view: DataView;
  #at = 0;

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  }

  byte(): number {
    return this.#view.getUint8(this.#at++);
  }

  flag(): boolean {
    return this.byte() !== 0;
  }

  count(): number {
    const value = this.#view.getUint32(this.#at, true);
    this.#at += 4;
    return value;
  }

  number(): number {
    const value = this.#view.getFloat64(this.#at, true);
    this.#at += 8;
    return value;
  }

  wide(): bigint {
    const value = this.#view.getBigUint64(this.#at, true);
    this.#at += 8;
    return value;
  }

  signed(): bigint {
    return BigInt.asIntN(64, this.wide());
  }

  widest(): bigint {
    const low = this.wide();
    return (this.signed() << 64n) | low;
  }

  /** A part of the run, not a copy. */
  bytes(): Uint8Array {
    const length = this.count();
    const begin = this.#at;
    this.#at += length;
    return this.#bytes.subarray(begin, this.#at);
  }

  text(): string {
    return decoder.decode(this.bytes());
  }

  option<T>(read: (reader: this) => T): T | null {
    return this.flag() ? read(this) : null;
  }

  each<T>(read: (reader: this) => T): T[] {
    const items: T[] = [];
    for (let left = this.count(); left > 0; left--) items.push(read(this));
    return items;
  }
}
