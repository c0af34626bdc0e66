// What other implementations computed and wrote: rings and counters are the same here.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { PNCounter, Ring } from "comity";
import { refusesNow } from "./support/refuses.mjs";

const VECTORS = new URL("../../tests/vectors/", import.meta.url);

const read = (name) => JSON.parse(readFileSync(new URL(name, VECTORS), "utf8"));
const unhex = (text) => Uint8Array.from(Buffer.from(text, "hex"));
const hex = (bytes) => Buffer.from(bytes).toString("hex");
/** An id that is UTF-8 comes back as a string. */
const idHex = (id) => hex(typeof id === "string" ? new TextEncoder().encode(id) : id);

test("keys lie where an independent implementation puts them", () => {
  const { rings } = read("ring_native.json");
  assert.ok(rings.length >= 5);
  for (const expected of rings) {
    const ring = new Ring(
      expected.nodes.map(({ id_hex, weight }) => ({ id: unhex(id_hex), weight })),
      { seed: BigInt(`0x${expected.seed_hex}`), pointsPerWeight: expected.points_per_weight },
    );
    assert.equal(ring.points, expected.points);
    assert.equal(ring.fingerprint, BigInt(`0x${expected.fingerprint_hex}`), expected.name);
    const shares = expected.shares.map((share) => Number(share) / 2 ** 64);
    assert.deepEqual(ring.shares(), shares);
    assert.ok(expected.keys.length > 0);
    const keys = expected.keys.map(({ key_hex }) => unhex(key_hex));
    const owners = ring.lookupBatch(keys);
    expected.keys.forEach(({ hash_hex, replica_ids_hex: ids }, at) => {
      assert.equal(ring.hash(keys[at]), BigInt(`0x${hash_hex}`), expected.name);
      assert.deepEqual(ring.replicas(keys[at], 3).map(idHex), ids, expected.name);
      for (const owner of [ring.node(keys[at]), owners[at]]) {
        assert.equal(owner === null ? undefined : idHex(owner), ids[0], expected.name);
      }
    });
  }
});

test("snapshots are read and written as others write and read them", async () => {
  const { counters, rings, refused } = read("snapshots.json");
  for (const { slots, value, bytes } of counters) {
    const counter = PNCounter.restore(unhex(bytes));
    assert.equal(counter.value(), BigInt(value));
    assert.deepEqual(
      counter.slots(),
      new Map(slots.map(({ id, p, n }) => [id, { increments: BigInt(p), decrements: BigInt(n) }])),
    );
    assert.equal(hex(counter.snapshot()), bytes);
  }
  for (const { seed, points_per_weight: pointsPerWeight, nodes, bytes } of rings) {
    const ring = new Ring(nodes, { seed: BigInt(seed), pointsPerWeight });
    assert.equal(hex(ring.snapshot()), bytes);
    assert.deepEqual(Ring.restore(unhex(bytes)).nodes(), ring.nodes());
  }
  assert.ok(refused.length > 10);
  for (const { says, bytes } of refused) {
    const words = new RegExp(says.replace(/[.^]/g, "\\$&"));
    await refusesNow("Corrupt", words, () => PNCounter.restore(unhex(bytes)));
  }
});
