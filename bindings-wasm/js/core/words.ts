/** The commands and expectations of a transaction, as `src/transaction.rs` reads them. */

import { type Bytes, octets } from "../bytes.js";
import { invalid, kindOf } from "../errors.js";
import { writer } from "../pack.js";
import { writeReply } from "./codec.js";
import type { Reply } from "./reply.js";

/** A command: its name, its key and its arguments. */
export type Words = readonly Uint8Array[];

/** What must hold, or nothing of a transaction is applied. */
export type Expectation =
  /** The key holds this string. */
  | { readonly value: Bytes; readonly key: Bytes }
  /** The key exists, or does not. */
  | { readonly exists: boolean; readonly key: Bytes }
  /** This command, which only reads, is answered as it was. */
  | { readonly read: Words; readonly reply: Reply };

/** Commands as a run of bytes. Throws `InvalidArgument`. */
export function packedWords(commands: readonly Words[]): Uint8Array {
  if (!Array.isArray(commands)) throw invalid(`commands must be an array, not ${kindOf(commands)}`);
  const out = writer.begin().count(commands.length);
  (commands as Words[]).forEach((words, at) => out.words(checked(`commands[${at}]`, words)));
  return out.end();
}

/** Expectations as a run of bytes. Throws `InvalidArgument`. */
export function packedExpectations(expectations: readonly Expectation[]): Uint8Array {
  if (!Array.isArray(expectations)) {
    throw invalid(`expectations must be an array, not ${kindOf(expectations)}`);
  }
  const out = writer.begin().count(expectations.length);
  (expectations as Expectation[]).forEach((each, at) => {
    const name = `expectations[${at}]`;
    if (typeof each !== "object" || each === null) throw invalid(`${name} must be an object`);
    if ("read" in each) {
      out.byte(3).words(checked(`${name}.read`, each.read));
      writeReply(out, each.reply);
    } else if ("value" in each) {
      out.byte(0).bytes(octets(`${name}.key`, each.key));
      out.bytes(octets(`${name}.value`, each.value));
    } else if (each.exists === true || each.exists === false) {
      out.byte(each.exists ? 1 : 2).bytes(octets(`${name}.key`, each.key));
    } else {
      throw invalid(`${name} must have a value, a read, or exists: true or false`);
    }
  });
  return out.end();
}

function checked(name: string, words: Words): Words {
  if (!Array.isArray(words)) throw invalid(`${name} must be an array, not ${kindOf(words)}`);
  (words as Words).forEach((word, at) => {
    if (!(word instanceof Uint8Array)) octets(`${name}[${at}]`, word);
  });
  if (words.some((word) => typeof word === "string")) {
    throw invalid(`${name} must be of Uint8Arrays`);
  }
  return words;
}
