import assert from "node:assert/strict";
import { ComityError, ErrorCode } from "comity";

/** That `promise` is rejected with a `ComityError` of this code and with these words; the error. */
export async function refuses(code, pattern, promise) {
  const error = await promise.then(
    (value) => assert.fail(`there was no error, but ${String(value)}`),
    (why) => why,
  );
  assert.ok(error instanceof ComityError, String(error?.stack ?? error));
  assert.deepEqual([error.name, error.code], [code, ErrorCode[code]]);
  assert.match(error.message, pattern);
  return error;
}

/** The same for a call. */
export function refusesNow(code, pattern, call) {
  return refuses(code, pattern, (async () => call())());
}
