import { type Bytes, isBytes, octets, textOrBytes } from "../bytes.js";
import { invalid, kindOf } from "../errors.js";
import { core } from "../instance/core.js";
import { Reader, writer } from "../pack.js";
import { RawRing } from "../raw/comity.js";
import { options as checked, wide, whole } from "../units.js";
import { Handle } from "./handle.js";
import { Keys } from "./keys.js";
import { type Asked, show, shownAs } from "../show.js";

const MAX_U32 = 2 ** 32 - 1;

// In the build for Node an import is reached through getters, which take as long as a lookup.
const nodeOf = RawRing.node_of;

/** A member of a ring. */
export interface NodeSpec {
  /** Identity, 1 to 256 bytes, unique within a ring. */
  readonly id: Bytes;
  /** Share of the keys relative to the other nodes; 1. 0: listed, but given no keys. */
  readonly weight?: number | bigint;
}

/** How a ring is made. */
export interface RingOptions {
  /** Other seeds give other placements; 0. Up to 64 bits. */
  seed?: number | bigint | undefined;
  /** How many points a node has for each unit of its weight; 512. */
  pointsPerWeight?: number | undefined;
}

/** Nodes, as they are given: an id stands for a node of weight 1. */
export type Nodes = readonly (Bytes | NodeSpec)[];

/** Nodes as `src/coordinator.rs` reads them. */
export function packedNodes(nodes: Nodes): Uint8Array {
  if (typeof nodes === "string" || isBytes(nodes)) {
    throw invalid(`nodes: a ${kindOf(nodes)} is one id, not several: give an array of ids`);
  }
  if (!Array.isArray(nodes)) throw invalid(`nodes must be an array, not ${kindOf(nodes)}`);
  const specs = (nodes as Nodes).map((node) => {
    if (typeof node === "string" || node instanceof Uint8Array) {
      return { id: octets("node id", node), weight: 1 };
    }
    if (typeof node !== "object" || node === null) {
      throw invalid(`nodes: ${kindOf(node)} is neither an id nor { id, weight }`);
    }
    const weight = node.weight === undefined ? 1 : whole("weight", node.weight, 0, MAX_U32);
    return { id: octets("node id", node.id), weight };
  });
  const out = writer.begin().count(specs.length);
  for (const spec of specs) out.bytes(spec.id).wide(BigInt(spec.weight));
  return out.end();
}

/**
 * A consistent-hash ring: which node each key belongs to. It never changes.
 *
 * The same nodes give the same placement in every process and every language. Ids come back as
 * strings where they are UTF-8, else as `Uint8Array`. `null` stands for no node: on a ring without
 * nodes that have a weight.
 */
export class Ring extends Handle<RawRing> {
  /** In the ring's order, so that a lookup creates nothing. */
  #ids: readonly Bytes[] | null = null;
  /** Where it is in the module's memory, as long as it is not disposed of. */
  readonly #here: number;

  /**
   * Throws `InvalidArgument` for a value of another type or range, an empty id or one that is there
   * twice; `LimitExceeded` beyond 65,536 nodes, 4,194,304 points or 256 bytes of an id.
   */
  constructor(nodes: Nodes = [], options?: RingOptions) {
    const raw = nodes instanceof Made ? nodes.raw : made(nodes, options);
    super(core, "ring", raw);
    this.#here = core.guarded(() => raw.here());
  }

  /** A ring from the bytes of `snapshot`. Throws `Corrupt`. */
  static restore(snapshot: Uint8Array): Ring {
    const bytes = octets("snapshot", snapshot);
    return ringOf(core.guarded((raw) => raw.RawRing.restore(bytes)));
  }

  /** How many nodes it has, those of weight 0 included. */
  get size(): number {
    return this.#table().length;
  }

  /** How many points it has. */
  get points(): number {
    return this.call((raw) => raw.points());
  }

  /** 64 bits that are equal for rings that place every key alike. */
  get fingerprint(): bigint {
    return this.call((raw) => raw.fingerprint());
  }

  /** The node that owns a key. Throws `InvalidArgument` for what is neither string nor bytes. */
  node(key: Bytes): Bytes | null {
    const written = (area ??= new Keys());
    const length = written.one(key);
    if (length < 0) return this.#id(this.#long("key", key));
    this.owned();
    let index;
    try {
      index = nodeOf(this.#here, written.here, length);
    } catch (error) {
      throw core.died(error);
    }
    return this.#id(index);
  }

  /** The first `n` different nodes for a key, the owner first; fewer if there are fewer. */
  replicas(key: Bytes, n: number): Bytes[] {
    const [bytes, count] = [octets("key", key), whole("n", n, 0, MAX_U32)];
    const found = this.call((raw) => raw.replicas(bytes, count));
    return Array.from(found, (index) => this.#id(index) ?? "");
  }

  /** The nodes of many keys, which is faster than one call for each. */
  lookupBatch(keys: readonly Bytes[]): (Bytes | null)[] {
    if (!Array.isArray(keys)) throw invalid(`keys must be an array, not ${kindOf(keys)}`);
    // A copy first: to read an array may run whatever its owner likes. And no call that the answers
    // do not survive may come between them.
    const all = [...(keys as readonly Bytes[])];
    this.#table();
    const nodes = new Array<Bytes | null>(all.length);
    const written = (area ??= new Keys());
    for (let first = 0; first < all.length; ) {
      const count = written.fill(all, first);
      // Not even one has room.
      if (count === 0) {
        nodes[first] = this.#id(this.#long(`keys[${first}]`, all[first] as Bytes));
        first += 1;
        continue;
      }
      this.call((raw) => raw.nodes_of(written.raw, count));
      const { answers } = written;
      for (let at = 0; at < count; at++) nodes[first + at] = this.#id(answers[at] as number);
      first += count;
    }
    return nodes;
  }

  /** The hash of a key: its place on the ring, of 2^64. */
  hash(key: Bytes): bigint {
    const bytes = octets("key", key);
    return this.call((raw) => raw.hash(bytes));
  }

  /** Ids and weights, sorted by the bytes of the ids. */
  nodes(): { id: Bytes; weight: number }[] {
    const packed = this.call((raw) => raw.nodes());
    return new Reader(packed).each((each) => ({
      id: textOrBytes(each.bytes()),
      weight: each.number(),
    }));
  }

  /** The share of all keys of each node, from 0 to 1, in the order of `nodes`. */
  shares(): number[] {
    return Array.from(this.call((raw) => raw.shares()));
  }

  /** The share of all keys that `other` places on another node, from 0 to 1. */
  movedShare(other: Ring): number {
    if (!(other instanceof Ring)) throw invalid(`other must be a Ring, not ${kindOf(other)}`);
    return this.call((raw) => other.call((theirs) => raw.moved_share(theirs)));
  }

  /** Every point, from 0 to 1 around the ring, and the node it belongs to. */
  positions(): { at: number; node: Bytes }[] {
    const [places, owners] = this.call((raw) => [raw.positions(), raw.owners()] as const);
    return Array.from(places, (at, point) => ({ at, node: this.#id(owners[point] ?? -1) ?? "" }));
  }

  /** A ring with one node more. Throws `InvalidArgument` if it is there. */
  withNode(id: Bytes, weight: number | bigint = 1): Ring {
    const [bytes, units] = [octets("id", id), whole("weight", weight, 0, MAX_U32)];
    return ringOf(this.call((raw) => raw.with_node(bytes, units)));
  }

  /** A ring with one node less. Throws `InvalidArgument` if it is not there. */
  withoutNode(id: Bytes): Ring {
    const bytes = octets("id", id);
    return ringOf(this.call((raw) => raw.without_node(bytes)));
  }

  /** A ring with another weight of one node. Throws `InvalidArgument` if it is not there. */
  withWeight(id: Bytes, weight: number | bigint): Ring {
    const [bytes, units] = [octets("id", id), whole("weight", weight, 0, MAX_U32)];
    return ringOf(this.call((raw) => raw.with_weight(bytes, units)));
  }

  /** Its bytes: the same for the same ring, in every language. */
  snapshot(): Uint8Array {
    return this.call((raw) => raw.snapshot());
  }

  /** For `console.log`. */
  [show](...asked: Asked): string {
    return shownAs("Ring", () => ({ nodes: this.nodes(), points: this.points }), asked);
  }

  /** The node of a key that `Keys` has no room for. */
  #long(name: string, key: Bytes): number {
    const bytes = octets(name, key);
    return this.call((raw) => raw.node(bytes));
  }

  #table(): readonly Bytes[] {
    this.#ids ??= this.nodes().map((node) => node.id);
    return this.#ids;
  }

  #id(index: number): Bytes | null {
    if (index < 0) return null;
    const id = (this.#ids ?? this.#table())[index];
    // Bytes could be changed by who gets them.
    return id === undefined ? null : typeof id === "string" ? id : id.slice();
  }
}

/** A ring that the module has made already. */
class Made extends Array<never> {
  constructor(readonly raw: RawRing) {
    super();
  }
}

/** The ring around what the module has made. */
export function ringOf(raw: RawRing): Ring {
  return new Ring(new Made(raw));
}

function made(nodes: Nodes, options?: RingOptions): RawRing {
  const { seed = 0, pointsPerWeight = 512 } = checked("options", options, [
    "seed",
    "pointsPerWeight",
  ]);
  const [start, points] = [wide("seed", seed), whole("pointsPerWeight", pointsPerWeight, 0, MAX_U32)];
  const packed = packedNodes(nodes);
  return core.guarded((raw) => new raw.RawRing(packed, start, points));
}

/** Where keys are written: made by the first lookup, and used by all. */
let area: Keys | undefined;
