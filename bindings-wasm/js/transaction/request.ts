import { type Bytes, readable } from "../bytes.js";
import type { RawTransactionOptions } from "../core/options.js";
import type { Reply } from "../core/reply.js";
import type { Expectation, Words } from "../core/words.js";
import { invalid } from "../errors.js";
import {
  choice,
  flag,
  MAX_TIMEOUT,
  millis,
  MIN_TIMEOUT,
  options as checked,
  someMillis,
  whole,
} from "../units.js";
import type { Signal } from "../platform.js";

/** How a transaction is executed. Spans are milliseconds. */
export interface TransactionOptions {
  /**
   * `"applied"`: done when plain readers see all of it; `"decided"`: a round trip sooner, when it is
   * certain. `"applied"`.
   */
  ack?: "applied" | "decided" | undefined;
  /** After how many milliseconds it is given up undecided, 10 to 60,000; the coordinator's. */
  timeout?: number | undefined;
  /**
   * After how many milliseconds other clients may take it for abandoned and see to its end, 10 to
   * 60,000.
   */
  patience?: number | undefined;
  /** How large a collection that has to be copied to be changed may be, in elements; 10,000. */
  copyElements?: number | undefined;
  /** How large a string that has to be copied to be changed may be, in bytes; 1 MiB. */
  copyBytes?: number | undefined;
  /** Whether values come back as `Uint8Array` rather than strings; false. */
  bytes?: boolean | undefined;
  /**
   * Has it wait for replicas of its servers once it is applied, so that a failover to one of them
   * loses nothing of it. Only with `ack: "applied"`, and not over HTTP.
   */
  durability?: Wait | undefined;
}

/**
 * How replicas are waited for. Where too few are known to have it in time, it is committed all the
 * same: `Transaction.replicas` says how many have, and a warning names the server.
 */
export interface Wait {
  /** How many of each server's are to have all of it, 1 to 64; 1. */
  replicas?: number | undefined;
  /** Milliseconds that they are waited for, 10 to 60,000; 1,000. */
  timeout?: number | undefined;
}

/** The same with values as they are. */
export type BytesOption = TransactionOptions & { bytes: true };

/** Options that were checked. */
export interface Settings {
  readonly core: RawTransactionOptions;
  /** What a value becomes. */
  readonly value: (bytes: Uint8Array) => Bytes;
}

/** One transaction for the core. */
export interface Request {
  readonly commands: readonly Words[];
  readonly expectations: readonly Expectation[];
}

/** What came of one. */
export interface Committed {
  readonly id: string;
  readonly replies: Reply[] | null;
  readonly replicas: number | null;
}

/** Has a transaction executed. */
export type Ask = (
  request: Request,
  settings: Settings,
  signal: Signal | undefined,
) => Promise<Committed>;

const OPTIONS = ["ack", "timeout", "patience", "copyElements", "copyBytes", "bytes", "durability"];
const MAX_COPY = 2 ** 32 - 1;
const MAX_REPLICAS = 64;

/** Options, checked. Those named in `more` are somebody else's. */
export function settings(
  options: TransactionOptions | undefined,
  more: readonly string[] = [],
): Settings {
  const given = checked("options", options, [...OPTIONS, ...more]);
  const core: RawTransactionOptions = {};
  if (given.ack !== undefined) core.ack = choice<"applied" | "decided">("ack", given.ack, ["applied", "decided"]);
  const timeout = someMillis("timeout", given.timeout, MIN_TIMEOUT, MAX_TIMEOUT);
  if (timeout !== null) core.timeoutUs = timeout;
  const patience = someMillis("patience", given.patience, MIN_TIMEOUT, MAX_TIMEOUT);
  if (patience !== null) core.patienceUs = patience;
  const { copyElements, copyBytes } = given;
  if (copyElements !== undefined) {
    core.copyElements = whole("copyElements", copyElements, 0, MAX_COPY);
  }
  if (copyBytes !== undefined) core.copyBytes = whole("copyBytes", copyBytes, 0, MAX_COPY);
  if (given.durability !== undefined) {
    if (core.ack === "decided") {
      throw invalid('durability waits for what is applied: with ack "applied"');
    }
    core.durability = waitOf(given.durability);
  }
  // A copy: a reply is a part of what crossed from the core.
  return { core, value: flag("bytes", given.bytes, false) ? (bytes) => bytes.slice() : readable };
}

function waitOf(durability: Wait): { replicas: number; timeoutUs: number } {
  const { replicas = 1, timeout = 1000 } = checked("durability", durability, ["replicas", "timeout"]);
  return {
    replicas: whole("durability.replicas", replicas, 1, MAX_REPLICAS),
    timeoutUs: millis("durability.timeout", timeout, MIN_TIMEOUT, MAX_TIMEOUT),
  };
}
