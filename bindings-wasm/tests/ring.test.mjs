// Keys on their way to the ring: whatever their kind and length, one by one and many at once, and
// whatever happens to the module's memory meanwhile. `replicas` hands its key over in another way.

import assert from "node:assert/strict";
import { test } from "node:test";
import vm from "node:vm";
import { Ring } from "comity";
import { refusesNow } from "./support/refuses.mjs";

const NODES = ["a", "b", "c", "d", "e", "f", "g", "h"];
/** How many bytes of keys go to the module at once, and how many keys. */
const [ROOM, MANY] = [16 << 10, 512];

const expected = (ring, keys) => keys.map((key) => ring.replicas(key, 1)[0] ?? null);
const agree = (ring, keys) => {
  const nodes = expected(ring, keys);
  assert.deepEqual(keys.map((key) => ring.node(key)), nodes);
  assert.deepEqual(ring.lookupBatch(keys), nodes);
  return nodes;
};
/** Bytes that are not the same for any two numbers. */
const bytesOf = (number, length) => Uint8Array.from({ length }, (_, at) => (number * 31 + at * 7) & 255);

// The module is instantiated when it is first used.
const { Instance } = WebAssembly;
let memory;
WebAssembly.Instance = class extends Instance {
  constructor(...options) {
    super(...options);
    memory = this.exports.memory;
  }
};
new Ring();
WebAssembly.Instance = Instance;

/** Makes the module's memory larger, which empties all views of it. */
const grow = () => memory.grow(1);

test("keys of all lengths, as strings and as bytes", () => {
  const ring = new Ring(NODES);
  const lengths = [...Array(300).keys(), 511, 512, 513, ROOM - 1, ROOM, ROOM + 1, 3 * ROOM, 1 << 20];
  const texts = lengths.map((length) => "key:7/".repeat(length / 6 + 1).slice(0, length));
  agree(ring, texts);
  agree(ring, lengths.map((length) => bytesOf(length, length)));
  const text = (key) => new TextEncoder().encode(key);
  assert.deepEqual(ring.lookupBatch(texts), ring.lookupBatch(texts.map(text)));
  // Two, three and four bytes for a character, at the beginning, in the middle and at the end.
  const signs = ["\u00e9", "\u20ac", "\u{1f600}"];
  const others = lengths.slice(0, -1).flatMap((length, at) => {
    const [plain, sign] = ["k".repeat(length), signs[at % 3]];
    return [sign + plain, plain + sign, plain + sign + plain, sign.repeat(length)];
  });
  assert.deepEqual(agree(ring, others), ring.lookupBatch(others.map(text)));
  assert.ok(new Set(agree(ring, Array.from({ length: 1000 }, (_, at) => `user:${at}`))).size === 8);
});

test("batches of all sizes", () => {
  const ring = new Ring(NODES);
  for (const count of [0, 1, 31, 32, 33, MANY - 1, MANY, MANY + 1, 3 * MANY + 5]) {
    agree(ring, Array.from({ length: count }, (_, at) => `key ${at}`));
    agree(ring, Array.from({ length: count }, (_, at) => bytesOf(at, at % 100)));
  }
  // What has no room with those before it, alone, or after what is too long for any.
  const sizes = [ROOM - 3, 4, ROOM, 0, 1, ROOM + 1, ROOM + 1, 5, ROOM / 2, ROOM / 2, 1, 2 * ROOM];
  agree(ring, sizes.map((size, at) => bytesOf(at, size)));
  agree(ring, sizes.map((size, at) => "abcdef"[at % 6].repeat(size)));
  for (const ring of [new Ring(), new Ring([{ id: "a", weight: 0 }])]) {
    assert.deepEqual([ring.node("k"), ring.node(bytesOf(1, 2 * ROOM))], [null, null]);
    assert.deepEqual(ring.lookupBatch(["k", bytesOf(1, 2 * ROOM)]), [null, null]);
  }
});

test("thousands of keys of a megabyte take no more memory than one", () => {
  const ring = new Ring(NODES);
  // Together more than the module could have.
  const keys = Array(4500).fill(bytesOf(1, 1 << 20));
  const nodes = ring.lookupBatch(keys);
  assert.equal(nodes.length, keys.length);
  assert.deepEqual(new Set(nodes), new Set([ring.node(keys[0])]));
});

test("a module's memory that has grown since the last lookup", () => {
  const ring = new Ring(NODES);
  const keys = Array.from({ length: 100 }, (_, at) => `key ${at}`);
  const nodes = agree(ring, keys);
  for (let times = 0; times < 3; times++) {
    grow();
    assert.equal(ring.node("key 5"), nodes[5]);
    grow();
    assert.deepEqual(ring.lookupBatch(keys), nodes);
  }
  // The ids of a ring are read at its first lookup.
  class Growing extends Ring {
    nodes() {
      grow();
      return super.nodes();
    }
  }
  assert.deepEqual(new Growing(NODES).lookupBatch(keys), nodes);
  assert.equal(new Growing(NODES).node("key 5"), nodes[5]);
});

test("arrays that run something when they are read", () => {
  const ring = new Ring(NODES);
  const keys = Array.from({ length: 40 }, (_, at) => `key ${at}`);
  const nodes = agree(ring, keys);
  const busy = (at) => {
    grow();
    assert.equal(ring.node(`other ${at}`), ring.replicas(`other ${at}`, 1)[0]);
    assert.deepEqual(ring.lookupBatch(keys.slice(at, at + 3)), nodes.slice(at, at + 3));
    return keys[at];
  };
  const getters = [...keys];
  for (const at of [3, 4, 20]) Object.defineProperty(getters, at, { get: () => busy(at) });
  assert.deepEqual(ring.lookupBatch(getters), nodes);
  const proxy = new Proxy(keys, {
    get: (target, name) => (name === "7" ? busy(7) : Reflect.get(target, name)),
  });
  assert.deepEqual(ring.lookupBatch(proxy), nodes);
});

test("bytes of other classes count for what they hold", async () => {
  const ring = new Ring(NODES);
  class Odd extends Uint8Array {
    get length() {
      grow();
      return this.says;
    }
  }
  const plain = new TextEncoder().encode("user:42");
  const others = [Buffer.from("user:42"), vm.runInNewContext("Uint8Array").from(plain)];
  for (const says of [0, 3, 1 << 30, -1, NaN, undefined, "7"]) {
    others.push(Object.assign(new Odd(plain), { says }));
  }
  others.push(Object.defineProperty(plain.slice(), "length", { value: 1e9 }));
  const before = ring.node("before");
  for (const key of others) {
    assert.equal(ring.node(key), ring.node("user:42"));
    assert.deepEqual(ring.replicas(key, 3), ring.replicas("user:42", 3));
    assert.equal(ring.hash(key), ring.hash("user:42"));
    assert.equal(ring.withNode(key).nodes().at(-1).id, "user:42");
    const nodes = [before, ring.node("user:42"), before];
    assert.deepEqual(ring.lookupBatch(["before", key, "before"]), nodes);
  }
  for (const no of [new Proxy(plain, {}), { [Symbol.toStringTag]: "Uint8Array" }, new Int8Array(3)]) {
    await refusesNow("InvalidArgument", /^key must be a string or a Uint8Array/, () => ring.node(no));
    await refusesNow("InvalidArgument", /^keys\[1\] must be/, () => ring.lookupBatch(["x", no]));
  }
  assert.equal(ring.node(plain), ring.node("user:42"));
});

test("keys that are none are refused by their number, and nothing else is the worse for it", async () => {
  const ring = new Ring(NODES);
  const keys = Array.from({ length: 2 * MANY }, (_, at) => `key ${at}`);
  const nodes = agree(ring, keys);
  for (const lone of ["\ud800", "a\udc00b", `${"long".repeat(50)}\ud800`, `\ud800${"k".repeat(2 * ROOM)}`]) {
    await refusesNow("InvalidArgument", /^key has a lone surrogate/, () => ring.node(lone));
    for (const at of [0, 3, MANY - 1, MANY, 2 * MANY - 1]) {
      const pattern = new RegExp(`^keys\\[${at}\\] has a lone surrogate`);
      await refusesNow("InvalidArgument", pattern, () => ring.lookupBatch(keys.with(at, lone)));
    }
    assert.deepEqual(ring.lookupBatch(keys), nodes);
  }
  await refusesNow("InvalidArgument", /^keys\[1\] must be .* not undefined/, () =>
    ring.lookupBatch(["a", , "b"]),
  );
  await refusesNow("InvalidArgument", /^keys must be an array/, () => ring.lookupBatch("abc"));
});

test("what a lookup gives out is the caller's", () => {
  const id = Uint8Array.of(0xff, 1);
  const ring = new Ring([id]);
  ring.node("k").fill(0);
  ring.lookupBatch(["k"])[0].fill(0);
  assert.deepEqual(ring.node("k"), id);
  assert.deepEqual(ring.lookupBatch(["k"]), [id]);
});

test("a ring that was disposed of finds nothing", async () => {
  const ring = new Ring(NODES);
  assert.ok(ring.node("k"));
  ring[Symbol.dispose]();
  const gone = /this ring was disposed of/;
  await refusesNow("InvalidState", gone, () => ring.node("k"));
  await refusesNow("InvalidState", gone, () => ring.node("k".repeat(2 * ROOM)));
  await refusesNow("InvalidState", gone, () => ring.lookupBatch(["k"]));
});
