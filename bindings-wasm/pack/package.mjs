// Makes of the sources in js/ and of the modules in dist/raw/ what is published: dist/esm for
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
const MODULES = [
  { name: "comity", aim: "; the aim is 120 KiB" },
  { name: "transactions", aim: "" },
  { name: "store", aim: "" },
];
// A part of a module has no glue of its own.
const GLUE = ["comity", "store"];
const SCRIPTS = [...GLUE, ...MODULES.map(({ name }) => `${name}.base64`)];
const ENTRIES = ["index", "core", "slim", "testing"];

for (const folder of ["esm", "cjs", "node"]) rmSync(at("dist", folder), { recursive: true, force: true });

const kib = (bytes) => `${(bytes / 1024).toFixed(1)} KiB`;
for (const { name, aim } of MODULES) {
  const wasm = readFileSync(at(`dist/raw/${name}.wasm`));
  cpSync(at(`dist/raw/${name}.wasm`), at(`dist/${name}.wasm`));
  const script = `export const BASE64 = "${wasm.toString("base64")}";\n`;
  writeFileSync(at(`dist/raw/${name}.base64.js`), script);
  writeFileSync(at(`dist/raw/${name}.base64.d.ts`), "export const BASE64: string;\n");
  const packed = gzipSync(wasm, { level: 9 }).length;
  console.log(`${name}.wasm: ${kib(wasm.length)}, ${kib(packed)} gzipped${aim}`);
}

execFileSync(process.execPath, [at("node_modules/typescript/bin/tsc"), "-p", root], { stdio: "inherit" });
for (const name of SCRIPTS) cpSync(at(`dist/raw/${name}.d.ts`), at(`dist/esm/raw/${name}.d.ts`));

const sources = readdirSync(at("js"), { recursive: true }).filter((file) => file.endsWith(".ts"));
const FORMATS = {
  esm: { platform: "neutral" },
  // For Node the names of the exports are written so that an import finds them; and what is loaded
  // late is required, because not every test runner has `import()` for a script.
  cjs: { platform: "node", supported: { "dynamic-import": false } },
};
for (const [format, options] of Object.entries(FORMATS)) {
  const common = { ...options, format, outdir: at("dist", format), target: "es2022", logLevel: "warning" };
  buildSync({ ...common, outbase: at("js"), entryPoints: sources.map((file) => at("js", file)) });
  const raw = SCRIPTS.map((name) => at(`dist/raw/${name}.js`));
  buildSync({ ...common, outbase: at("dist"), entryPoints: raw });
}
cpSync(at("dist/esm"), at("dist/cjs"), { recursive: true, filter: isTypes });
writeFileSync(at("dist/cjs/package.json"), '{ "type": "commonjs" }\n');

mkdirSync(at("dist/node"));
for (const name of ENTRIES) {
  writeFileSync(at(`dist/node/${name}.js`), `export * from "../cjs/${name}.js";\n`);
}
for (const name of ["LICENSE-APACHE", "LICENSE-MIT"]) cpSync(at("..", name), at("dist", name));

/** Folders, and declarations. */
function isTypes(file) {
  return !file.endsWith(".js");
}
