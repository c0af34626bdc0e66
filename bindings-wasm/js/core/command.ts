/** One Redis command, rendered. Send it once, before `deadline`, and report what came of it. */
export interface Command {
  /** What to pass to `handleReply` or `handleFailure`. */
  readonly request: number;
  /** The number of the node it goes to. */
  readonly node: number;
  /** `"subscribe"`: open the push connection and send it there. */
  readonly route: "node" | "subscribe";
  /** The lock, counter, transaction or call it serves; null is background work of the core. */
  readonly origin: number | null;
  /** When to give up, in microseconds of the host's clock. */
  readonly deadline: number;
  /** The command's name and its arguments. They share one buffer: copy what is kept. */
  readonly argv: readonly Uint8Array[];
}
