// An imitation of Upstash's REST API in front of a real Redis server, made after its documentation.

import { once } from "node:events";
import http from "node:http";
import { createClient, RESP_TYPES } from "redis";
import { cleanup } from "./cleanup.mjs";

/** Starts it for the Redis server on `redisPort`. */
export async function startUpstash(t, redisPort) {
  const token = "token-of-the-tests";
  const client = await createClient({
    socket: { host: "127.0.0.1", port: redisPort },
    RESP: 2,
    commandOptions: { typeMapping: { [RESP_TYPES.BLOB_STRING]: Buffer } },
  })
    .on("error", () => undefined)
    .connect();
  const server = http.createServer(async (request, response) => {
    const answer = (status, body) => {
      response.writeHead(status, { "Content-Type": "application/json" }).end(JSON.stringify(body));
    };
    const body = Buffer.concat(await request.toArray()).toString("utf8");
    if (request.headers.authorization !== `Bearer ${token}`) {
      return answer(401, { error: "Unauthorized" });
    }
    if (request.method !== "POST" || request.url !== "/pipeline") {
      return answer(400, { error: "ERR only /pipeline is imitated" });
    }
    const base64 = request.headers["upstash-encoding"] === "base64";
    const results = [];
    // One after the other, as a pipeline does.
    for (const command of JSON.parse(body)) {
      results.push(
        await client.sendCommand(command.map(String)).then(
          (result) => ({ result: shown(result, base64) }),
          (error) => ({ error: error.message }),
        ),
      );
    }
    return answer(200, results);
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  cleanup(t, () => {
    server.closeAllConnections();
    server.close();
    client.destroy();
  });
  return { url: `http://127.0.0.1:${server.address().port}`, token };
}

function shown(value, base64) {
  if (value === "OK") return value;
  if (typeof value === "string") return shown(Buffer.from(value), base64);
  if (Buffer.isBuffer(value)) return value.toString(base64 ? "base64" : "utf8");
  return Array.isArray(value) ? value.map((item) => shown(item, base64)) : value;
}
