/** Upstash's REST API: many commands for each request, in JSON. */

import type { Reply } from "../core/reply.js";
import { ErrorReply } from "../core/reply.js";
import type { Gateway, Post } from "./gateway.js";
import { TextDecoder } from "../utf8.js";

const strict = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

/** What goes with each request: bytes come back as base64. */
export const UPSTASH_HEADERS = {
  "Content-Type": "application/json",
  "Upstash-Encoding": "base64",
};

/** A gateway that speaks as Upstash does. */
export function upstash(post: Post): Gateway {
  return {
    most: 100,

    encode(argv) {
      try {
        return JSON.stringify(argv.map((word) => strict.decode(word)));
      } catch {
        return new ErrorReply(
          "DENIED this gateway carries text only, and the command has bytes that are not UTF-8",
        );
      }
    },

    async exchange(commands, signal) {
      const response = await post(`[${commands.join()}]`, signal);
      const answers: unknown = await response.json();
      if (!Array.isArray(answers) || answers.length !== commands.length) {
        throw new Error("the gateway did not answer every command");
      }
      return answers.map(replyOf);
    },
  };
}

function replyOf(answer: { result?: unknown; error?: unknown }): Reply {
  return typeof answer?.error === "string" ? new ErrorReply(answer.error) : decoded(answer?.result);
}

function decoded(value: unknown): Reply {
  // The one string that comes as it is.
  if (value === null || value === "OK") return value;
  if (typeof value === "string") return Uint8Array.from(atob(value), (c) => c.charCodeAt(0));
  if (Array.isArray(value)) return value.map(decoded);
  if (Number.isSafeInteger(value)) return value as number;
  // JSON.parse has rounded it.
  throw new Error(`a reply is no string, list or exact integer: ${typeof value}`);
}
