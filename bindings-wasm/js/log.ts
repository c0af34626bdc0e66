/** Tells people what no caller is there to be told. */

interface Process {
  readonly pid?: number;
  emitWarning?(text: string, type: string): void;
}

const here = (globalThis as { process?: Process }).process;

/** A warning: Node's own kind where there is Node, on the console elsewhere. */
export function warn(text: string): void {
  if (here?.emitWarning !== undefined) here.emitWarning(text, "ComityWarning");
  else console.warn(`comity: ${text}`);
}

/** What a holder is called where it has no label. */
export function ownLabel(): string {
  if (here?.pid !== undefined) return `node:${here.pid}`;
  const bytes = crypto.getRandomValues(new Uint8Array(3));
  return `browser:${Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("")}`;
}
