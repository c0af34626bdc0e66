/** Replies, as `src/reply.rs` reads and writes them. */

import { isBytes } from "../bytes.js";
import { invalid, kindOf } from "../errors.js";
import type { Reader, Writer } from "../pack.js";
import { ErrorReply, type Reply } from "./reply.js";
import { TextEncoder } from "../utf8.js";

/** Deeper than any reply of a Redis command. */
const MAX_DEPTH = 32;

const NIL = 0;
const SIMPLE = 1;
const ERROR = 2;
const INTEGER = 3;
const BULK = 4;
const ARRAY = 5;
const DOUBLE = 6;
const BOOLEAN = 7;
const BIG_NUMBER = 8;
const MAP = 9;
const SET = 10;

const encoder = new TextEncoder();
const MIN_I64 = -(1n << 63n);
const MAX_I64 = (1n << 63n) - 1n;

/** Writes a reply as the driver got it. Throws `InvalidArgument` for what is none. */
export function writeReply(out: Writer, reply: Reply, depth = MAX_DEPTH): void {
  if (isBytes(reply)) {
    out.byte(BULK).bytes(reply);
  } else if (Array.isArray(reply)) {
    writeItems(out.byte(ARRAY), reply, depth);
  } else if (reply === null) {
    out.byte(NIL);
  } else if (typeof reply === "string") {
    out.byte(SIMPLE).bytes(encoder.encode(reply));
  } else if (typeof reply === "number") {
    if (Number.isSafeInteger(reply)) out.byte(INTEGER).wide(BigInt(reply));
    else out.byte(DOUBLE).ascii(double(reply));
  } else if (typeof reply === "bigint") {
    if (reply >= MIN_I64 && reply <= MAX_I64) out.byte(INTEGER).wide(reply);
    else out.byte(BIG_NUMBER).ascii(reply.toString());
  } else if (typeof reply === "boolean") {
    out.byte(BOOLEAN).byte(Number(reply));
  } else if (reply instanceof ErrorReply) {
    out.byte(ERROR).bytes(encoder.encode(reply.text));
  } else if (reply instanceof Set) {
    writeItems(out.byte(SET), [...reply], depth);
  } else if (reply instanceof Map) {
    const inner = deeper(depth);
    out.byte(MAP).count(reply.size);
    for (const [key, value] of reply as ReadonlyMap<Reply, Reply>) {
      writeReply(out, key, inner);
      writeReply(out, value, inner);
    }
  } else {
    throw invalid(`reply: ${kindOf(reply)} is none of the values of a reply`);
  }
}

function writeItems(out: Writer, items: readonly Reply[], depth: number): void {
  const inner = deeper(depth);
  out.count(items.length);
  for (const item of items) writeReply(out, item, inner);
}

function deeper(depth: number): number {
  if (depth === 0) throw invalid(`reply: nested more than ${MAX_DEPTH} levels deep`);
  return depth - 1;
}

/** A double as Redis writes it. */
function double(value: number): string {
  if (Number.isNaN(value)) return "nan";
  if (Number.isFinite(value)) return String(value);
  return value > 0 ? "inf" : "-inf";
}

/** Reads a reply. Bulk strings are parts of the run that is read. */
export function readReply(from: Reader): Reply {
  const kind = from.byte();
  switch (kind) {
    case SIMPLE:
      return from.text();
    case ERROR:
      return new ErrorReply(from.text());
    case INTEGER: {
      const number = from.signed();
      return BigInt.asIntN(54, number) === number && Number.isSafeInteger(Number(number))
        ? Number(number)
        : number;
    }
    case BULK:
      return from.bytes();
    case ARRAY:
      return from.each(readReply);
    case DOUBLE:
      return parsed(from.text());
    case BOOLEAN:
      return from.flag();
    case BIG_NUMBER:
      return BigInt(from.text());
    case MAP:
      return new Map(from.each((pair) => [readReply(pair), readReply(pair)] as const));
    case SET:
      return new Set(from.each(readReply));
    default:
      return null;
  }
}

function parsed(text: string): number {
  if (text.endsWith("inf")) return text.startsWith("-") ? -Infinity : Infinity;
  return Number(text);
}
