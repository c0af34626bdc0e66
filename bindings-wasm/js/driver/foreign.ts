/** What the adapters of node-redis and ioredis have in common. Node only. */

import { ErrorReply, type Reply } from "../core/reply.js";
import { Refused } from "./transport.js";

/** Node's `Buffer`, as far as it is used here: nothing of Node is imported, for the bundlers. */
interface Buffers {
  from(memory: ArrayBufferLike, offset: number, length: number): Uint8Array;
}

/** The class itself, by which node-redis is told what to make of strings. */
export function bufferClass(): Buffers {
  return (globalThis as unknown as { Buffer: Buffers }).Buffer;
}

/** The words of a command as the buffers that both clients want; nothing is copied. */
export function buffers(words: readonly Uint8Array[]): Uint8Array[] {
  const { from } = bufferClass();
  return words.map((word) => from(word.buffer, word.byteOffset, word.byteLength));
}

/** Text that is ASCII: names of commands and channels. */
export function ascii(bytes: Uint8Array): string {
  return String.fromCharCode(...bytes);
}

/**
 * A reply as the clients were told to make it. They give integers as strings, because as numbers
 * they would round those beyond 2^53, and simple strings as buffers, so that the two stay apart.
 */
export function replyOf(value: unknown): Reply {
  if (typeof value === "string") {
    const number = Number(value);
    return Number.isSafeInteger(number) ? number : BigInt(value);
  }
  if (Array.isArray(value)) return value.map(replyOf);
  return value as Reply;
}

/**
 * The server's words, if it is an error reply that was thrown.
 *
 * The classes are the client's own and their names do not survive minifying. But every error of a
 * server begins with a code in capitals or is empty, none of the clients' own does, and those of the
 * system and of TLS have a `code`.
 */
export function serverWords(error: unknown): string | undefined {
  if (!(error instanceof Error) || "code" in error || "syscall" in error) return undefined;
  return /^(?:[A-Z][A-Z0-9_]+(?: |$)|$)/.test(error.message) ? error.message : undefined;
}

/** For a command that was thrown at: the error reply, else the failure once more. */
export function replyOrThrow(error: unknown): ErrorReply {
  const words = serverWords(error);
  if (words === undefined) throw error;
  return new ErrorReply(words);
}

/**
 * Asks a new connection for a sign of life, which the clients do not: to them it is one before anything
 * was answered. Whatever a server says to that, it is one, and to other commands says so itself, unless
 * it hangs up with these words: throws `Refused` then.
 */
export async function greeted(ping: Promise<unknown>): Promise<void> {
  try {
    await ping;
  } catch (error) {
    const words = serverWords(error);
    if (words === undefined) throw error;
    if (words.startsWith("ERR max number of clients")) throw new Refused(words);
  }
}

/** For a connection that could not be made: `Refused`, where the server itself said no. */
export function refusedOr(error: unknown): unknown {
  const words = serverWords(error);
  return words === undefined ? error : new Refused(words);
}
