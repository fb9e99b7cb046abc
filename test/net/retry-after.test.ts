import { expect, test } from "bun:test";
import { retryAfterOf } from "../../src/net/retry-after.ts";
import { HOUR, SECOND } from "../../src/option/values.ts";

/** How long an answer asks to wait (RFC 9110 §10.2.3): authorities, hooks and log sinks are asked again then. */

const NOW = Date.parse("2026-01-02T03:04:05Z");

test.each<[string | undefined, number | undefined]>([
  [undefined, undefined],
  ["0", 0],
  ["120", 120 * SECOND],
  ["Fri, 02 Jan 2026 04:04:05 GMT", HOUR],
  ["Friday, 02-Jan-26 04:04:05 GMT", HOUR],
  ["Fri, 02 Jan 2026 03:04:00 GMT", 0],
  ["-5", undefined],
  ["1e9", undefined],
  ["9999999999", undefined],
  ["soon", undefined],
  ["", undefined],
])("Retry-After: %p", (value, expected) => {
  const headers = new Headers(value === undefined ? {} : { "Retry-After": value });
  expect(retryAfterOf({ headers } as Response, NOW)).toBe(expected);
});
