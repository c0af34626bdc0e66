import { octets } from "../bytes.js";
import { invalid, kindOf } from "../errors.js";
import { store } from "../instance/store.js";
import { Reader, writer } from "../pack.js";
import type { RawMemoryStore } from "../raw/store.js";
import { whole } from "../units.js";
import { readReply } from "./codec.js";
import { Handle } from "./handle.js";
import type { Reply } from "./reply.js";

/** The embedded store: a small Redis in this process. */
export class MemoryStore extends Handle<RawMemoryStore> {
  constructor() {
    super(store, "store", store.guarded((raw) => new raw.RawMemoryStore()));
  }

  /**
   * Runs one command of the core's, or one that docs/embedded-store.md lists. The reply is what
   * `handleReply` takes; after an `ErrorReply` nothing has changed. `now` is in microseconds.
   */
  execute(argv: readonly Uint8Array[], now: number | bigint): Reply {
    if (!Array.isArray(argv)) throw invalid(`argv must be an array, not ${kindOf(argv)}`);
    const words = (argv as Uint8Array[]).map((word, at) => octets(`argv[${at}]`, word));
    const time = whole("now", now);
    const packed = writer.begin().words(words).end();
    return readReply(new Reader(this.call((raw) => raw.execute(packed, time))));
  }

  /** A PUBLISH that is not yet delivered; null if there is none. */
  pollMessage(): { channel: Uint8Array; payload: Uint8Array } | null {
    const packed = this.call((raw) => raw.poll_message());
    if (packed === undefined) return null;
    const reader = new Reader(packed);
    return { channel: reader.bytes(), payload: reader.bytes() };
  }
}
