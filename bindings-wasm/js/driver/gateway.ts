import { ErrorReply, type Reply } from "../core/reply.js";
import { NotSent, type Subscription } from "./transport.js";
import type { Answer, Fetch, Signal } from "../platform.js";

/** What one kind of gateway between HTTP and Redis understands. */
export interface Gateway {
  /** How many commands one request may carry. */
  readonly most: number;

  /** A command as a part of a request; the reply in its place where it cannot pass. */
  encode(argv: readonly Uint8Array[]): string | ErrorReply;

  /**
   * One request with these commands, and their replies. Throws `Denied` where the gateway would not
   * have it, `NotSent` where it was certainly not reached, and anything else where it may have been.
   */
  exchange(commands: readonly string[], signal: Signal): Promise<readonly Reply[]>;

  /** See `Transport`. */
  subscribe?(
    channel: Uint8Array,
    hear: (payload: Uint8Array) => void,
    signal: Signal,
  ): Promise<Subscription>;
}

/** One attempt at a request. Throws as `Gateway.exchange` does. */
export type Post = (body: string, signal: Signal) => Promise<Answer>;

/** The gateway answered and did not pass the command on. */
export class Denied extends Error {
  /** As if the server had said so itself. */
  readonly reply: ErrorReply;

  constructor(text: string) {
    super(text);
    this.reply = new ErrorReply(text);
  }
}

/** Where requests go, and what goes with each. */
export interface Target {
  readonly url: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly fetch: Fetch;
}

/** No answer is one to an earlier request. Not every platform has it, and some throw then. */
const NOT_KEPT: RequestInit =
  typeof Request === "function" && "cache" in Request.prototype ? { cache: "no-store" } : {};

/** Sends requests to `target`. */
export function poster({ url, headers, fetch }: Target): Post {
  return async (body, signal) => {
    let response: Answer;
    try {
      response = await fetch(url, { method: "POST", body, headers, signal, ...NOT_KEPT });
    } catch (error) {
      throw unreached(error) ? new NotSent(reason(error), { cause: error }) : error;
    }
    if (response.ok) return response;
    const words = (await response.text()).slice(0, 200);
    const text = `the gateway answered ${response.status} ${words || response.statusText}`;
    throw response.status >= 500 ? new Error(text) : new Denied(`${codeWord(response)} ${text}`);
  };
}

/** A code word for what the gateway keeps from the server; none is for what was executed. */
function codeWord(response: Answer): string {
  switch (response.status) {
    case 401:
      return "NOAUTH";
    case 403:
      return "NOPERM";
    case 429:
      // Passes by itself.
      return "TRYAGAIN";
    default:
      return "DENIED";
  }
}

/** Whether there was nobody to send to. Only Node says so; a browser gives no reason. */
function unreached(error: unknown): boolean {
  const cause = (error as { cause?: { code?: unknown } }).cause;
  return cause?.code === "ECONNREFUSED" || cause?.code === "ENOTFOUND";
}

function reason(error: unknown): string {
  const cause = (error as { cause?: unknown }).cause;
  return cause instanceof Error ? cause.message : String(error);
}
