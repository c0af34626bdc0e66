// Makes of the sources in js/ and of the module in dist/raw/ what is published: dist/esm for
// browsers and bundlers, dist/cjs for Node, and dist/node, by which both of Node's kinds of modules
// share one instance. Usage: node pack/package.mjs

import { execFileSync } from "node:child_process";
import { cpSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { gzipSync } from "node:zlib";
import { buildSync } from "esbuild";

const root = join(dirname(fileURLToPath(import.meta.url)), "..");
const at = (...parts) => join(root, ...parts);
const ENTRIES = ["index", "core", "slim", "testing"];

for (const folder of ["esm", "cjs", "node"]) rmSync(at("dist", folder), { recursive: true, force: true });

const wasm = readFileSync(at("dist/raw/comity.wasm"));
cpSync(at("dist/raw/comity.wasm"), at("dist/comity.wasm"));
writeFileSync(at("dist/raw/module.js"), `export const BASE64 = "${wasm.toString("base64")}";\n`);
writeFileSync(at("dist/raw/module.d.ts"), "export const BASE64: string;\n");

execFileSync(process.execPath, [at("node_modules/typescript/bin/tsc"), "-p", root], { stdio: "inherit" });
for (const name of ["raw", "module"]) cpSync(at(`dist/raw/${name}.d.ts`), at(`dist/esm/${name}.d.ts`));

const sources = readdirSync(at("js"), { recursive: true }).filter((file) => file.endsWith(".ts"));
const common = { target: "es2022", logLevel: "warning", outbase: at("js") };
for (const format of ["esm", "cjs"]) {
  const outdir = at("dist", format);
  // For Node the names of the exports are written so that an import finds them.
  const platform = format === "cjs" ? "node" : "neutral";
  buildSync({ ...common, platform, format, outdir, entryPoints: sources.map((file) => at("js", file)) });
  const raw = ["raw", "module"].map((name) => at(`dist/raw/${name}.js`));
  buildSync({ ...common, outbase: at("dist/raw"), platform, format, outdir, entryPoints: raw });
}
cpSync(at("dist/esm"), at("dist/cjs"), { recursive: true, filter: isTypes });
writeFileSync(at("dist/cjs/package.json"), '{ "type": "commonjs" }\n');

mkdirSync(at("dist/node"));
for (const name of ENTRIES) {
  writeFileSync(at(`dist/node/${name}.js`), `export * from "../cjs/${name}.js";\n`);
}
for (const name of ["LICENSE-APACHE", "LICENSE-MIT"]) cpSync(at("..", name), at("dist", name));

const kib = (bytes) => `${(bytes / 1024).toFixed(1)} KiB`;
const packed = gzipSync(wasm, { level: 9 }).length;
console.log(`comity.wasm: ${kib(wasm.length)}, ${kib(packed)} gzipped; the aim is 120 KiB gzipped`);

/** Folders, and declarations. */
function isTypes(file) {
  return !file.endsWith(".js");
}
