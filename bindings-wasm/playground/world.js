// A host of the core's own border, with one store, several members and a clock that it moves itself.
//
// Commands are executed as soon as they are ready, and what they publish is heard at once. A member
// that is dead neither sends nor hears nor notices the time, until it wakes.

import { Coordinator, MemoryStore } from "./comity/core.js";

const NODE = "store";

export class World {
  /** Microseconds since the world began. */
  now = 1_000_000;
  #store = new MemoryStore();
  #members = [];

  /** A client of its own; `hear` is given each event of it. */
  join(hear) {
    const member = new Member(this, hear);
    this.#members.push(member);
    return member;
  }

  /** Lets time pass until `at`, and everything happen that is due by then. */
  advance(at) {
    for (;;) {
      this.settle();
      const next = Math.min(...this.#living().map(({ core }) => core.nextDeadline() ?? Infinity));
      if (next > at) break;
      this.now = Math.max(this.now, next);
      for (const { core } of this.#living()) core.handleTimeout(this.now);
    }
    this.now = Math.max(this.now, at);
  }

  /** Until nobody has anything to say at this moment. */
  settle() {
    let busy = true;
    while (busy) {
      busy = false;
      for (const member of this.#living()) busy = this.#serve(member) || busy;
    }
  }

  #living() {
    return this.#members.filter(({ alive }) => alive);
  }

  #serve(member) {
    const { core } = member;
    let busy = false;
    for (let event; (event = core.pollEvent()) !== null; busy = true) member.hear(event);
    for (let command; (command = core.pollCommand()) !== null; busy = true) {
      if (command.route === "subscribe") {
        member.channel = String(command.argv[1]);
        core.handleNode(command.node, "pushReady", this.now);
        continue;
      }
      core.handleReply(command.request, this.#store.execute(command.argv, this.now), this.now);
      this.#deliver();
    }
    return busy;
  }

  #deliver() {
    for (let message; (message = this.#store.pollMessage()) !== null;) {
      for (const { core, channel } of this.#living()) {
        if (channel !== String(message.channel)) continue;
        core.handleMessage(0, message.channel, message.payload, this.now);
      }
    }
  }
}

class Member {
  alive = true;
  channel = null;
  #world;

  constructor(world, hear) {
    this.#world = world;
    this.hear = hear;
    this.core = new Coordinator({ nodes: [NODE], now: world.now });
  }

  /** Calls a verb of the core: `act((core, now) => core.lockAcquire("x", now))`. */
  act(verb) {
    const result = verb(this.core, this.#world.now);
    this.#world.settle();
    return result;
  }

  /** From now on it does nothing, as a process that is stopped or cut off. */
  kill() {
    this.alive = false;
  }

  /** Goes on where it was, and is told that the clock stood still. */
  wake() {
    this.alive = true;
    this.act((core, now) => core.handleClockGap(now));
  }
}
