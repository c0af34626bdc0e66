import { onceWritten, queueMicrotask } from "../clock.js";
import type { Session } from "../session.js";
import { Lane } from "./lane.js";
import { PushReader } from "./push.js";
import type { Transport } from "./transport.js";

/** What the friendly API needs of a driver. */
export interface Driver {
  /** Whether it has a connection for what blocks one, to the node of this number. */
  blocks(node: number): boolean;
  /** Ends every connection and timer. */
  stop(): void;
}

/** Under this a store in this process has how it is driven, so that nothing need know the store. */
export const drives: unique symbol = Symbol("comity: drives");

/** A store in this process. */
export interface Embedded {
  /** Whether time passes there by itself. */
  readonly ticks: boolean;
  /** The time for the store and for every coordinator on it, in microseconds. */
  now(): number;
  /** A driver of a session's commands. */
  [drives](session: Session): Driver;
}

/** Whether a value is a store in this process. */
export function isEmbedded(value: unknown): value is Embedded {
  return typeof value === "object" && value !== null && drives in value;
}

/** Per node a lane and a push connection, and where it is needed a lane for what blocks. */
export class TransportDriver implements Driver {
  readonly #session: Session;
  readonly #transports: readonly Transport[];
  readonly #lanes: readonly Lane[];
  readonly #pushes: readonly PushReader[];
  readonly #blocking = new Map<number, Lane>();
  readonly #ready = new Set<number>();
  /** What is to be called once what is ready has left. */
  #after: (() => void)[] = [];
  #stopped = false;

  constructor(session: Session, transports: readonly Transport[]) {
    this.#session = session;
    this.#transports = transports;
    this.#lanes = transports.map((transport, node) => new Lane(session, node, transport));
    this.#pushes = transports.map((transport, node) => new PushReader(session, node, transport));
    session.onReady = (node) => this.#rung(node);
    session.onceSent = (then) => {
      if (this.#ready.size === 0) then();
      else this.#after.push(then);
    };
  }

  blocks(node: number): boolean {
    return this.#transports[node]?.dedicated === true;
  }

  stop(): void {
    if (this.#stopped) return;
    this.#stopped = true;
    for (const one of [...this.#lanes, ...this.#pushes, ...this.#blocking.values()]) one.stop();
    for (const transport of this.#transports) transport.close?.();
  }

  /** Something is ready to be sent; it leaves with all that this turn adds. */
  #rung(node: number): void {
    if (this.#ready.size === 0) queueMicrotask(() => this.#flush());
    this.#ready.add(node);
  }

  #flush(): void {
    const [ready, after] = [[...this.#ready], this.#after];
    this.#ready.clear();
    this.#after = [];
    let lazy = false;
    // A lane that was made now would be stopped by nobody.
    for (const node of this.#stopped ? [] : ready) {
      const lane = this.#lanes[node];
      lane?.flush();
      lazy ||= lane?.lazy === true;
      this.#pushes[node]?.flush();
      this.#block(node);
    }
    if (after.length === 0) return;
    const tell = () => after.forEach((then) => then());
    if (lazy) onceWritten(tell);
    else tell();
  }

  /** Has a connection of its own do what blocks one. */
  #block(node: number): void {
    const [box, transport] = [this.#session.boxes[node], this.#transports[node]];
    if (box === undefined || transport === undefined || box.blocking.length === 0) return;
    if (!this.blocks(node)) {
      this.#session.failures(box.blocking.splice(0), "notSent");
      return;
    }
    let lane = this.#blocking.get(node);
    if (lane === undefined) {
      lane = new Lane(this.#session, node, transport, "blocking");
      this.#blocking.set(node, lane);
    }
    lane.flush();
  }
}
