// What every page does with comity: a ring of two servers behind Webdis, and a Python process that
// does the same at the same time.

/** `comity` is the package, `urls` are the gateways by the ids of their servers. */
export async function scenario(comity, urls, rounds) {
  const { connect, http } = comity;
  const clients = Object.entries(urls).map(([id, url]) => [id, http(url, { dialect: "webdis" })]);
  const co = await connect(Object.fromEntries(clients));
  const hits = co.counter("hits");
  const [first] = Object.values(urls);
  const ask = async (command) => (await fetch(first, { method: "POST", body: command })).json();
  for (let round = 0; round < rounds; round += 1) {
    await co.withLock("fight", { ttl: 5_000 }, async (held) => {
      const { GET: tally } = await ask("GET/tally");
      await ask(`RPUSH/fences/${held.fence}`);
      await ask(`SET/tally/${Number(tally ?? 0) + 1}`);
    });
    await co.runTransaction(["alice", "bob"], (tx) => tx.incrBy("alice", -1).incrBy("bob", 1));
    hits.add(1);
  }
  await hits.flush();
  const owners = Array.from({ length: 50 }, (_, key) => co.ring.node(`user:${key}`));
  const bytes = Uint8Array.from({ length: 256 }, (_, byte) => byte);
  await co.transaction((tx) => tx.set(bytes, bytes));
  const [back] = await co.snapshot([bytes], { bytes: true });
  const same = back.length === 256 && back.every((byte, at) => byte === at);
  await co.close();
  const alone = await connect();
  const held = await alone.withLock("job", (lock) => lock.held);
  await alone.close();
  let code = null;
  try {
    await co.lock("x").acquire();
  } catch (error) {
    code = error instanceof comity.ComityError && error.code;
  }
  return { owners, same, held, code };
}
