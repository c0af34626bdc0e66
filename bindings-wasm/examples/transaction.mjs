// Transfers between accounts: all or nothing, on a condition, and many at once.
//
// node transaction.mjs                       on the embedded store, no server
// node transaction.mjs --redis HOST:PORT     on a real Redis
//
// tests/examples/transaction.txt has what it prints; so do the programs of the other languages.

import { ErrorCode } from "comity";
import { store } from "./shared.mjs";

const ACCOUNTS = ["alice", "bob", "carol"].map((name) => `example-${process.pid}:${name}`);
const [ALICE, BOB, CAROL] = ACCOUNTS;

const server = await store();
const co = await server.connect();

/** What all three hold at one instant. */
async function show(what) {
  const [alice, bob, carol] = (await co.snapshot(ACCOUNTS)).map((value) => value ?? "nothing");
  console.log(`${what}: alice ${alice}, bob ${bob}, carol ${carol}`);
}

/** The transaction has to fail with this code. */
async function refused(code, fill) {
  try {
    await co.transaction(fill);
  } catch (error) {
    if (error.code === code) return;
    throw error;
  }
  throw new Error("the transaction was applied");
}

await co.transaction((tx) => tx.set(ALICE, 100).set(BOB, 50));
await show("opened");

const replies = await co.transaction((tx) => tx.decrBy(ALICE, 30).incrBy(BOB, 30));
console.log(`a transfer of 30 replies: ${replies.join(", ")}`);
await show("transferred");

await refused(ErrorCode.Conflict, (tx) =>
  tx.check(ALICE, { value: 100 }).decrBy(ALICE, 30).incrBy(BOB, 30),
);
await show("not applied, alice has no 100 any more");

await refused(ErrorCode.CommandFailed, (tx) => tx.incrBy(ALICE, 5).rPush(BOB, "a note"));
await show("not applied, a command failed");

const move = (giver, taker) =>
  co.runTransaction([], (tx) => tx.decrBy(giver, 1).incrBy(taker, 1));
const pairs = Array.from({ length: 10 }, (_, n) => [n % 2 === 0 ? ALICE : BOB, CAROL]);
await Promise.all(pairs.map(([giver, taker]) => move(giver, taker)));
await show("ten transfers at once");

await co.transaction((tx) => tx.del([ALICE, BOB, CAROL]));
await show("closed");

await co.close();
await server.close();
