import assert from "node:assert/strict";
import { ComityError, ErrorCode } from "comity";

/** That `promise` is rejected with a `ComityError` of this code and with these words; the error. */
export async function refuses(code, pattern, promise) {
  const error = await promise.then(
    (value) => assert.fail(`there was no error, but ${String(value)}`),
    (why) => why,
  );
  judge(error, code, pattern);
  return error;
}

/** That `call` throws such an error. */
export function throws(code, pattern, call) {
  assert.throws(call, (error) => {
    judge(error, code, pattern);
    return true;
  });
}

function judge(error, code, pattern) {
  assert.ok(error instanceof ComityError, String(error?.stack ?? error));
  assert.deepEqual([error.name, error.code], [code, ErrorCode[code]]);
  assert.match(error.message, pattern);
}

/** The same as `refuses` for a call that may throw at once. */
export function refusesNow(code, pattern, call) {
  return refuses(code, pattern, (async () => call())());
}
