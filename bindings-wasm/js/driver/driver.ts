import type { Session } from "../session.js";
import { Lane } from "./lane.js";
import { PushReader } from "./push.js";
import type { Transport } from "./transport.js";

/** What the friendly API needs of a driver. */
export interface Driver {
  /** Ends every connection and timer. */
  stop(): void;
}

/** Per node a lane and a push connection. */
export class TransportDriver implements Driver {
  readonly #transports: readonly Transport[];
  readonly #lanes: readonly Lane[];
  readonly #pushes: readonly PushReader[];
  readonly #ready = new Set<number>();

  constructor(session: Session, transports: readonly Transport[]) {
    this.#transports = transports;
    this.#lanes = transports.map((transport, node) => new Lane(session, node, transport));
    this.#pushes = transports.map((transport, node) => new PushReader(session, node, transport));
    session.onReady = (node) => this.#rung(node);
  }

  stop(): void {
    for (const one of [...this.#lanes, ...this.#pushes]) one.stop();
    for (const transport of this.#transports) transport.close?.();
  }

  /** Something is ready to be sent; it leaves with all that this turn adds. */
  #rung(node: number): void {
    if (this.#ready.size === 0) queueMicrotask(() => this.#flush());
    this.#ready.add(node);
  }

  #flush(): void {
    const ready = [...this.#ready];
    this.#ready.clear();
    for (const node of ready) {
      this.#lanes[node]?.flush();
      this.#pushes[node]?.flush();
    }
  }
}
