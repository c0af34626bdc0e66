/** An error as a server sent it, code word and all. */
export class ErrorReply {
  /** The server's words, for example `"READONLY You can't write against a read only replica."`. */
  readonly text: string;

  constructor(text: string) {
    this.text = text;
  }
}

/**
 * A server's reply, in RESP2 or RESP3: nil is `null`, a simple string a `string`, a bulk or verbatim
 * string a `Uint8Array` (a Node `Buffer` is one), an integer a safe integer or a `bigint`, an array
 * or push an array, a double another `number`, an error reply an `ErrorReply`.
 */
export type Reply =
  | null
  | string
  | Uint8Array
  | number
  | bigint
  | boolean
  | ErrorReply
  | readonly Reply[]
  | ReadonlySet<Reply>
  | ReadonlyMap<Reply, Reply>;
