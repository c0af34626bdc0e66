// The transcripts that the core has written, replayed: tests/transcripts/README.md says what they are.

import assert from "node:assert/strict";
import { readdir, readFile } from "node:fs/promises";
import { test } from "node:test";
import { ComityError, Coordinator, ErrorReply } from "comity/core";

const FOLDER = new URL("../../tests/transcripts/", import.meta.url);
const LONG = 512;

const camel = (name) => name.replace(/_(\w)/g, (_, letter) => letter.toUpperCase());
/** Spans have their unit in their names here. */
const snake = (name) => name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`).replace(/_us$/, "");
const bytes = (text) => new Uint8Array(Buffer.from(text, "latin1"));
const latin = (value) => Buffer.from(value).toString("latin1");

/** Strings as bytes, a byte for each character. */
function octets(value) {
  if (typeof value === "string") return bytes(value);
  return Array.isArray(value) ? value.map(octets) : value;
}

/** A value as a line has it. */
function line(value) {
  if (value instanceof Uint8Array) return latin(value);
  if (value instanceof ErrorReply) return { error: value.text };
  if (value instanceof ComityError) return { code: value.code, words: value.message };
  if (typeof value === "bigint") return Number(value);
  if (Array.isArray(value)) return value.map(line);
  if (typeof value !== "object" || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([key, one]) => [snake(key), line(one)]));
}

/** A reply out of a line. */
function reply(value) {
  if (Array.isArray(value)) return value.map(reply);
  if (typeof value !== "object" || value === null) return octets(value);
  return "status" in value ? value.status : new ErrorReply(value.error);
}

/** A reply as a line has it. */
function answered(value) {
  if (typeof value === "string") return { status: value };
  return Array.isArray(value) ? value.map(answered) : line(value);
}

/** A word of a command as a line has it. */
function word(value) {
  if (value.length <= LONG) return latin(value);
  return { length: value.length, begins: latin(value.subarray(0, LONG)) };
}

function command({ request, node, route, origin, deadline, argv }) {
  return { command: request, node, route, origin, deadline, words: argv.map(word) };
}

/** What of `found` the transcript is about: here the values have more parts than it tells. */
function shown(expected, found) {
  if (Array.isArray(expected) && expected.length === found?.length) {
    return expected.map((one, at) => shown(one, found[at]));
  }
  if (typeof expected !== "object" || expected === null || typeof found !== "object") return found;
  return Object.fromEntries(Object.entries(expected).map(([key, one]) => [key, shown(one, found?.[key])]));
}

function verb(core, it) {
  const options = Object.fromEntries(
    Object.entries(it.options).map(([name, value]) => [camel(name), name === "label" ? bytes(value) : value]),
  );
  const call = () => core[camel(it.verb)](...octets(it.args), it.now, options);
  if (it.refused === undefined) {
    const gives = call();
    if (it.gives !== undefined) assert.equal(gives, it.gives);
    return;
  }
  assert.throws(call, (error) => {
    assert.deepEqual(line(error), it.refused);
    return true;
  });
}

/** What goes in, by what its line begins with. */
const INPUTS = {
  verb,
  reply: (core, it) => core.handleReply(it.reply, reply(it.is), it.now),
  failure: (core, it) => core.handleFailure(it.failure, camel(it.is), it.now),
  message: (core, it) => core.handleMessage(it.message, bytes(it.channel), bytes(it.payload), it.now),
  time: (core, it) => core.handleTimeout(it.time),
  is: (core, it) => core.handleNode(it.node, camel(it.is), it.now),
};

/** Compares a line that comes out. */
function output(core, it) {
  if ("command" in it) {
    assert.deepEqual(command(core.pollCommand()), it);
  } else if ("event" in it) {
    const { kind, replies, ...fields } = core.pollEvent();
    if (replies !== undefined) fields.replies = answered(replies);
    assert.deepEqual(shown(it, { event: snake(kind), ...line(fields) }), it);
  } else {
    assert.deepEqual([core.pollCommand(), core.pollEvent()], [null, null]);
    assert.equal(core.nextDeadline(), it.deadline);
  }
}

const names = (await readdir(FOLDER)).filter((name) => name.endsWith(".jsonl"));

for (const name of names) {
  test(`the transcript ${name}`, async () => {
    const lines = (await readFile(new URL(name, FOLDER), "utf8")).trimEnd().split("\n");
    const { begin, now } = JSON.parse(lines[0]);
    const core = new Coordinator({
      nodes: begin.nodes,
      entropy: new Uint8Array(Buffer.from(begin.entropy, "hex")),
      timeoutUs: begin.timeout_us,
      push: begin.push,
      now,
    });
    lines.slice(1).forEach((text, at) => {
      const it = JSON.parse(text);
      const kind = "command" in it || "event" in it ? undefined : Object.keys(INPUTS).find((key) => key in it);
      try {
        if (kind === undefined) output(core, it);
        else INPUTS[kind](core, it);
      } catch (error) {
        error.message = `${name}, line ${at + 2}: ${error.message}`;
        throw error;
      }
    });
  });
}

test("there are transcripts", () => {
  assert.ok(names.length >= 4, String(names));
});
