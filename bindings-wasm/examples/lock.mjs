// A fair, fenced lock: three who want it, the guard, and what a timeout says.
//
// node lock.mjs                       on the embedded store, no server
// node lock.mjs --redis HOST:PORT     on a real Redis
//
// tests/examples/lock.txt has what it prints; so do the programs of the other languages.

import { setTimeout as sleep } from "node:timers/promises";
import { ErrorCode } from "comity";
import { store, tell } from "./shared.mjs";

const server = await store();
const co = await server.connect();
const order = [];
const fences = [];

async function work(label) {
  await co.withLock("invoice:42", { ttl: 5000, label }, (held) => {
    order.push(label);
    fences.push(held.fence);
  });
}

const workers = [];
await co.withLock("invoice:42", { ttl: 5000, label: "first" }, async (held) => {
  fences.push(held.fence);
  tell("first holds the lock", held.held);

  const before = performance.now();
  try {
    await co.withLock("invoice:42", { wait: 200 }, () => {});
  } catch (error) {
    if (error.code !== ErrorCode.LockTimeout) throw error;
    const waited = performance.now() - before;
    tell("who waits 0.2 s gives up in time", waited > 190 && waited < 10_000);
    console.log(`and reads who holds it: ${error.holder}`);
  }

  for (const [ahead, name] of ["second", "third"].entries()) {
    workers.push(work(name));
    while ((await co.inspect("invoice:42")).waitersTotal <= ahead) await sleep(1);
  }
  const line = (await co.inspect("invoice:42")).waiters.map((waiter) => waiter.label);
  console.log(`waiting in line: ${line.join(", ")}`);
});
await Promise.all(workers);

console.log(`served in the order they came: ${order.join(", ")}`);
const rising = fences.every((fence, at) => at === 0 || fence > fences[at - 1]);
tell("fences rise from grant to grant", rising);
tell("the guard accepts the last fence", await co.fenceCheck("ledger", fences.at(-1)));
tell("and then refuses the first", !(await co.fenceCheck("ledger", fences[0])));

await co.close();
await server.close();
