/** What the replies of a transaction's commands become. `V` is what a value of the user's is. */

import { readable } from "../bytes.js";
import type { Reply } from "../core/reply.js";
import { TextEncoder } from "../utf8.js";

/** Turns a server's reply into what the user gets. `value` turns a bulk string. */
export type Convert<T, V> = (reply: Reply, value: (bytes: Uint8Array) => V) => T;

/** Strings that the server sent as text or bytes are bytes from here on. */
function bytesOf(reply: Reply): Uint8Array | null {
  if (typeof reply === "string") return new TextEncoder().encode(reply);
  return reply instanceof Uint8Array ? reply : null;
}

/** As it came, with values turned. */
export function plain<V>(reply: Reply, value: (bytes: Uint8Array) => V): unknown {
  const bytes = bytesOf(reply);
  if (bytes !== null) return value(bytes);
  if (Array.isArray(reply)) return (reply as Reply[]).map((each) => plain(each, value));
  return reply;
}

/** A value, or null. */
export function one<V>(reply: Reply, value: (bytes: Uint8Array) => V): V | null {
  const bytes = bytesOf(reply);
  return bytes === null ? null : value(bytes);
}

/** Values and nulls. */
export function many<V>(reply: Reply, value: (bytes: Uint8Array) => V): (V | null)[] {
  return Array.isArray(reply) ? (reply as Reply[]).map((each) => one(each, value)) : [];
}

/** Values. */
export function list<V>(reply: Reply, value: (bytes: Uint8Array) => V): V[] {
  return many(reply, value).filter((each): each is Awaited<V> & NonNullable<V> => each !== null);
}

/** A number that came as an integer or as text; null where there is none. */
export function number(reply: Reply): number | null {
  const bytes = bytesOf(reply);
  if (bytes !== null) return parsed(readable(bytes));
  return typeof reply === "number" || typeof reply === "bigint" ? Number(reply) : null;
}

/** Numbers and nulls. */
export function numbers(reply: Reply): (number | null)[] {
  return Array.isArray(reply) ? (reply as Reply[]).map(number) : [];
}

/** A count: a number in any case. */
export function count(reply: Reply): number {
  return number(reply) ?? 0;
}

/** An integer, which a number may not hold exactly: a `bigint` beyond 2^53. */
export function integer(reply: Reply): number | bigint | null {
  return typeof reply === "number" || typeof reply === "bigint" ? reply : null;
}

/** True for 1. */
export function flag(reply: Reply): boolean {
  return reply === 1 || reply === true;
}

/** Flags. */
export function flags(reply: Reply): boolean[] {
  return Array.isArray(reply) ? (reply as Reply[]).map(flag) : [];
}

/** `"OK"`, or null where there was nothing to do. */
export function ok(reply: Reply): "OK" | null {
  return reply === null ? null : "OK";
}

/** Text for people, whatever values are. */
export function text(reply: Reply): string {
  const bytes = bytesOf(reply);
  return bytes === null ? "" : readable(bytes);
}

/** Fields and values that came one after the other. */
export function fields<V>(reply: Reply, value: (bytes: Uint8Array) => V): Map<V, V> {
  const items = list(reply, value);
  const map = new Map<V, V>();
  for (let at = 0; at + 1 < items.length; at += 2) map.set(items[at] as V, items[at + 1] as V);
  return map;
}

/** A member of a sorted set. */
export interface Scored<V> {
  readonly value: V;
  readonly score: number;
}

/** Members and scores that came one after the other. */
export function scored<V>(reply: Reply, value: (bytes: Uint8Array) => V): Scored<V>[] {
  if (!Array.isArray(reply)) return [];
  const items = reply as Reply[];
  const found: Scored<V>[] = [];
  for (let at = 0; at + 1 < items.length; at += 2) {
    const member = one(items[at] ?? null, value);
    if (member !== null) found.push({ value: member, score: count(items[at + 1] ?? null) });
  }
  return found;
}

function parsed(text: string): number {
  if (/inf(inity)?$/i.test(text)) return text.startsWith("-") ? -Infinity : Infinity;
  return Number(text);
}
