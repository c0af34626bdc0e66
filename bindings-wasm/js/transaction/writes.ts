import type { Bytes, Word } from "../bytes.js";
import { invalid } from "../errors.js";
import { choice, options as checked } from "../units.js";
import { type Keys, listed, Reads } from "./reads.js";
import * as r from "./replies.js";
import type { Added } from "./replied.js";

/** When a key ends: at most one of them. Seconds and milliseconds as their names say. */
export interface Expiry {
  /** After so many seconds. */
  EX?: number | undefined;
  /** After so many milliseconds. */
  PX?: number | undefined;
  /** At this second since 1970. */
  EXAT?: number | Date | undefined;
  /** At this millisecond since 1970. */
  PXAT?: number | Date | undefined;
}

/** How a string is set. */
export interface SetOptions extends Expiry {
  /** It ends when it would have. */
  KEEPTTL?: boolean | undefined;
  /** Only if the key is new. */
  NX?: boolean | undefined;
  /** Only if the key is not. */
  XX?: boolean | undefined;
  /** The reply is the old value. */
  GET?: boolean | undefined;
}

/** How members of a sorted set are added. */
export interface ZAddOptions {
  /** Only new ones. */
  NX?: boolean | undefined;
  /** Only old ones. */
  XX?: boolean | undefined;
  /** Only where the score rises. */
  GT?: boolean | undefined;
  /** Only where it falls. */
  LT?: boolean | undefined;
  /** The reply is how many were added or changed. */
  CH?: boolean | undefined;
}

/** When a new end counts. */
export type ExpireMode = "NX" | "XX" | "GT" | "LT";

/** Fields and values: an object, a `Map`, or pairs. */
export type Pairs = Iterable<readonly [Word, Word]> | { readonly [field: string]: Word };

/**
 * The commands of a transaction, named as in node-redis and buffered in their order. Each returns
 * the transaction. What there is no method for is a `command`.
 */
export abstract class Writes<V extends Bytes, R extends readonly unknown[]> extends Reads<
  "buffered",
  V,
  R
> {
  /** Not for users. */
  protected abstract write<T>(
    convert: r.Convert<T, V>,
    ...words: readonly Word[]
  ): Added<T, V, R>;

  // Strings

  /** Sets a string; the reply is `"OK"`, or null where a condition was not met. */
  set(
    key: Word,
    value: Word,
    options?: SetOptions & { GET?: false | undefined },
  ): Added<"OK" | null, V, R>;
  set(key: Word, value: Word, options: SetOptions & { GET: true }): Added<V | null, V, R>;
  set(key: Word, value: Word, options?: SetOptions): Added<V | "OK" | null, V, R>;
  set(key: Word, value: Word, options?: SetOptions): Added<V | "OK" | null, V, R> {
    const given = checked("options", options, [...EXPIRIES, "KEEPTTL", "NX", "XX", "GET"]);
    const words = [...expiry(given, "KEEPTTL"), ...named("set", given, "NX", "XX")];
    if (given.GET === true) words.push("GET");
    const convert: r.Convert<V | "OK" | null, V> = given.GET === true ? r.one : r.ok;
    return this.write(convert, "SET", key, value, ...words);
  }
  /** Sets a string if the key is new. */
  setNX(key: Word, value: Word): Added<boolean, V, R> {
    return this.write(r.flag, "SETNX", key, value);
  }
  /** Sets several strings, whose keys lie on one server. */
  mSet(pairs: Pairs): Added<"OK" | null, V, R> {
    return this.write(r.ok, "MSET", ...paired("mSet", pairs));
  }
  /** The string at `key`, which is deleted. */
  getDel(key: Word): Added<V | null, V, R> {
    return this.write(r.one, "GETDEL", key);
  }
  /** The string at `key`, and from now on another end of it. */
  getEx(
    key: Word,
    options: Expiry & { PERSIST?: boolean | undefined },
  ): Added<V | null, V, R> {
    const given = checked("options", options, [...EXPIRIES, "PERSIST"]);
    return this.write(r.one, "GETEX", key, ...expiry(given, "PERSIST"));
  }
  /** Deletes keys that lie on one server; the reply is how many there were. */
  del(keys: Keys): Added<number, V, R> {
    return this.write(r.count, "DEL", ...listed(keys));
  }
  /** As `del`. */
  unlink(keys: Keys): Added<number, V, R> {
    return this.write(r.count, "UNLINK", ...listed(keys));
  }
  /** Adds 1 to an integer; the reply is the sum. */
  incr(key: Word): Added<number | bigint | null, V, R> {
    return this.incrBy(key, 1);
  }
  /** Adds to an integer; the reply is the sum. */
  incrBy(key: Word, by: number | bigint): Added<number | bigint | null, V, R> {
    return this.write(r.integer, "INCRBY", key, by);
  }
  /** Subtracts 1 from an integer; the reply is the difference. */
  decr(key: Word): Added<number | bigint | null, V, R> {
    return this.decrBy(key, 1);
  }
  /** Subtracts from an integer; the reply is the difference. */
  decrBy(key: Word, by: number | bigint): Added<number | bigint | null, V, R> {
    return this.write(r.integer, "DECRBY", key, by);
  }
  /** Adds to a number; the reply is the sum. */
  incrByFloat(key: Word, by: number): Added<number | null, V, R> {
    return this.write(r.number, "INCRBYFLOAT", key, by);
  }
  /** Appends to a string; the reply is its length. */
  append(key: Word, value: Word): Added<number, V, R> {
    return this.write(r.count, "APPEND", key, value);
  }
  /** Overwrites a part of a string; the reply is its length. */
  setRange(key: Word, offset: number, value: Word): Added<number, V, R> {
    return this.write(r.count, "SETRANGE", key, offset, value);
  }
  /** Sets a bit; the reply is the old one. */
  setBit(key: Word, offset: number, value: 0 | 1): Added<number, V, R> {
    return this.write(r.count, "SETBIT", key, offset, value);
  }

  // Keys of any type

  /** Lets a key end after so many seconds; the reply is whether it will. */
  expire(key: Word, seconds: number, mode?: ExpireMode): Added<boolean, V, R> {
    return this.write(r.flag, "EXPIRE", key, seconds, ...when(mode));
  }
  /** Lets a key end after so many milliseconds; the reply is whether it will. */
  pExpire(key: Word, milliseconds: number, mode?: ExpireMode): Added<boolean, V, R> {
    return this.write(r.flag, "PEXPIRE", key, milliseconds, ...when(mode));
  }
  /** Lets a key end at a second since 1970; the reply is whether it will. */
  expireAt(key: Word, at: number | Date, mode?: ExpireMode): Added<boolean, V, R> {
    return this.write(r.flag, "EXPIREAT", key, moment(at, 1000), ...when(mode));
  }
  /** Lets a key end at a millisecond since 1970; the reply is whether it will. */
  pExpireAt(key: Word, at: number | Date, mode?: ExpireMode): Added<boolean, V, R> {
    return this.write(r.flag, "PEXPIREAT", key, moment(at, 1), ...when(mode));
  }
  /** Lets a key have no end; the reply is whether it had one. */
  persist(key: Word): Added<boolean, V, R> {
    return this.write(r.flag, "PERSIST", key);
  }

  // Hashes

  /** Sets fields of a hash; the reply is how many are new. */
  hSet(key: Word, fields: Pairs): Added<number, V, R>;
  hSet(key: Word, field: Word, value: Word): Added<number, V, R>;
  hSet(key: Word, field: Word | Pairs, value?: Word): Added<number, V, R> {
    const words = value === undefined ? paired("hSet", field as Pairs) : [field as Word, value];
    return this.write(r.count, "HSET", key, ...words);
  }
  /** Sets a field if it is new. */
  hSetNX(key: Word, field: Word, value: Word): Added<boolean, V, R> {
    return this.write(r.flag, "HSETNX", key, field, value);
  }
  /** Deletes fields; the reply is how many there were. */
  hDel(key: Word, fields: Keys): Added<number, V, R> {
    return this.write(r.count, "HDEL", key, ...listed(fields));
  }
  /** Adds to an integer in a field; the reply is the sum. */
  hIncrBy(key: Word, field: Word, by: number | bigint): Added<number | bigint | null, V, R> {
    return this.write(r.integer, "HINCRBY", key, field, by);
  }
  /** Adds to a number in a field; the reply is the sum. */
  hIncrByFloat(key: Word, field: Word, by: number): Added<number | null, V, R> {
    return this.write(r.number, "HINCRBYFLOAT", key, field, by);
  }

  // Lists and streams

  /** Puts elements before a list; the reply is its length. */
  lPush(key: Word, elements: Keys): Added<number, V, R> {
    return this.write(r.count, "LPUSH", key, ...listed(elements));
  }
  /** Puts elements behind a list; the reply is its length. */
  rPush(key: Word, elements: Keys): Added<number, V, R> {
    return this.write(r.count, "RPUSH", key, ...listed(elements));
  }
  /** As `lPush`, if there is a list. */
  lPushX(key: Word, elements: Keys): Added<number, V, R> {
    return this.write(r.count, "LPUSHX", key, ...listed(elements));
  }
  /** As `rPush`, if there is a list. */
  rPushX(key: Word, elements: Keys): Added<number, V, R> {
    return this.write(r.count, "RPUSHX", key, ...listed(elements));
  }
  /** Takes the first element. */
  lPop(key: Word): Added<V | null, V, R> {
    return this.write(r.one, "LPOP", key);
  }
  /** Takes the last element. */
  rPop(key: Word): Added<V | null, V, R> {
    return this.write(r.one, "RPOP", key);
  }
  /** Replaces an element. */
  lSet(key: Word, index: number, element: Word): Added<"OK" | null, V, R> {
    return this.write(r.ok, "LSET", key, index, element);
  }
  /** Removes elements that are equal to one; the reply is how many. */
  lRem(key: Word, count: number, element: Word): Added<number, V, R> {
    return this.write(r.count, "LREM", key, count, element);
  }
  /** Keeps the elements from `start` to `stop`, both included. */
  lTrim(key: Word, start: number, stop: number): Added<"OK" | null, V, R> {
    return this.write(r.ok, "LTRIM", key, start, stop);
  }
  /** Puts an element before or behind another; the reply is the list's length, -1 if it is not. */
  lInsert(key: Word, where: "BEFORE" | "AFTER", pivot: Word, element: Word): Added<number, V, R> {
    const side = choice("where", where, ["BEFORE", "AFTER"]);
    return this.write(r.count, "LINSERT", key, side, pivot, element);
  }
  /** Puts an entry behind a stream; the reply is its id. */
  xAdd(key: Word, id: string, fields: Pairs): Added<string, V, R> {
    return this.write(r.text, "XADD", key, id, ...paired("xAdd", fields));
  }
  /** Deletes entries of a stream; the reply is how many there were. */
  xDel(key: Word, ids: Keys): Added<number, V, R> {
    return this.write(r.count, "XDEL", key, ...listed(ids));
  }

  // Sets and sorted sets

  /** Adds members; the reply is how many are new. */
  sAdd(key: Word, members: Keys): Added<number, V, R> {
    return this.write(r.count, "SADD", key, ...listed(members));
  }
  /** Removes members; the reply is how many there were. */
  sRem(key: Word, members: Keys): Added<number, V, R> {
    return this.write(r.count, "SREM", key, ...listed(members));
  }
  /** Takes any member. */
  sPop(key: Word): Added<V | null, V, R> {
    return this.write(r.one, "SPOP", key);
  }
  /** Adds members, or changes their scores; the reply is how many are new. */
  zAdd(key: Word, members: Scores | readonly Scores[], options?: ZAddOptions): Added<number, V, R> {
    const given = checked("options", options, ["NX", "XX", "GT", "LT", "CH"]);
    const words = [...named("zAdd", given, "NX", "XX"), ...named("zAdd", given, "GT", "LT")];
    if (given.CH === true) words.push("CH");
    const all = Array.isArray(members) ? (members as readonly Scores[]) : [members as Scores];
    const scores = all.flatMap(({ score, value }) => [score_(score), value]);
    return this.write(r.count, "ZADD", key, ...words, ...scores);
  }
  /** Adds to the score of a member; the reply is the sum. */
  zIncrBy(key: Word, by: number, member: Word): Added<number | null, V, R> {
    return this.write(r.number, "ZINCRBY", key, score_(by), member);
  }
  /** Removes members; the reply is how many there were. */
  zRem(key: Word, members: Keys): Added<number, V, R> {
    return this.write(r.count, "ZREM", key, ...listed(members));
  }
  /** Removes the members from rank `start` to `stop`; the reply is how many. */
  zRemRangeByRank(key: Word, start: number, stop: number): Added<number, V, R> {
    return this.write(r.count, "ZREMRANGEBYRANK", key, start, stop);
  }
  /** Removes the members with a score from `min` to `max`; the reply is how many. */
  zRemRangeByScore(key: Word, min: Word, max: Word): Added<number, V, R> {
    return this.write(r.count, "ZREMRANGEBYSCORE", key, min, max);
  }
  /** Takes the members with the lowest scores. */
  zPopMinCount(key: Word, count: number): Added<r.Scored<V>[], V, R> {
    return this.write(r.scored, "ZPOPMIN", key, count);
  }
  /** Takes the members with the highest scores. */
  zPopMaxCount(key: Word, count: number): Added<r.Scored<V>[], V, R> {
    return this.write(r.scored, "ZPOPMAX", key, count);
  }
}

/** A member of a sorted set to be. */
export interface Scores {
  readonly score: number;
  readonly value: Word;
}

const EXPIRIES = ["EX", "PX", "EXAT", "PXAT"] as const;

function score_(value: number): Word {
  if (value === Infinity) return "+inf";
  return value === -Infinity ? "-inf" : value;
}

/** The names of the flags that are set, as words. Throws `InvalidArgument` for two. */
function named(what: string, given: object, ...names: string[]): Word[] {
  const set = names.filter((name) => (given as Record<string, unknown>)[name] === true);
  if (set.length > 1) throw invalid(`${what}: ${set.join(" and ")} exclude each other`);
  return set;
}

function expiry(given: Expiry, flag: string): Word[] {
  const ends = EXPIRIES.filter((name) => given[name] !== undefined);
  const words = ends.flatMap((name): Word[] => {
    const at = given[name] ?? 0;
    return [name, moment(at, name === "EXAT" ? 1000 : 1)];
  });
  const more = named("options", given, flag);
  if (ends.length + more.length > 1) {
    throw invalid(`options: ${[...ends, ...more].join(" and ")} exclude each other`);
  }
  return [...words, ...more];
}

function moment(at: number | Date, unit: number): number {
  return at instanceof Date ? Math.floor(at.getTime() / unit) : at;
}

function when(mode: ExpireMode | undefined): Word[] {
  return mode === undefined ? [] : [choice("mode", mode, ["NX", "XX", "GT", "LT"])];
}

function paired(what: string, pairs: Pairs): Word[] {
  if (typeof pairs !== "object" || pairs === null) {
    throw invalid(`${what} takes an object, a Map or pairs`);
  }
  const entries = Symbol.iterator in pairs ? [...pairs] : Object.entries(pairs);
  if (entries.length === 0) throw invalid(`${what}: there are no fields`);
  return entries.flatMap(([field, value]): Word[] => [field, value]);
}
