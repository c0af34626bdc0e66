import type { Bytes, Word } from "../bytes.js";
import * as r from "./replies.js";
import type { Added } from "./replied.js";

/** The keys of commands that take one or several. */
export type Keys = Word | readonly Word[];

/** Several words as a list. */
export function listed(words: Keys): readonly Word[] {
  return Array.isArray(words) ? words : [words as Word];
}

/**
 * What a read gives: in a buffer the transaction itself, whose replies come with all others; at
 * once a promise of the value.
 */
export interface Modes<T, V extends Bytes, R extends readonly unknown[]> {
  buffered: Added<T, V, R>;
  now: Promise<T>;
}
/** One of them. */
export type Mode = "buffered" | "now";

/** A range by rank, by score or by name. */
export interface RangeOptions {
  /** How `min` and `max` are meant: ranks if left out. */
  BY?: "SCORE" | "LEX" | undefined;
  /** From the highest to the lowest. */
  REV?: boolean | undefined;
  /** A part of what is found. */
  LIMIT?: { offset: number; count: number } | undefined;
}

/**
 * The commands that only read, named as in node-redis. Keys and values are strings, `Uint8Array`,
 * numbers or `bigint`; `V` is what values come back as, `R` what the replies of the commands before
 * are, where those are buffered.
 */
export abstract class Reads<M extends Mode, V extends Bytes, R extends readonly unknown[]> {
  /** Not for users. */
  protected abstract read<T>(
    convert: r.Convert<T, V>,
    ...words: readonly Word[]
  ): Modes<T, V, R>[M];

  /** The string at `key`. */
  get(key: Word) {
    return this.read<V | null>(r.one, "GET", key);
  }
  /** The strings at these keys, which lie on one server. */
  mGet(keys: readonly Word[]) {
    return this.read<(V | null)[]>(r.many, "MGET", ...keys);
  }
  /** How many of these keys, which lie on one server, exist. */
  exists(keys: Keys) {
    return this.read<number>(r.count, "EXISTS", ...listed(keys));
  }
  /** `"string"`, `"hash"` and so on; `"none"` where there is none. */
  type(key: Word) {
    return this.read<string>(r.text, "TYPE", key);
  }
  /** How many bytes the string has. */
  strLen(key: Word) {
    return this.read<number>(r.count, "STRLEN", key);
  }
  /** The bytes from `start` to `end`, both included. */
  getRange(key: Word, start: number, end: number) {
    return this.read<V | null>(r.one, "GETRANGE", key, start, end);
  }
  /** The bit at `offset`. */
  getBit(key: Word, offset: number) {
    return this.read<number>(r.count, "GETBIT", key, offset);
  }
  /** How many bits are set. */
  bitCount(key: Word, range?: { start: number; end: number }) {
    const part = range === undefined ? [] : [range.start, range.end];
    return this.read<number>(r.count, "BITCOUNT", key, ...part);
  }

  /** A field of a hash. */
  hGet(key: Word, field: Word) {
    return this.read<V | null>(r.one, "HGET", key, field);
  }
  /** Several fields of a hash. */
  hmGet(key: Word, fields: Keys) {
    return this.read<(V | null)[]>(r.many, "HMGET", key, ...listed(fields));
  }
  /** A hash as a `Map`. */
  hGetAll(key: Word) {
    return this.read<Map<V, V>>(r.fields, "HGETALL", key);
  }
  /** Whether a hash has a field. */
  hExists(key: Word, field: Word) {
    return this.read<boolean>(r.flag, "HEXISTS", key, field);
  }
  /** How many fields a hash has. */
  hLen(key: Word) {
    return this.read<number>(r.count, "HLEN", key);
  }
  /** The fields of a hash. */
  hKeys(key: Word) {
    return this.read<V[]>(r.list, "HKEYS", key);
  }
  /** The values of a hash. */
  hVals(key: Word) {
    return this.read<V[]>(r.list, "HVALS", key);
  }
  /** How many bytes a field has. */
  hStrLen(key: Word, field: Word) {
    return this.read<number>(r.count, "HSTRLEN", key, field);
  }

  /** How long a list is. */
  lLen(key: Word) {
    return this.read<number>(r.count, "LLEN", key);
  }
  /** An element of a list. */
  lIndex(key: Word, index: number) {
    return this.read<V | null>(r.one, "LINDEX", key, index);
  }
  /** The elements from `start` to `stop`, both included. */
  lRange(key: Word, start: number, stop: number) {
    return this.read<V[]>(r.list, "LRANGE", key, start, stop);
  }
  /** How long a stream is. */
  xLen(key: Word) {
    return this.read<number>(r.count, "XLEN", key);
  }

  /** How many members a set has. */
  sCard(key: Word) {
    return this.read<number>(r.count, "SCARD", key);
  }
  /** Whether a set has a member. */
  sIsMember(key: Word, member: Word) {
    return this.read<boolean>(r.flag, "SISMEMBER", key, member);
  }
  /** Which of these a set has. */
  smIsMember(key: Word, members: readonly Word[]) {
    return this.read<boolean[]>(r.flags, "SMISMEMBER", key, ...members);
  }
  /** The members of a set. */
  sMembers(key: Word) {
    return this.read<V[]>(r.list, "SMEMBERS", key);
  }

  /** How many members a sorted set has. */
  zCard(key: Word) {
    return this.read<number>(r.count, "ZCARD", key);
  }
  /** How many members have a score from `min` to `max`. */
  zCount(key: Word, min: Word, max: Word) {
    return this.read<number>(r.count, "ZCOUNT", key, min, max);
  }
  /** The score of a member. */
  zScore(key: Word, member: Word) {
    return this.read<number | null>(r.number, "ZSCORE", key, member);
  }
  /** The scores of several members. */
  zmScore(key: Word, members: Keys) {
    return this.read<(number | null)[]>(r.numbers, "ZMSCORE", key, ...listed(members));
  }
  /** How many members are below this one. */
  zRank(key: Word, member: Word) {
    return this.read<number | null>(r.number, "ZRANK", key, member);
  }
  /** How many members are above this one. */
  zRevRank(key: Word, member: Word) {
    return this.read<number | null>(r.number, "ZREVRANK", key, member);
  }
  /** The members from `min` to `max`. */
  zRange(key: Word, min: Word, max: Word, options?: RangeOptions) {
    return this.read<V[]>(r.list, "ZRANGE", key, min, max, ...range(options));
  }
  /** The same with their scores. */
  zRangeWithScores(key: Word, min: Word, max: Word, options?: RangeOptions) {
    const words = [...range(options), "WITHSCORES"];
    return this.read<r.Scored<V>[]>(r.scored, "ZRANGE", key, min, max, ...words);
  }
}

function range(options: RangeOptions | undefined): Word[] {
  const words: Word[] = [];
  if (options?.BY !== undefined) words.push(`BY${options.BY}`);
  if (options?.REV === true) words.push("REV");
  if (options?.LIMIT !== undefined) words.push("LIMIT", options.LIMIT.offset, options.LIMIT.count);
  return words;
}
