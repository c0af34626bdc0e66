/** Tells people what no caller is there to be told. */

interface Process {
  readonly pid?: number;
  readonly env?: Readonly<Record<string, string | undefined>>;
  getBuiltinModule?(name: "node:os"): { hostname(): string } | undefined;
  emitWarning?(text: string, type: string): void;
}

const here = (globalThis as { process?: Process }).process;

/** A label has at most 256 bytes. */
const MAX_HOST = 200;

/** A warning: Node's own kind where there is Node, on the console elsewhere. */
export function warn(text: string, kind = "ComityWarning"): void {
  if (here?.emitWarning !== undefined) here.emitWarning(text, kind);
  else console.warn(`comity: ${text}`);
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
