/** Hears of objects that nobody has any more, where the engine tells. */

const registry =
  typeof FinalizationRegistry === "undefined"
    ? null
    : new FinalizationRegistry<() => void>((then) => then());

/** Calls `then`, which must not lead to `target`, some time after nothing leads there any more. */
export function onceDropped(target: object, then: () => void): void {
  registry?.register(target, then);
}

const kept = new WeakMap<object, object>();

/** Has `who` lead to `what`. */
export function keeps(who: object, what: object): void {
  kept.set(who, what);
}

/** Leads to an object without keeping it, where the engine can. */
export function weakly<T extends object>(target: T): { deref(): T | undefined } {
  return typeof WeakRef === "undefined" ? { deref: () => target } : new WeakRef(target);
}
