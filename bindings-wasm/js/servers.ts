/** What is known of a coordinator's servers: what they are called, and why one cannot be reached. */

import { readable } from "./bytes.js";
import type { Coordinator } from "./core/coordinator.js";
import { ComityError, ErrorCode } from "./errors.js";

/** The codes of what a server has done or not done: their words begin with its name. */
const OF_SERVER: readonly number[] = [
  ErrorCode.Unreachable,
  ErrorCode.NoAnswer,
  ErrorCode.ServerRefused,
  ErrorCode.Unsupported,
];

/** See the module. */
export class Servers {
  readonly #core: Coordinator;
  /** What the clients say of those that cannot be reached. */
  readonly #causes = new Map<number, unknown>();
  readonly #lost = new Map<number, string>();

  constructor(core: Coordinator) {
    this.#core = core;
  }

  /** The id of a node, for people. */
  name(node: number): string {
    return readable(this.#core.nodeId(node));
  }

  /** It does not answer any more. */
  lost(node: number, why: string): void {
    this.#lost.set(node, why);
  }

  /** Why it does not answer; nothing where it does. */
  why(node: number): string | undefined {
    return this.#lost.get(node);
  }

  /** It answers again. */
  up(node: number): void {
    this.#lost.delete(node);
  }

  /** No connection can be made, for what the client says. */
  away(node: number, cause: unknown): void {
    this.#causes.set(node, cause);
  }

  /** There is a connection. */
  connected(node: number): void {
    this.#causes.delete(node);
  }

  /** `error` of a node, anew so that the stack is that of who waited, in words that name the server. */
  told(error: ComityError, node: number): ComityError {
    const server = this.name(node);
    const words = OF_SERVER.includes(error.code) ? `${server}: ${error.message}` : error.message;
    const cause = error.code === ErrorCode.Unreachable ? this.#causes.get(node) : undefined;
    return Object.assign(new ComityError(error.code, words, { cause: cause ?? error }), { server, node });
  }
}
