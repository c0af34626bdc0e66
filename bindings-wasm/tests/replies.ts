// The replies of transactions have the types of their commands: checked by `tsc --strict`.

import { connect, type Transaction } from "comity";

type Same<A, B> = (<T>() => T extends A ? 1 : 2) extends <T>() => T extends B ? 1 : 2 ? true : false;
/** That two types are one. */
function same<A, B>(_: Same<A, B>): void {}

type Integer = number | bigint | null;

export async function main(keys: string[]): Promise<void> {
  const co = await connect();

  const chain = await co
    .transaction()
    .incr("n")
    .get("s")
    .set("s", 1)
    .set("s", 2, { GET: true })
    .setNX("s", 1)
    .hGetAll("h")
    .zRangeWithScores("z", 0, -1)
    .zIncrBy("z", 1, "m")
    .lRange("l", 0, -1)
    .del(["a"])
    .command("OBJECT", "ENCODING", "k")
    .execute();
  same<
    typeof chain,
    [
      Integer,
      string | null,
      "OK" | null,
      string | null,
      boolean | null,
      Map<string, string> | null,
      { readonly value: string; readonly score: number }[] | null,
      number | null,
      string[] | null,
      number | null,
      unknown,
    ]
  >(true);

  const binary = await co.transaction({ bytes: true }).get("s").hKeys("h").execute();
  same<typeof binary, [Uint8Array | null, Uint8Array[] | null]>(true);

  const called = await co.transaction((tx) => tx.incrBy("a", 1n).exists("b"));
  same<typeof called, [Integer, number | null]>(true);
  const later = await co.transaction(async (tx) => tx.get("a"));
  same<typeof later, [string | null]>(true);
  const bytes = await co.transaction((tx) => tx.get("a"), { bytes: true });
  same<typeof bytes, [Uint8Array | null]>(true);
  const run = await co.runTransaction("a", (tx) => tx.check("a", { exists: true }).sAdd("s", "m"));
  same<typeof run, [number | null]>(true);
  const watched = await co.runTransaction("a", async (tx, seen) => {
    tx.set("b", (await seen.get("a")) ?? "");
  });
  same<typeof watched, unknown[]>(true);

  // What was written before there were types.
  const tx = co.transaction();
  tx.incr("a").get("b");
  const both = await tx.execute();
  same<typeof both, unknown[]>(true);
  const given = await tx.incr("a").execute<[number]>();
  same<typeof given, [number]>(true);
  const said = await co.transaction<[number, string | null]>((one) => one.incr("a").get("b"));
  same<typeof said, [number, string | null]>(true);
  const again = await co.runTransaction<[string]>("a", (one) => void one.get("a"));
  same<typeof again, [string]>(true);
  const untyped: unknown[] = await co.transaction((one) => one.incr("a"));
  let grown = co.transaction();
  for (const key of keys) grown = grown.incr(key);
  const all = await grown.execute();
  same<typeof all, unknown[]>(true);
  const fill = (into: Transaction): Transaction => into.incr("a").get("b");
  fill(fill(co.transaction().get("c")));
  await co.transaction(fill);
  const loop = await co.transaction((one) => {
    for (const key of keys) one.incr(key);
    return one;
  });
  same<typeof loop, unknown[]>(true);
  await co.transaction((one: Transaction) => {
    one.incr("a");
  });

  // @ts-expect-error there are two replies
  void chain[11];
  // @ts-expect-error a reply may be gone
  void called[1].toFixed();
  void [untyped];
}
