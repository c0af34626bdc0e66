/**
 * A lane: the one connection to one node on which everybody's commands are sent, or all of those that
 * block it. It enforces the core's deadlines: one attempt per command, and a connection on which nothing
 * was answered for as long as the most patient of them waits is dropped. Until then it is only slow.
 */

import { Alarm } from "../clock.js";
import type { Command } from "../core/command.js";
import { ErrorReply, type Reply } from "../core/reply.js";
import type { Signal } from "../platform.js";
import type { Session } from "../session.js";
import { isLasting, reasonOf, slownessOf } from "./reason.js";
import { type Connection, NotSent, Refused, type Transport } from "./transport.js";

/** An attempt to connect that has lasted so long is slow, whatever became of the one before. */
const SLOW_US = 1_000_000;

/** A command that was sent. */
interface Flight {
  /** Since when it is on its way. */
  readonly since: number;
  /** How long it waits for its answer. */
  readonly patience: number;
  /** When it is late, or late again. */
  readonly until: number;
  /** Whether its owner was told that it is. */
  readonly told: boolean;
}

export class Lane {
  readonly #session: Session;
  readonly #node: number;
  readonly #transport: Transport;
  readonly #kind: "commands" | "blocking";
  readonly #alarm = new Alarm(() => this.#expire());
  readonly #outstanding = new Map<Command, Flight>();
  /** When anything was last answered. */
  #heardAt = 0;
  #connection: Connection | null = null;
  #connecting: AbortController | null = null;
  /** When the attempt to connect began, and whether one before it has failed. */
  #begun = 0;
  #refused = false;
  /** Whether it leads to a server that is no master any more: a new one may lead elsewhere. */
  #doubtful = false;
  #stopped = false;

  /** `kind`: which of the node's boxes it empties. */
  constructor(
    session: Session,
    node: number,
    transport: Transport,
    kind: "commands" | "blocking" = "commands",
  ) {
    this.#session = session;
    this.#node = node;
    this.#transport = transport;
    this.#kind = kind;
  }

  /** Whether what is sent leaves later in the turn. */
  get lazy(): boolean {
    return this.#connection?.lazy === true;
  }

  /** Sends all that is ready; where there is no connection, begins to make one. */
  flush(): void {
    if (this.#stopped || this.#outbox.length === 0) return;
    if (this.#connecting === null) {
      const connection = this.#connection;
      if (connection !== null && !(this.#doubtful && this.#outstanding.size === 0)) {
        this.#write(connection);
        return;
      }
      if (connection !== null) this.#drop(connection);
      void this.#connect();
    }
    this.#arm();
  }

  /** Ends the connection. What is outstanding comes to nothing. */
  stop(): void {
    this.#stopped = true;
    this.#alarm.clear();
    this.#connecting?.abort();
    this.#connection?.close();
  }

  /** Tells how much is on its way, of what everybody's commands are. */
  #count(): void {
    const box = this.#session.boxes[this.#node];
    if (box !== undefined && this.#kind === "commands") box.outstanding = this.#outstanding.size;
  }

  get #outbox(): Command[] {
    return this.#session.boxes[this.#node]?.[this.#kind] ?? [];
  }

  async #connect(): Promise<void> {
    const connecting = new AbortController();
    this.#connecting = connecting;
    this.#begun = this.#session.now();
    try {
      const connection = await this.#transport.connect(connecting.signal);
      if (connecting.signal.aborted || this.#stopped) {
        connection.close();
        return;
      }
      this.#connecting = null;
      this.#connected(connection);
    } catch (error) {
      if (connecting.signal.aborted || this.#stopped) return;
      this.#connecting = null;
      this.#notConnected(error, connecting.signal);
    }
    this.flush();
  }

  #connected(connection: Connection): void {
    this.#connection = connection;
    this.#doubtful = this.#refused = false;
    const gone = () => this.#drop(connection, "the connection was closed");
    connection.closed.then(gone, gone);
    this.#session.node(this.#node, "connected");
  }

  /** Whoever waits for the connection hears why there is none. */
  #notConnected(error: unknown, signal: Signal): void {
    const waiting = this.#outbox.splice(0);
    this.#refused = true;
    if (error instanceof Refused) this.#session.refused(this.#node, error.text);
    else this.#session.unreachable(this.#node, error, reasonOf(error, signal), isLasting(error));
    this.#session.failures(waiting, "notSent");
  }

  #write(connection: Connection): void {
    const batch = this.#inTime();
    if (batch.length === 0) return;
    const since = this.#session.now();
    for (const command of batch) {
      const until = command.deadline;
      this.#outstanding.set(command, { since, patience: until - since, until, told: false });
    }
    this.#count();
    this.#armFor(earliest(batch));
    let promises: readonly Promise<Reply>[];
    try {
      promises = connection.send(batch);
    } catch (error) {
      for (const command of batch) this.#failed(command, error);
      return;
    }
    batch.forEach((command, at) => {
      const failed = (error: unknown) => this.#failed(command, error);
      const promise = promises[at] ?? Promise.reject(new Error("the transport has no promise"));
      promise.then((reply) => this.#heard(command, reply)).catch(failed);
    });
  }

  /** All that is ready, but for what is late already: that is not sent any more. */
  #inTime(): Command[] {
    const now = this.#session.now();
    const batch = this.#outbox.splice(0);
    const late = batch.filter((command) => command.deadline <= now);
    if (late.length === 0) return batch;
    this.#session.failures(late, "notSent");
    return batch.filter((command) => command.deadline > now);
  }

  #heard(command: Command, reply: Reply): void {
    this.#heardAt = this.#session.now();
    // It may have been given up meanwhile.
    if (!this.#ends(command)) return;
    if (reply instanceof ErrorReply && reply.text.startsWith("READONLY")) this.#doubtful = true;
    this.#session.reply(command.request, reply);
  }

  #failed(command: Command, error: unknown): void {
    if (!this.#ends(command)) return;
    this.#session.failures([command], error instanceof NotSent ? "notSent" : "outcomeUnknown");
  }

  /** A command is on its way no longer. Whether its owner is still to be told. */
  #ends(command: Command): boolean {
    const flight = this.#outstanding.get(command);
    this.#outstanding.delete(command);
    this.#count();
    return flight?.told === false;
  }

  /** Gives a connection up, and with it all that is outstanding there. `why` it broke, if it did. */
  #drop(connection: Connection, why?: string): void {
    if (this.#connection !== connection || this.#stopped) return;
    this.#connection = null;
    const lost = [...this.#outstanding].flatMap(([one, { told }]) => (told ? [] : [one]));
    this.#outstanding.clear();
    this.#count();
    connection.close();
    if (why !== undefined && lost.length > 0) this.#session.broken(this.#node, why);
    this.#session.failures(lost, "outcomeUnknown");
    this.#session.node(this.#node, "lost");
  }

  #arm(): void {
    let first = earliest(this.#outbox);
    for (const { until } of this.#outstanding.values()) first = Math.min(first, until);
    this.#armFor(first);
  }

  #armFor(first: number): void {
    if (first < this.#alarm.at) this.#alarm.set(first, this.#session.now());
  }

  /** What was not answered or not even sent by its deadline is given up. */
  #expire(): void {
    if (this.#stopped) return;
    const now = this.#session.now();
    this.#expireSent(now);
    const late = this.#outbox.filter((command) => command.deadline <= now);
    const waiting = this.#outbox.filter((command) => command.deadline > now);
    this.#outbox.splice(0, Infinity, ...waiting);
    // How the one before has failed says more than that this one could not end yet.
    const isSlow = !this.#refused || now - this.#begun >= SLOW_US;
    if (late.length > 0 && this.#connecting !== null && isSlow) {
      const slow = new Error(slownessOf(this.#connecting.signal));
      this.#session.unreachable(this.#node, slow, slow.message, false);
    }
    if (waiting.length === 0 && this.#connecting !== null) {
      this.#connecting.abort();
      this.#connecting = null;
    }
    this.#session.failures(late, "notSent");
    this.#arm();
  }

  /** Gives up what was sent and is late, and the connection where nothing was answered for long. */
  #expireSent(now: number): void {
    const late = [...this.#outstanding].filter(([, { until }]) => until <= now);
    const connection = this.#connection;
    if (late.length === 0 || connection === null) return;
    let [patience, oldest] = [0, Infinity];
    for (const flight of this.#outstanding.values()) {
      patience = Math.max(patience, flight.patience);
      oldest = Math.min(oldest, flight.since);
    }
    const silentUntil = Math.max(this.#heardAt, oldest) + patience;
    if (silentUntil <= now) {
      this.#drop(connection);
      return;
    }
    for (const [command, flight] of late) {
      this.#outstanding.set(command, { ...flight, until: silentUntil, told: true });
    }
    const untold = late.flatMap(([command, { told }]) => (told ? [] : [command]));
    this.#session.failures(untold, "outcomeUnknown");
  }
}

function earliest(commands: Iterable<Command>): number {
  let first = Infinity;
  for (const command of commands) first = Math.min(first, command.deadline);
  return first;
}
