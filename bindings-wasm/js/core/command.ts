/**
 * What a command goes over: a connection to its node; the push connection, which is opened for it; or
 * a connection that serves these commands alone, because they block it. All of the last kind that are
 * ready for a node leave in one write on one such connection, in their order, or are `notSent`.
 */
export type Route = "node" | "subscribe" | "blocking";

/** One Redis command, rendered. Send it once, before `deadline`, and report what came of it. */
export interface Command {
  /** What to pass to `handleReply` or `handleFailure`. */
  readonly request: number;
  /** The number of the node it goes to. */
  readonly node: number;
  /** What it goes over. */
  readonly route: Route;
  /** The lock, counter, transaction or call it serves; null is background work of the core. */
  readonly origin: number | null;
  /** When to give up, in microseconds of the host's clock. */
  readonly deadline: number;
  /** The command's name and its arguments. They share one buffer: copy what is kept. */
  readonly argv: readonly Uint8Array[];
}
