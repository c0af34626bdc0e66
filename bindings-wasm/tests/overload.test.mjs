// More than a server can serve: what waits for it waits in the core, where it can still be put in order
// and given up, not in a socket.

import assert from "node:assert/strict";
import { test } from "node:test";
import { connect } from "comity";
import { MemoryStore } from "comity/core";

/** A server of the test's own, which answers when it is told to. */
function server() {
  const store = new MemoryStore();
  const waiting = [];
  const it = {
    most: 0,
    sent: 0,
    connections: 0,
    address: "slow",
    connect: async () => ({
      connection: (it.connections += 1),
      closed: new Promise(() => {}),
      close() {},
      send(batch) {
        const answers = batch.map(
          ({ argv }) => new Promise((resolve) => waiting.push({ argv, resolve })),
        );
        it.sent += batch.length;
        it.most = Math.max(it.most, waiting.length);
        return answers;
      },
    }),
    /** Answers what is asked by now, but for what has this word in it. */
    answer(count = Infinity, never = null) {
      const is = ({ argv }) => never === null || !argv.some((word) => Buffer.from(word).includes(never));
      for (const { argv, resolve } of waiting.splice(0, count).filter(is)) {
        resolve(store.execute(argv, Math.floor(performance.now() * 1000)));
      }
    },
  };
  return it;
}

const turn = () => new Promise((resolve) => setImmediate(resolve));

test("at most 256 commands are ahead of a server's answers, and all are served", async () => {
  const slow = server();
  const co = await connect(slow, { check: false, push: false, timeout: 60_000 });
  const asked = Array.from({ length: 1_000 }, (_, n) => co.fenceCheck(`resource ${n}`, 7));
  let done = 0;
  for (const each of asked) void each.then(() => done++);
  for (let wait = 0; wait < 10; wait++) await turn();
  assert.deepEqual([slow.sent, slow.most, done], [256, 256, 0]);
  slow.answer(100);
  for (let wait = 0; wait < 10; wait++) await turn();
  // The first answers are that the script is not there: they bring no end.
  assert.deepEqual([slow.sent, slow.most], [356, 256]);
  while (done < 1_000) {
    slow.answer();
    await turn();
  }
  assert.equal(slow.most, 256);
  const closed = co.close();
  while (!co.closed) await turn();
  await closed;
});

test("what could not be sent in time fails as unreached, not as unanswered", async () => {
  const slow = server();
  const co = await connect(slow, { check: false, push: false, timeout: 200 });
  const asked = Array.from({ length: 5_000 }, (_, n) => co.fenceCheck(`resource ${n}`, 7));
  const ends = await Promise.all(asked.map((each) => each.catch(({ name, server }) => `${name} ${server}`)));
  assert.ok(slow.sent < 5_000, "what was late was sent");
  assert.ok(ends.filter((end) => end === "Unreachable slow").length >= 1, "nothing was found unsent");
  assert.ok(ends.every((end) => end === "Unreachable slow" || end === "NoAnswer slow"));
  await co.close();
});

test("one command that is late on a connection that answers fails alone", async () => {
  const slow = server();
  const co = await connect(slow, { check: false, push: false, timeout: 1_000 });
  const late = co.fenceCheck("stuck", 7).then(() => "answered", ({ name }) => name);
  let end;
  void late.then((name) => (end = name));
  for (let number = 0; end === undefined; number++) {
    const other = co.fenceCheck(`resource ${number}`, 7);
    let done = false;
    void other.then(() => (done = true), () => (done = true));
    while (!done) {
      await turn();
      slow.answer(Infinity, "stuck");
    }
    assert.equal(await other, true);
  }
  assert.deepEqual([end, slow.connections], ["NoAnswer", 1]);
  // Where nothing is answered any more, another connection may lead to a server that answers.
  await assert.rejects(co.fenceCheck("other", 7), { name: "NoAnswer" });
  assert.equal(slow.connections > 1, true);
  await co.close();
});
