/** Tells people what no caller is there to be told. */

import { readable } from "./bytes.js";
import type { Logger } from "./client.js";
import { queueMicrotask } from "./clock.js";
import type { Event } from "./core/events.js";
import { invalid, kindOf } from "./errors.js";

/** How long somebody must have waited for a lock for that to be said. */
const LONG_US = 10_000_000;

interface Process {
  readonly pid?: number;
  readonly env?: Readonly<Record<string, string | undefined>>;
  getBuiltinModule?(name: "node:os"): { hostname(): string } | undefined;
  emitWarning?(text: string, type: string): void;
}

const here = (globalThis as { process?: Process }).process;

/** A label has at most 256 bytes. */
const MAX_HOST = 200;

/** How people are told: of what happens, and of what somebody has to see to. */
export interface Teller {
  readonly say: (line: string) => void;
  readonly warn: (line: string, kind?: string) => void;
}

/** A warning: Node's own kind where there is Node, on the console elsewhere. */
function warn(text: string, kind = "ComityWarning"): void {
  if (here?.emitWarning !== undefined) here.emitWarning(text, kind);
  else console.warn(`comity: ${text}`);
}

/** Has a user's logger say lines, away from all that it could throw into; without one, warnings only. */
export function tellerOf(logger: Logger | undefined): Teller {
  if (logger === undefined) return { say: () => {}, warn };
  const { info } = (logger ?? {}) as Partial<Logger>;
  if (typeof info !== "function") {
    throw invalid(`logger must have a function 'info', as console has, and is ${kindOf(logger)}`);
  }
  return {
    say: (line) => queueMicrotask(() => logger.info(`comity: ${line}`)),
    warn: (line) =>
      queueMicrotask(() => {
        if (typeof logger.warn === "function") logger.warn(`comity: ${line}`);
        else logger.info(`comity: ${line}`);
      }),
  };
}

/** What people are told of an event; null of most. `waited`: how long somebody had, in microseconds. */
export function lineOf(event: Event, server: (node: number) => string, waited: number): string | null {
  switch (event.kind) {
    case "nodeDown": {
      const lost = `the server ${server(event.node)} is lost: ${event.error.message}`;
      const { waiting } = event;
      return waiting === 0 ? lost : `${lost}; what waits for a lock there waits on (${waiting})`;
    }
    case "nodeUp":
      return `the server ${server(event.node)} is back after ${(event.outageUs / 1e6).toFixed(3)} s`;
    case "lockLost":
      return event.error.message;
    case "lockGranted": {
      if (waited < LONG_US) return null;
      return `lock '${readable(event.name)}' is granted after a wait of ${(waited / 1e6).toFixed(1)} s`;
    }
    case "transactionUnknown":
      return `transaction ${event.id} is in doubt: ${event.error.message}`;
    default:
      return null;
  }
}

/** What a holder is called where it has no label: host and process, or a browser's page. */
export function ownLabel(): string {
  if (here?.pid !== undefined) return `${hostName().slice(0, MAX_HOST)}:${here.pid}`;
  const bytes = crypto.getRandomValues(new Uint8Array(3));
  return `browser:${Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("")}`;
}

/** This machine's name, `node` where it is not told. */
function hostName(): string {
  try {
    // Without an import, which is not for bundlers; Node has this since 20.16.
    const name = here?.getBuiltinModule?.("node:os")?.hostname();
    return name ?? here?.env?.["HOSTNAME"] ?? "node";
  } catch {
    // Deno asks its user first.
    return "node";
  }
}
