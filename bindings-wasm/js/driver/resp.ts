import { ErrorReply, type Reply } from "../core/reply.js";
import { TextDecoder } from "../utf8.js";

const CR = 13;
const LF = 10;

/** Replies in RESP2 out of bytes that come in pieces. */
export class RespReader {
  #bytes = new Uint8Array();
  #at = 0;

  /** The replies that are complete with this piece. Throws `SyntaxError` for what is no RESP2. */
  feed(piece: Uint8Array): Reply[] {
    this.#bytes = this.#bytes.length === 0 ? piece.slice() : joined(this.#bytes, piece);
    const replies: Reply[] = [];
    let done = 0;
    for (this.#at = 0; ; done = this.#at) {
      const reply = this.#reply();
      if (reply === undefined) break;
      replies.push(reply);
    }
    this.#bytes = this.#bytes.subarray(done);
    return replies;
  }

  /** Bytes of a reply that is not complete. */
  get rest(): number {
    return this.#bytes.length;
  }

  /** The reply that begins here; undefined if its end is not there yet. */
  #reply(): Reply | undefined {
    const line = this.#line();
    if (line === undefined) return undefined;
    const rest = line.slice(1);
    switch (line[0]) {
      case "+":
        return rest;
      case "-":
        return new ErrorReply(rest);
      case ":":
        return integer(rest);
      case "$":
        return this.#bulk(count(rest));
      case "*":
        return this.#array(count(rest));
      default:
        throw new SyntaxError(`a reply cannot begin with ${JSON.stringify(line[0] ?? "")}`);
    }
  }

  #line(): string | undefined {
    const end = this.#bytes.indexOf(CR, this.#at);
    if (end < 0 || end + 1 >= this.#bytes.length) return undefined;
    if (this.#bytes[end + 1] !== LF) throw new SyntaxError("a line must end with CR and LF");
    const line = new TextDecoder().decode(this.#bytes.subarray(this.#at, end));
    this.#at = end + 2;
    return line;
  }

  #bulk(length: number): Reply | undefined {
    if (length < 0) return null;
    const end = this.#at + length;
    if (end + 2 > this.#bytes.length) return undefined;
    const bytes = this.#bytes.slice(this.#at, end);
    this.#at = end + 2;
    return bytes;
  }

  #array(length: number): Reply | undefined {
    if (length < 0) return null;
    const items: Reply[] = [];
    while (items.length < length) {
      const item = this.#reply();
      if (item === undefined) return undefined;
      items.push(item);
    }
    return items;
  }
}

function joined(head: Uint8Array, tail: Uint8Array): Uint8Array<ArrayBuffer> {
  const both = new Uint8Array(head.length + tail.length);
  both.set(head);
  both.set(tail, head.length);
  return both;
}

function integer(text: string): number | bigint {
  if (!/^-?\d+$/.test(text)) throw new SyntaxError(`not an integer: ${JSON.stringify(text)}`);
  const number = Number(text);
  return Number.isSafeInteger(number) ? number : BigInt(text);
}

function count(text: string): number {
  const length = integer(text);
  if (typeof length === "bigint") throw new SyntaxError(`too long: ${length}`);
  return length;
}
