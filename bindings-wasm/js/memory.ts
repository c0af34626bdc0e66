/** The embedded store as a driver: a small Redis in this process, no sockets, no server. */

import { latin1, type Word, word } from "./bytes.js";
import { nowUs, queueMicrotask } from "./clock.js";
import { MemoryStore as Core } from "./core/memory.js";
import { ErrorReply, type Reply } from "./core/reply.js";
import { weakly } from "./dropped.js";
import { type Driver, drives, type Embedded } from "./driver/driver.js";
import { ComityError, ErrorCode, invalid } from "./errors.js";
import type { Session } from "./session.js";
import { TextEncoder } from "./utf8.js";

/** What `MemoryStore.execute` answers with. */
export type StoreReply = null | number | bigint | Uint8Array | StoreReply[];

/**
 * A store in this process that several coordinators can share.
 *
 * `await connect(store)` as often as you like: they exclude one another as they would over one
 * Redis server. Everything is gone when the last reference is. `execute` looks at what lies in it
 * and changes it:
 *
 *     const store = new MemoryStore();
 *     store.execute("SET", "stock:7", 3);
 *     store.execute("INCRBY", "stock:7", -1); // 2
 */
export class MemoryStore implements Embedded {
  readonly #core = new Core();
  readonly #listeners = new Map<string, Set<MemoryDriver>>();
  readonly #drivers = new Set<ReturnType<typeof weakly<MemoryDriver>>>();

  /** Whether time passes here by itself. */
  get ticks(): boolean {
    return true;
  }

  /** The time for the store and for every coordinator on it, in microseconds. */
  now(): number {
    return nowUs();
  }

  /**
   * Runs one Redis command: `store.execute("SET", "stock:7", 3, "EX", 60)`.
   *
   * The reply is as it comes from the server, nothing decoded: `Uint8Array` (also for `OK`), a
   * number, an array or null. An error reply is thrown with the server's words, as `WrongType`
   * where they begin with WRONGTYPE and as `ServerRefused` otherwise: nothing has changed then.
   * Throws `InvalidArgument` for a word that is none.
   *
   * docs/embedded-store.md lists the commands. Expiry goes by the store's clock.
   */
  execute(...argv: Word[]): StoreReply {
    if (argv.length === 0) throw invalid("execute: the name of a command is missing");
    const words = argv.map((each, place) => word(`execute: word ${place}`, each));
    const [reply, due] = this.run(words);
    deliver(due);
    if (reply instanceof ErrorReply) {
      const code = reply.text.startsWith("WRONGTYPE")
        ? ErrorCode.WrongType
        : ErrorCode.ServerRefused;
      throw new ComityError(code, reply.text);
    }
    return (typeof reply === "string" ? new TextEncoder().encode(reply) : reply) as StoreReply;
  }

  /** Not for users: a driver for a coordinator on this store. */
  [drives](session: Session): Driver {
    return new MemoryDriver(session, this);
  }

  /** Not for users: runs a command; what it published is delivered by the caller. */
  run(argv: readonly Uint8Array[]): [Reply, Message[]] {
    const reply = this.#core.execute(argv, this.now());
    const due: Message[] = [];
    for (let sent = this.#core.pollMessage(); sent !== null; sent = this.#core.pollMessage()) {
      const { channel, payload } = sent;
      for (const driver of this.#listeners.get(latin1(channel)) ?? []) {
        due.push({ driver, channel, payload });
      }
    }
    return [reply, due];
  }

  /** Not for users: a driver wants the messages of a channel. */
  subscribe(driver: MemoryDriver, channel: Uint8Array): void {
    const listeners = this.#listeners.get(latin1(channel)) ?? new Set();
    this.#listeners.set(latin1(channel), listeners.add(driver));
  }

  /** Not for users: a driver is here. */
  join(driver: MemoryDriver): void {
    this.#drivers.add(weakly(driver));
  }

  /** Not for users: a driver wants nothing any more. */
  leave(driver: MemoryDriver): void {
    for (const [channel, listeners] of this.#listeners) {
      listeners.delete(driver);
      if (listeners.size === 0) this.#listeners.delete(channel);
    }
    for (const one of this.#drivers) {
      const other = one.deref();
      if (other === undefined || other === driver) this.#drivers.delete(one);
    }
  }

  /** Not for users: who is here. */
  drivers(): MemoryDriver[] {
    return [...this.#drivers].flatMap((one) => one.deref() ?? []);
  }
}

/** Something published, on its way to who listens. */
interface Message {
  readonly driver: MemoryDriver;
  readonly channel: Uint8Array;
  readonly payload: Uint8Array;
}

/** Executes at the end of the turn what was made ready in it. */
export class MemoryDriver implements Driver {
  readonly #session: Session;
  readonly #store: MemoryStore;
  #queued = false;
  #stopped = false;

  constructor(session: Session, store: MemoryStore) {
    this.#session = session;
    this.#store = store;
    store.join(this);
    session.onReady = () => this.#rung();
  }

  blocks(): boolean {
    return true;
  }

  stop(): void {
    this.#stopped = true;
    this.#store.leave(this);
  }

  /** When the core next wants to hear the time. */
  get deadline(): number {
    return this.#session.deadline;
  }

  /** Tells the core the time, and executes what that made ready. */
  tick(): void {
    if (this.#stopped) return;
    this.#session.tick();
    this.pump();
  }

  /**
   * Executes all that is ready, and whatever becomes ready by it in other coordinators on the same
   * store.
   */
  pump(): void {
    deliver(this.#run());
  }

  /** A message arrived: what it leads to. */
  hear(channel: Uint8Array, payload: Uint8Array): Message[] {
    this.#session.boxes.forEach((_, node) => this.#session.message(node, channel, payload));
    return this.#run();
  }

  #rung(): void {
    if (this.#queued) return;
    this.#queued = true;
    queueMicrotask(() => {
      this.#queued = false;
      if (!this.#stopped) this.pump();
    });
  }

  #run(): Message[] {
    const due: Message[] = [];
    for (let more = true; more; ) {
      more = false;
      this.#session.boxes.forEach((box, node) => {
        for (const { argv } of box.subscribes.splice(0)) {
          const [, channel] = argv;
          if (channel !== undefined) this.#store.subscribe(this, channel);
          this.#session.node(node, "pushReady");
          more = true;
        }
        for (const command of [...box.commands.splice(0), ...box.blocking.splice(0)]) {
          this.#session.hear((now) => {
            const [reply, messages] = this.#store.run(command.argv);
            this.#session.core.handleReply(command.request, reply, now);
            due.push(...messages);
          });
          more = true;
        }
      });
    }
    return due;
  }
}

function deliver(due: Message[]): void {
  let left = due;
  while (left.length > 0) {
    left = left.flatMap(({ driver, channel, payload }) => driver.hear(channel, payload));
  }
}
