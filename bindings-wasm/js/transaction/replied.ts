/** The types of the replies of a transaction, which follow from its commands. Types alone. */

import type { Bytes } from "../bytes.js";
import type { Transaction } from "./transaction.js";

/**
 * A transaction with one command more, whose reply is a `T`. `R` is unknown[] before the first of a
 * chain.
 */
export type Added<T, V extends Bytes, R extends readonly unknown[]> = Transaction<
  V,
  number extends R["length"] ? [T] : [...R, T]
>;

/** What `execute` gives: each may be gone. */
export type Replies<R extends readonly unknown[]> = { -readonly [Place in keyof R]: R[Place] | null };

/** The replies of the chain that a function returned; of anything else nothing is known. */
export type Returned<X> = Awaited<X> extends Transaction<Bytes, infer R> ? Replies<R> : unknown[];
