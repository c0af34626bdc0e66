// A user who may not have a key: the server's words at once, nothing done, and no doubt.

import assert from "node:assert/strict";
import { test } from "node:test";
import { connect } from "comity";
import { Redis } from "ioredis";
import { cleanup } from "./support/cleanup.mjs";
import { refuses } from "./support/refuses.mjs";
import { command, startRedis } from "./support/servers.mjs";

const FORBIDDEN = {
  write: (co) => co.transaction((tx) => tx.incr("secret")),
  read: (co) => co.transaction((tx) => tx.get("secret")),
  snapshot: (co) => co.snapshot("secret"),
};

for (const [verb, call] of Object.entries(FORBIDDEN)) {
  test(`a key that the user may not have: ${verb}`, async (t) => {
    const { port } = await startRedis(t);
    const rules = ["resetkeys", "~comity:*", "~open", "+@all", "&*"];
    await command(port, "ACL", "SETUSER", "app", "on", ">pw", ...rules);
    const client = new Redis({ port, username: "app", password: "pw", lazyConnect: true });
    // At once, and not at a timeout that would hold up the whole suite.
    const co = await connect(client, { timeout: 60_000 });
    cleanup(t, () => co.close());
    await co.transaction((tx) => tx.incr("open"));
    const error = await refuses("ServerRefused", /NOPERM/, call(co));
    assert.equal(error.node, 0);
    await co.transaction((tx) => tx.incr("open"));
    assert.equal(String(await command(port, "EXISTS", "secret")).includes("1"), false);
  });
}
