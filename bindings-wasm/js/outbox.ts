/** What waits to be sent, by node. */

import type { Command } from "./core/command.js";
import type { Coordinator } from "./core/coordinator.js";

/**
 * So many commands of a node are asked for ahead of its answers at most. What is beyond that waits in
 * the core, where what is urgent goes first and what is too late was never sent; in a full socket it
 * would be late all the same, and nobody could tell what came of it.
 */
const WINDOW = 256;

/** What waits to be sent to one node. */
export class Box {
  /** How many commands were sent and are not answered. */
  outstanding = 0;
  readonly commands: Command[] = [];
  readonly subscribes: Command[] = [];
  /** Those that block the connection they are sent on. */
  readonly blocking: Command[] = [];

  /** Whether no more is to be asked for by now. */
  get isFull(): boolean {
    return this.commands.length + this.outstanding >= WINDOW;
  }
}

/** Where a command waits, by what it goes over. */
const BOXES = { node: "commands", subscribe: "subscribes", blocking: "blocking" } as const;

/** The boxes of all nodes, which are filled by what the core has ready. */
export class Outboxes {
  readonly boxes: readonly Box[];
  /** The nodes whose boxes were full when they were last looked at. */
  readonly #full = new Set<number>();

  constructor(nodes: number) {
    this.boxes = Array.from({ length: nodes }, () => new Box());
  }

  /** Asks for all commands for which there is room; `put` is told of each. */
  fill(core: Coordinator, put: (command: Command) => void): void {
    for (const node of this.#full) if (this.boxes[node]?.isFull !== true) this.#full.delete(node);
    while (this.#full.size === 0) {
      const command = core.pollCommand();
      if (command === null) return;
      this.#take(command, put);
    }
    for (let node = 0; node < this.boxes.length; node++) {
      while (!this.#full.has(node)) {
        const command = core.pollCommandFor(node);
        if (command === null) break;
        this.#take(command, put);
      }
    }
  }

  #take(command: Command, put: (command: Command) => void): void {
    const box = this.boxes[command.node];
    if (box === undefined) return;
    box[BOXES[command.route]].push(command);
    if (box.isFull) this.#full.add(command.node);
    put(command);
  }
}
