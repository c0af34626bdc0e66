// What a session makes of what the core gives out.

import assert from "node:assert/strict";
import { test } from "node:test";
import { Coordinator } from "comity/core";
import { Operation } from "../dist/esm/operation.js";
import { Session } from "../dist/esm/session.js";

test("what has become too late to be sent fails at once, however late the timer is", () => {
  let now = 1_000_000;
  const core = new Coordinator({ nodes: ["a"], now, timeoutUs: 200_000, push: false });
  const session = new Session(core, 1, () => now, false);
  const operation = new Operation();
  session.begin(operation, (core, at) => core.fenceCheck("x", 1, at));
  session.failures(session.boxes[0].commands.splice(0), "notSent");
  // It is tried again before its time is over, but the timer comes after that.
  const limit = now + 200_000;
  assert.ok(session.deadline < limit && !operation.done);
  now = limit + 1_000;
  session.tick();
  assert.deepEqual(session.boxes[0].commands, []);
  assert.ok(operation.done, `nothing is told, and the next deadline is ${session.deadline}`);
  assert.equal(session.failure(operation).name, "Unreachable");
});
