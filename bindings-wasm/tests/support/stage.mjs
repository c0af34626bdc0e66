// The core as it is, on stores of the test's own.

import { Coordinator, MemoryStore } from "comity/core";

/** A coordinator on two stores of its own, whose clock the test moves. */
export function stage(options = {}) {
  const stores = [new MemoryStore(), new MemoryStore()];
  const core = new Coordinator({ nodes: ["a", "b"], now: 0, entropy: new Uint8Array(32), ...options });
  const it = {
    core,
    now: 1_000_000,
    answer(command) {
      return stores[command.node].execute(command.argv, it.now);
    },
    /** Executes what is ready; the events that it led to. */
    run() {
      const events = [];
      for (;;) {
        for (let e = core.pollEvent(); e !== null; e = core.pollEvent()) events.push(e);
        const command = core.pollCommand();
        if (command === null) return events;
        if (command.route === "subscribe") {
          core.handleNode(command.node, "pushReady", it.now);
          continue;
        }
        core.handleReply(command.request, it.answer(command), it.now);
        stores.forEach((store, node) => {
          for (let m = store.pollMessage(); m !== null; m = store.pollMessage()) {
            core.handleMessage(node, m.channel, m.payload, it.now);
          }
        });
      }
    },
  };
  return it;
}
