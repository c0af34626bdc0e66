/** Webdis: one command for each request, replies as Redis wrote them, pushes in a stream. */

import type { Reply } from "../core/reply.js";
import { ErrorReply } from "../core/reply.js";
import type { Gateway, Post } from "./gateway.js";
import { Denied } from "./gateway.js";
import { RespReader } from "./resp.js";
import { Refused } from "./transport.js";
import type { Signal } from "../platform.js";
import { TextDecoder, TextEncoder } from "../utf8.js";

const decoder = new TextDecoder();

const [SUBSCRIBE, PUBSUB, NUMSUB] = ["SUBSCRIBE", "PUBSUB", "NUMSUB"].map((name) =>
  new TextEncoder().encode(name),
) as [Uint8Array, Uint8Array, Uint8Array];

/** What of each byte goes into a request. A point or a slash of a word would mean something. */
const ENCODED = Array.from({ length: 256 }, (_, byte) => {
  const letter = String.fromCharCode(byte);
  return /[A-Za-z0-9_-]/.test(letter) ? letter : `%${byte.toString(16).padStart(2, "0")}`;
});

/** A gateway that speaks as Webdis does. */
export function webdis(post: Post): Gateway {
  async function exchange(commands: readonly string[], signal: Signal) {
    const response = await post(commands.join(), signal);
    const reader = new RespReader();
    const replies = reader.feed(new Uint8Array(await response.arrayBuffer()));
    // Nils and lists within a list are left out, so that the list never ends. No script of comity
    // answers with either.
    if (replies.length !== 1 || reader.rest > 0) throw new Error("half a reply came");
    return replies;
  }

  /** Throws if the server knows of no subscriber: Webdis itself does not tell when it loses one. */
  async function asked(channel: Uint8Array, signal: Signal) {
    try {
      const [reply] = await exchange([encode([PUBSUB, NUMSUB, channel])], signal);
      if (Array.isArray(reply) && decoder.decode(reply[1]) === "0")
        throw new Error("not subscribed");
    } catch (error) {
      // Who may not ask has to believe.
      if (!(error instanceof Denied)) throw error;
    }
  }

  return {
    most: 1,
    encode,
    exchange,

    async subscribe(channel, hear, signal) {
      const gone = new AbortController();
      const close = () => gone.abort();
      signal.addEventListener("abort", close, { once: true });
      try {
        signal.throwIfAborted();
        const response = await post(encode([SUBSCRIBE, channel]), gone.signal);
        const stream = new Stream(response, hear);
        await stream.confirmed();
        return { closed: stream.ended(), close, ping: () => asked(channel, gone.signal) };
      } catch (error) {
        close();
        throw error instanceof Denied ? new Refused(error.reply.text) : error;
      } finally {
        signal.removeEventListener("abort", close);
      }
    },
  };
}

/** Replies as they come from Redis, whatever they are: that is what `.raw` means. */
function encode(argv: readonly Uint8Array[]): string {
  return `${argv.map(percent).join("/")}.raw`;
}

function percent(word: Uint8Array): string {
  let text = "";
  for (const byte of word) text += ENCODED[byte];
  return text;
}

/** The response to a subscription, which lasts as long as that does. */
class Stream {
  readonly #pieces: ReadableStreamDefaultReader<Uint8Array>;
  readonly #hear: (payload: Uint8Array) => void;
  readonly #reader = new RespReader();
  #confirmed = false;

  constructor(response: Response, hear: (payload: Uint8Array) => void) {
    if (response.body === null) throw new Error("the gateway streams nothing");
    this.#pieces = response.body.getReader();
    this.#hear = hear;
  }

  async confirmed(): Promise<void> {
    while (!this.#confirmed) await this.#listen();
  }

  /** Fulfilled when nothing comes any more, whatever the reason. */
  async ended(): Promise<unknown> {
    try {
      while (true) await this.#listen();
    } catch (error) {
      return error;
    }
  }

  async #listen(): Promise<void> {
    const { done, value } = await this.#pieces.read();
    if (done) throw new Error("the gateway ended the stream");
    for (const reply of this.#reader.feed(value)) {
      if (reply instanceof ErrorReply) throw new Refused(reply.text);
      const [kind, payload] = message(reply);
      if (kind === "subscribe") this.#confirmed = true;
      if (kind === "message" && payload instanceof Uint8Array) this.#hear(payload);
    }
  }
}

/** The kind of a push and what it brings. */
function message(reply: Reply): [string?, Reply?] {
  if (!Array.isArray(reply) || !(reply[0] instanceof Uint8Array)) return [];
  return [decoder.decode(reply[0]), reply[2]];
}
