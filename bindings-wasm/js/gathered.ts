/** What befalls many counters for one cause is one line, not one for each of them. */

import { readable } from "./bytes.js";

type Kind = "refused" | "regressed" | "lost" | "closed" | "journal";

/** For how many microseconds what has one cause is gathered before it is said. */
export const SPAN_US = 1_000_000;

/** What goes on: it is said once, until it befalls a counter anew, or has an end of its own. */
const LASTING: readonly Kind[] = ["refused", "regressed", "journal"];
/** Stands in a cause for the counter that it names. */
const EACH = "\0";

/** What befell one counter. */
export interface Tiding {
  readonly kind: Kind;
  readonly counter: number;
  readonly name: Uint8Array;
  readonly server?: string;
  readonly why?: string | undefined;
  readonly units?: bigint;
}

/** What has one cause. */
interface Episode {
  readonly kind: Kind;
  readonly server: string;
  readonly why: string;
  /** What each counter is called, and how many units of it. */
  readonly counters: Map<number, { readonly called: string; readonly units: bigint }>;
  said: boolean;
}

export class Gathered {
  readonly #episodes = new Map<string, Episode>();

  /** Takes one in. Whether it is the first for its cause, and has to be said soon. */
  put({ kind, counter, name, server = "", why: words = "", units = 0n }: Tiding): boolean {
    const called = calledFor(name);
    // The cause is the same for the others, though it names this one.
    const why = words.replaceAll(called, EACH);
    const cause = JSON.stringify([kind, server, why]);
    let episode = this.#episodes.get(cause);
    const again = episode?.said === true && episode.counters.has(counter);
    if (episode === undefined || (again && kind !== "journal")) {
      episode = { kind, server, why, counters: new Map(), said: false };
      this.#episodes.set(cause, episode);
    }
    const { counters } = episode;
    const first = counters.size === 0;
    counters.set(counter, { called, units: (counters.get(counter)?.units ?? 0n) + units });
    return first;
  }

  /** Why what this counter counts is not taken, where that was told. */
  why(counter: number): string | undefined {
    for (const { kind, why, counters } of this.#episodes.values()) {
      const one = kind === "refused" ? counters.get(counter) : undefined;
      if (one !== undefined) return why.replaceAll(EACH, one.called);
    }
    return undefined;
  }

  /** What was said of these kinds does not befall this counter any more. */
  over(counter: number, ...kinds: readonly Kind[]): void {
    for (const [cause, { kind, said, counters }] of this.#episodes) {
      if (!said || !kinds.includes(kind)) continue;
      counters.delete(counter);
      if (counters.size === 0) this.#episodes.delete(cause);
    }
  }

  /** The lines that are to be said now. */
  take(): string[] {
    const lines: string[] = [];
    for (const [cause, episode] of this.#episodes) {
      if (episode.said) continue;
      episode.said = true;
      lines.push(lineOf(episode));
      if (!LASTING.includes(episode.kind)) this.#episodes.delete(cause);
    }
    return lines;
  }
}

function calledFor(name: Uint8Array): string {
  return `counter '${readable(name)}'`;
}

function lineOf({ kind, server, why: words, counters }: Episode): string {
  const all = [...counters.values()];
  const only = all.length === 1 ? all[0]?.called : undefined;
  const what = only ?? `${all.length} counters`;
  const why = words.replaceAll(EACH, only ?? "each");
  const units = all.reduce((sum, one) => sum + one.units, 0n);
  switch (kind) {
    case "refused":
      return `the server ${server} does not take what is counted by ${what}: ${why}`;
    case "regressed":
      return `the server ${server} has lost acknowledged units of ${what}`;
    case "lost":
      return `${units} units of ${what} on the server ${server} are lost: ${why}`;
    case "closed": {
      const were = only === undefined ? "were" : "was";
      const because = why === "" ? "" : ` (${why})`;
      return (
        `${what} ${were} closed with ${units} units that the server ${server} has not ` +
        `acknowledged${because}: they may be counted or not`
      );
    }
    default:
      return `the journal of ${what} could not be written: ${why}`;
  }
}
