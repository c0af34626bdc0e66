/** How `console.log` shows what is more than its fields, where it asks: Node, Bun, Deno. */

/** The method that is asked. */
export const show: unique symbol = Symbol.for("nodejs.util.inspect.custom") as never;

/** What it is asked with: how deep, how, and by what. */
export type Asked = readonly [
  depth: number,
  options: object,
  inspect?: (value: object, options: object) => string,
];

/** `name` and the fields that say something, if it can still tell them. */
export function shownAs(name: string, fields: () => object, [depth, options, inspect]: Asked): string {
  if (depth < 0 || inspect === undefined) return `[${name}]`;
  try {
    return `${name} ${inspect(fields(), options)}`;
  } catch {
    return `[${name}]`;
  }
}
