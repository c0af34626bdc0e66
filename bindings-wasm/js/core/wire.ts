/** The bytes of one connection to a server: no I/O here either. */

import { core } from "../instance/core.js";
import { Reader, writer } from "../pack.js";
import type { RawEndpoint, RawWire } from "../raw/comity.js";
import { readReply } from "./codec.js";
import { Handle } from "./handle.js";
import type { Reply } from "./reply.js";

/** What has arrived, in the numbers of `src/wire.rs`. */
const READY = 1;
const REFUSED = 2;
const REPLY = 3;
const MESSAGE = 4;
const MALFORMED = 5;

/** Who is told of what has arrived. */
export interface Ears {
  /** The server has let the connection in. */
  ready(): void;
  /** The server refuses the connection, in these words. */
  refused(text: string): void;
  /** What the command of this number is answered. */
  reply(number: number, reply: Reply): void;
  /** What was published. */
  message(payload: Uint8Array): void;
  /** What came is no reply: nothing on this connection can be trusted any more. */
  malformed(why: string): void;
}

/** Where a server is, and how to be let in there: what a URL says. */
export class Endpoint extends Handle<RawEndpoint> {
  /** Throws `InvalidArgument`, naming the part that is wrong; nothing of the URL is in its words. */
  constructor(url: string) {
    super(core, "endpoint", core.guarded((raw) => new raw.RawEndpoint(url)));
  }

  /** A name or an address; the path of a socket of this machine. */
  get host(): string {
    return this.call((raw) => raw.host());
  }

  /** Undefined of a socket with a path. */
  get port(): number | undefined {
    return this.call((raw) => raw.port());
  }

  /** Whether TLS is spoken. */
  get tls(): boolean {
    return this.call((raw) => raw.tls());
  }

  /** The bytes of a connection there that was made just now, for commands or for messages. */
  wire(purpose: "commands" | "messages", now: number): Wire {
    return new Wire(this.call((raw) => raw.wire(purpose === "messages", now)));
  }
}

/** Which reply belongs to which command. */
export class Wire extends Handle<RawWire> {
  constructor(raw: RawWire) {
    super(core, "wire", raw);
  }

  /** Whether the server has let the connection in: only then do commands leave. */
  get isReady(): boolean {
    return this.call((raw) => raw.is_ready());
  }

  /** Queues commands. They are numbered as they come, from 1. */
  send(commands: readonly (readonly Uint8Array[])[]): void {
    const out = writer.begin().count(commands.length);
    for (const words of commands) out.words(words);
    const packed = out.end();
    this.call((raw) => raw.send(packed));
  }

  /** The bytes to be written now. They count as written. */
  transmit(): Uint8Array {
    return this.call((raw) => raw.transmit());
  }

  /** Tells what has arrived with these bytes. */
  receive(bytes: Uint8Array, now: number, ears: Ears): void {
    const from = new Reader(this.call((raw) => raw.receive(bytes, now)));
    for (;;) {
      switch (from.byte()) {
        case READY:
          ears.ready();
          break;
        case REFUSED:
          ears.refused(from.text());
          break;
        case REPLY:
          ears.reply(from.number(), readReply(from));
          break;
        case MESSAGE:
          from.bytes();
          ears.message(from.bytes());
          break;
        case MALFORMED:
          ears.malformed(from.text());
          break;
        default:
          return;
      }
    }
  }

  /** When to call `handleTimeout`; infinity for never. */
  get deadline(): number {
    return this.call((raw) => raw.deadline()) ?? Infinity;
  }

  /** Asks a silent server for a sign of life. Whether it still counts as there. */
  handleTimeout(now: number): boolean {
    return this.call((raw) => raw.handle_timeout(now));
  }
}
