/** As `Symbol.asyncDispose`, which not every browser knows. */
export const asyncDispose: typeof Symbol.asyncDispose =
  Symbol.asyncDispose ??
  (Symbol.for("Symbol.asyncDispose") as unknown as typeof Symbol.asyncDispose);
