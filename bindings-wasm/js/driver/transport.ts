import type { Command } from "../core/command.js";
import type { Reply } from "../core/reply.js";
import type { Signal } from "../platform.js";

/**
 * How one server is reached. `connect` makes one of a client it knows; write your own for another.
 *
 * It makes one attempt at everything: no retries, no queue while it is offline. What to do about a
 * failure is decided in the core.
 */
export interface Transport {
  /** Where it leads, for people and as the server's id where none is given: `"10.0.0.7:6379"`. */
  readonly address: string;

  /**
   * Whether each connection is one to the server that carries nobody else's commands; false. Where it
   * is not, as behind a gateway, `WAIT` knows nothing of what was sent before it: transactions with
   * `durability` are refused then.
   */
  readonly dedicated?: boolean;

  /**
   * Makes a connection of comity's own, ready for commands; again when the last one is gone.
   *
   * `signal` aborts when nothing waits for it any more: what was begun is then undone. Rejects with
   * `Refused` where the server itself said no; any other rejection means that it was not reached.
   */
  connect(signal: Signal): Promise<Connection>;

  /**
   * Subscribes to `channel` on another connection; fulfilled once the server has confirmed it.
   *
   * `hear` is given each message. Rejects as `connect` does. Left out where there are no pushes:
   * then waiters ask again and again.
   */
  subscribe?(
    channel: Uint8Array,
    hear: (payload: Uint8Array) => void,
    signal: Signal,
  ): Promise<Subscription>;

  /** The coordinator has closed all connections, and no other will be asked for. */
  close?(): void;
}

/** A connection on which commands are pipelined. */
export interface Connection {
  /**
   * Sends these commands, each once and in this order, in one write where that can be. It may be
   * called while replies to earlier ones are outstanding.
   *
   * One promise for each. Fulfilled with the server's reply: an `ErrorReply` is one. Rejected with
   * `NotSent` where certainly not a byte of the command has left; with anything else where it may
   * have.
   */
  send(batch: readonly Command[]): readonly Promise<Reply>[];

  /**
   * Whether what is given to `send` leaves only after the code of this turn of the event loop; false.
   * Whoever was handed a lock is told so after that, so that work that blocks the loop cannot hold
   * up the first renewal.
   */
  readonly lazy?: boolean;

  /** Settled when the connection is gone, whoever ended it; the value is not looked at. */
  readonly closed: Promise<unknown>;

  /** Ends it at once, without waiting for what is outstanding. Harmless when repeated. */
  close(): void;
}

/** A connection that is subscribed. */
export interface Subscription {
  /**
   * Asks the server for a sign of life. A subscription that was silent for 10 seconds is asked, and
   * ended where no answer comes within another 10. Left out where the client does so itself.
   */
  ping?(): Promise<unknown>;

  /** Settled when the connection is gone, whoever ended it; the value is not looked at. */
  readonly closed: Promise<unknown>;

  /** Ends it at once. Harmless when repeated. */
  close(): void;
}

/** Not a byte of the command has left: it was certainly not executed. */
export class NotSent extends Error {
  override readonly name = "NotSent";
}

/** The server was reached and would not have the connection. */
export class Refused extends Error {
  override readonly name = "Refused";
  /** The server's words, code word first, as in an error reply: `"NOAUTH Authentication ..."`. */
  readonly text: string;

  constructor(text: string) {
    super(text);
    this.text = text;
  }
}
