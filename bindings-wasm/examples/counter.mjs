// A counter that is exact: counted by two, after a crash, and where there is no server.
//
// node counter.mjs                       on the embedded store, no server
// node counter.mjs --redis HOST:PORT     on a real Redis
//
// tests/examples/counter.txt has what it prints; so do the programs of the other languages.

import { PNCounter } from "comity";
import { store } from "./shared.mjs";

/** Nothing is sent before it is flushed. */
const SLOWLY = { durability: { kind: "batched", maxDelay: 3_600_000 } };

const server = await store();

// Two count, each in a client of its own.
const clients = [await server.connect(), await server.connect()];
const [mine, yours] = clients.map((client) => client.counter("hits", SLOWLY));
for (let n = 0; n < 1000; n++) {
  mine.add(1);
  yours.add(2);
}
yours.add(-500);
console.log(`before they are sent, each knows its own: ${mine.value()} and ${yours.value()}`);
await mine.flush();
await yours.flush();
console.log(`then both read: ${(await mine.read()).value} and ${(await yours.read()).value}`);
for (const client of clients) await client.close();

// Somebody counts 75, then 25 more, of which only a snapshot is left.
const gone = await server.connect();
const lost = gone.counter("hits", SLOWLY);
lost.add(75);
await lost.flush();
lost.add(25);
const restore = lost.snapshot();
for (let life = 0; life < 2; life++) {
  const heir = await server.connect();
  const hits = heir.counter("hits", { restore });
  await hits.flush();
  console.log(`after a crash, restored from a snapshot: ${(await hits.read()).value}`);
  await heir.close();
}

// An audit, and a reset.
const co = await server.connect();
const hits = co.counter("hits");
console.log(`an audit has to correct: ${(await hits.audit()).corrected}`);
console.log(`resets so far, with this one: ${await hits.reset()}`);
console.log(`after it: ${(await hits.read()).value}`);
await co.close();

// Replicas that exchange bytes.
const [tea, coffee] = [new PNCounter(), new PNCounter()];
tea.add(5);
tea.add(-2);
coffee.add(7);
for (let time = 0; time < 2; time++) {
  tea.merge(coffee.snapshot());
  coffee.merge(tea.snapshot());
  console.log(`two that exchange what they know: ${tea.value()} and ${coffee.value()}`);
}

await server.close();
