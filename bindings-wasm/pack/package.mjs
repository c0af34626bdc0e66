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
const MODULES = ["comity", "store"];
// How large a module may be, gzipped.
const BUDGETS = { comity: 170 * 1024 };
const ENTRIES = ["index", "core", "slim", "testing"];
// What names `Symbol.dispose`, which a program's own types may lack.
const NEEDING_DISPOSABLE = ["dispose", "core/handle"];

// Nothing is published that only an earlier build has made.
for (const name of readdirSync(at("dist"))) {
  if (name !== "raw") rmSync(at("dist", name), { recursive: true });
}

const kib = (bytes) => `${(bytes / 1024).toFixed(1)} KiB`;
for (const name of MODULES) {
  const wasm = readFileSync(at(`dist/raw/${name}.wasm`));
  cpSync(at(`dist/raw/${name}.wasm`), at(`dist/${name}.wasm`));
  const script = `export const BASE64 = "${wasm.toString("base64")}";\n`;
  writeFileSync(at(`dist/raw/${name}.base64.js`), script);
  writeFileSync(at(`dist/raw/${name}.base64.d.ts`), "export const BASE64: string;\n");
  const packed = gzipSync(wasm, { level: 9 }).length;
  console.log(`${name}.wasm: ${kib(wasm.length)}, ${kib(packed)} gzipped${budget(name, packed)}`);
}

execFileSync(process.execPath, [at("node_modules/typescript/bin/tsc"), "-p", root], { stdio: "inherit" });
mkdirSync(at("dist/esm/raw"), { recursive: true });
for (const name of MODULES) writeFileSync(at(`dist/esm/raw/${name}.d.ts`), opaque(name));
for (const name of NEEDING_DISPOSABLE) {
  const file = at(`dist/esm/${name}.d.ts`);
  writeFileSync(file, `/// <reference lib="esnext.disposable" />\n${readFileSync(file, "utf8")}`);
}

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
  const raw = MODULES.map((name) => at(`dist/raw/${name}.base64.js`));
  buildSync({ ...common, outbase: at("dist"), entryPoints: raw });
  for (const name of MODULES) {
    const script = readFileSync(at(`dist/raw/${name}.js`), "utf8");
    const stdin = { contents: `import { TextDecoder, TextEncoder } from "../utf8.js";\n${script}` };
    buildSync({ ...common, outdir: undefined, outfile: at(`dist/${format}/raw/${name}.js`), stdin });
  }
}
cpSync(at("dist/esm"), at("dist/cjs"), { recursive: true, filter: isTypes });
writeFileSync(at("dist/cjs/package.json"), '{ "type": "commonjs" }\n');

// All of it in one script, for a page that has no bundler.
buildSync({
  entryPoints: [at("dist/esm/index.js")],
  outfile: at("dist/comity.min.js"),
  bundle: true,
  minify: true,
  format: "esm",
  target: "es2022",
  logLevel: "warning",
});

// In package.json `node-addons` leads here, and not `node`: bundlers for Node have that as well, and are
// to take the ES modules, whatever other conditions they are given.
mkdirSync(at("dist/node"));
for (const name of ENTRIES) {
  writeFileSync(at(`dist/node/${name}.js`), `export * from "../cjs/${name}.js";\n`);
}
for (const name of ["LICENSE-APACHE", "LICENSE-MIT"]) cpSync(at("..", name), at("dist", name));

/** How a size compares to what it may be. */
function budget(name, size) {
  const most = BUDGETS[name];
  if (most === undefined) return "";
  const told = `; the budget is ${kib(most)}`;
  return size > most ? `${told}, missed by ${kib(size - most)}` : told;
}

/** What is told of a script that calls a module: its classes are there, and are nobody else's. */
function opaque(name) {
  const told = readFileSync(at(`dist/raw/${name}.d.ts`), "utf8");
  const classes = [...told.matchAll(/^export class (\w+)/gm)].map(([, each]) => each);
  return classes.map((each) => `export class ${each} { private constructor(); free(): void; }\n`).join("");
}

/** Folders, and declarations. */
function isTypes(file) {
  return !file.endsWith(".js");
}
