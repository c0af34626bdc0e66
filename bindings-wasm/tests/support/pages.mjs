// A static server for pages, and the browser that looks at them.

import { readFile } from "node:fs/promises";
import http from "node:http";
import { once } from "node:events";
import { extname, join, normalize } from "node:path";
import { chromium } from "playwright-core";
import { cleanup } from "./cleanup.mjs";

const TYPES = {
  ".html": "text/html; charset=utf-8",
  ".js": "text/javascript; charset=utf-8",
  ".css": "text/css; charset=utf-8",
  ".svg": "image/svg+xml",
  ".wasm": "application/wasm",
};

/**
 * Serves folders: `{ "/": folder, "/comity/": another }`; the longest beginning of a path counts.
 * Pages whose name is in `headers` are sent with those.
 */
export async function serve(t, folders, headers = {}) {
  const server = http.createServer(async (request, response) => {
    const path = normalize(decodeURIComponent(new URL(request.url, "http://x/").pathname));
    const mount = Object.keys(folders)
      .filter((start) => path.startsWith(start))
      .sort((a, b) => b.length - a.length)[0];
    const rest = path.slice(mount?.length);
    const file = join(folders[mount] ?? "", rest === "" ? "index.html" : rest);
    try {
      const body = await readFile(file);
      response.writeHead(200, {
        "Content-Type": TYPES[extname(file)] ?? "text/plain",
        ...headers[path],
      });
      response.end(body);
    } catch {
      // Browsers ask for an icon of their own accord.
      response.writeHead(path === "/favicon.ico" ? 204 : 404).end();
    }
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  cleanup(t, () => {
    server.closeAllConnections();
    server.close();
  });
  return `http://127.0.0.1:${server.address().port}`;
}

/** Debian's Chromium, which talks to nobody by itself. */
export async function browser(t) {
  const started = await chromium.launch({
    executablePath: process.env.COMITY_CHROMIUM ?? "/usr/bin/chromium",
    args: ["--no-sandbox", "--disable-background-networking", "--disable-component-update"],
  });
  cleanup(t, () => started.close());
  return started;
}

/** A page whose own errors fail the test, but for those that `expected` matches. */
export async function open(t, browser, url, options = {}, expected = /^$/) {
  const page = await browser.newPage(options);
  const errors = [];
  page.on("pageerror", (error) => errors.push(error));
  page.on("console", (message) => {
    if (message.type() === "error" && !expected.test(message.text()))
      errors.push(new Error(message.text()));
  });
  cleanup(t, () => {
    if (errors.length > 0) throw errors[0];
  });
  await page.goto(url);
  return page;
}
