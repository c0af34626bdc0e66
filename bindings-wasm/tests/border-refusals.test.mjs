// The border of the core: values that are none, and too much of them.

import assert from "node:assert/strict";
import { test } from "node:test";
import { Coordinator, MemoryStore, Ring } from "comity/core";
import { throws } from "./support/refuses.mjs";
import { stage } from "./support/stage.mjs";

const bytes = (text) => new TextEncoder().encode(text);
const words = (...all) => all.map(bytes);

test("numbers are refused where WebAssembly would wrap them", () => {
  const { core, now } = stage();
  for (const wrong of [-1, 0.5, NaN, Infinity, 2 ** 53, 2n ** 53n, 2n ** 64n, -1n, "1", null, {}]) {
    throws("InvalidArgument", /now must be a whole number, 0\.\.9007199254740991/, () =>
      core.handleTimeout(wrong),
    );
    throws("InvalidArgument", /lock must be/, () => core.lockRelease(wrong, now));
    throws("InvalidArgument", /ttlUs must be/, () => core.lockAcquire("x", now, { ttlUs: wrong ?? -1 }));
  }
  for (const edge of [0, 1n, 2 ** 53 - 1, 2n ** 53n - 1n]) core.lockIsHeld(edge, edge);
  for (const wrong of [-1, 2 ** 32, 2n ** 32n, 0.5]) {
    throws("InvalidArgument", /node must be a whole number, 0\.\.4294967295/, () =>
      core.handleNode(wrong, "lost", now),
    );
  }
  throws("InvalidArgument", /fence must be/, () => core.fenceCheck("x", 0, now));
  const counter = core.counterOpen("c", now, { collected: true });
  core.counterAdvance(counter, 2n ** 64n - 1n, 0, now);
  for (const wrong of [2n ** 64n, -1n, 2 ** 53, 1.5]) {
    throws("InvalidArgument", /up must be.*0\.\.18446744073709551615/, () =>
      core.counterAdvance(counter, wrong, 0, now),
    );
  }
  throws("InvalidArgument", /max_units/, () => core.counterOpen("d", now, { maxUnits: 1 }));
});

test("strings that are no Unicode, and values of other types, are refused", () => {
  const { core, now } = stage();
  for (const lone of ["\ud800", "a\udc00b"]) {
    throws("InvalidArgument", /name has a lone surrogate/, () => core.lockAcquire(lone, now));
    throws("InvalidArgument", /key has a lone surrogate/, () => new Ring(["a"]).node(lone));
  }
  assert.equal(new Ring(["a"]).node("\u{1f600}"), "a");
  for (const wrong of [5, null, undefined, {}, [1], new Uint16Array(1), new ArrayBuffer(1)]) {
    throws("InvalidArgument", /name must be a string or a Uint8Array/, () =>
      core.lockAcquire(wrong, now),
    );
  }
  throws("InvalidArgument", /no option "ttl": ttlUs/, () => core.lockAcquire("x", now, { ttl: 5 }));
  throws("InvalidArgument", /options must be an object/, () => core.lockAcquire("x", now, 5));
  throws("InvalidArgument", /renew must be true or false/, () =>
    core.lockAcquire("x", now, { renew: "yes" }),
  );
  throws("InvalidArgument", /failure must be one of/, () => core.handleFailure(1, "no", now));
  throws("InvalidArgument", /change must be one of/, () => core.handleNode(0, "gone", now));
  throws("InvalidArgument", /reason must be a string, not number/, () =>
    core.handleUnreachable(0, 5, false, now),
  );
  throws("InvalidArgument", /lasting must be true or false/, () =>
    core.handleUnreachable(0, "away", 1, now),
  );
  throws("InvalidArgument", /text must be a string, not number/, () => core.handleRefused(0, 5, now));
  throws("InvalidArgument", /durability must be one of/, () =>
    core.counterOpen("c", now, { durability: "never" }),
  );
  throws("InvalidArgument", /commands\[0\]\[1\] must be/, () =>
    core.transactionExecute([[bytes("GET"), 5]], now),
  );
  throws("InvalidArgument", /expectations\[0\] must have/, () =>
    core.transactionExecute([words("GET", "k")], now, { expectations: [{ key: "k" }] }),
  );
  throws("LimitExceeded", /512/, () => core.lockAcquire("x".repeat(513), now));
  throws("InvalidArgument", /entropy must be 32 bytes, not 5/, () =>
    new Coordinator({ nodes: ["a"], now, entropy: new Uint8Array(5) }),
  );
  throws("InvalidArgument", /at least one node/, () => new Coordinator({ nodes: [], now }));
  throws("InvalidArgument", /timeout/, () => new Coordinator({ nodes: ["a"], now, timeoutUs: 1 }));
  throws("InvalidArgument", /there is no node 7/, () => core.nodeId(7));
});

test("what is too long for the module is refused, and harms nothing", () => {
  const most = 2 ** 29;
  const [long, half] = [new Uint8Array(most + 1), new Uint8Array(most / 2)];
  const core = new Coordinator({ nodes: ["a"], now: 0 });
  const store = new MemoryStore();
  const ring = new Ring(["a"]);
  const set = [bytes("SET"), bytes("x")];
  for (const [pattern, call] of [
    [/^key has 536870913 bytes: more than 536870912/, () => ring.node(long)],
    [/^keys\[1\] has 536870913 bytes/, () => ring.lookupBatch(["x", long])],
    [/^name has 536870913 bytes/, () => core.lockAcquire(long, 0)],
    [/^argv\[2\] has 536870913 bytes/, () => store.execute([...set, long], 0)],
    // As UTF-8 it is three times as long.
    [/^key has 536870913 bytes/, () => ring.node("\u20ac".repeat((most + 1) / 3))],
    [/^all that goes into one call has \d+ bytes/, () => store.execute([...set, half, half], 0)],
    [/^all that goes into one call has/, () => core.transactionExecute([[...set, half, half]], 0)],
    [/^all that goes into one call has/, () => core.handleReply(1, [half, half], 0)],
  ]) {
    throws("LimitExceeded", pattern, call);
  }
  assert.equal(ring.node(long.subarray(1)), "a");
  assert.equal(store.execute([bytes("GET"), bytes("x")], 0), null);
  assert.equal(core.pollCommand(), null);
});
