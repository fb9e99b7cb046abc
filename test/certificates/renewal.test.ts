import { expect, test } from "bun:test";
import { renewalTime, type Window } from "../../src/certificates/renewal.ts";
import { certificateId, readRenewalInfo } from "../../src/certificates/renewal-info.ts";
import { DAY, HOUR, MINUTE } from "../../src/option/values.ts";
import { makeCertificate } from "../support/certificate.ts";
import { certificateBy, openssl } from "./by-openssl.ts";

/** When a certificate of 90 days is renewed, by the authority's window (RFC 9773) or without one. */

const FROM = Date.parse("2026-01-01T00:00:00Z");
const pair = { from: FROM, until: FROM + 90 * DAY };
const window = (start: number, end: number): Window => ({ start: FROM + start * DAY, end: FROM + end * DAY });

test.each<[string, Window | undefined, chance: number, day: number]>([
  ["no window: with a third of its life left", undefined, 0, 60],
  ["no window: or a little earlier", undefined, 1, 57.3],
  ["a window: at its start", window(70, 72), 0, 70],
  ["a window: in its middle", window(70, 72), 0.5, 71],
  ["a window: at its end", window(70, 72), 1, 72],
  ["a window that is over: at once", window(-2, -1), 0.5, -1.5],
  ["a window up to the certificate's end", window(88, 90), 0.5, 89],
  ["a window beyond the certificate's end is none", window(88, 91), 0, 60],
  ["a window that ends before it starts is none", window(72, 70), 0, 60],
  ["a window of no length is none", window(70, 70), 0, 60],
  ["a window of what is no number is none", window(Number.NaN, 72), 0, 60],
])("%s", (_, suggested, chance, day) => {
  expect((renewalTime(pair, suggested, chance) - FROM) / DAY).toBeCloseTo(day, 9);
});

const [start, end] = ["2026-03-01T00:00:00Z", "2026-03-03T00:00:00Z"];
const there = { start: Date.parse(start), end: Date.parse(end) };

test.each<[string, object, number | undefined, object]>([
  ["as authorities say it", { suggestedWindow: { start, end } }, 6 * HOUR, { window: there }],
  ["without a time to ask again: in six hours", { suggestedWindow: { start, end } }, undefined, {}],
  ["to be asked at once: not sooner than in a minute", {}, 0, { askAgainMs: MINUTE }],
  ["to be asked in a year: tomorrow", {}, 365 * DAY, { askAgainMs: DAY }],
  ["a window from its end on", { suggestedWindow: { start: end, end: start } }, 0, { window: undefined }],
  ["a window of words", { suggestedWindow: { start: "soon", end } }, 0, { window: undefined }],
  ["a window with one end", { suggestedWindow: { start } }, 0, { window: undefined }],
  ["no window", {}, 0, { window: undefined }],
  ["a page that says why", { explanationURL: "https://ca.test/a" }, 0, { explanation: "https://ca.test/a" }],
  [
    "a page that breaks the log",
    { explanationURL: "https://ca.test/\n" },
    0,
    { explanation: "https://ca.test/" },
  ],
  ["a page of another kind", { explanationURL: "javascript:alert(1)" }, 0, { explanation: undefined }],
  ["a page that is no text", { explanationURL: 5 }, 0, { explanation: undefined }],
])("what the authority suggests: %s", (_, said, retryAfterMs, expected) => {
  const read = readRenewalInfo(JSON.stringify(said), retryAfterMs);
  expect(read).toMatchObject({ ...(retryAfterMs === undefined && { askAgainMs: 6 * HOUR }), ...expected });
});

test.each(["", "no JSON", "null"])("what the authority suggests: %p is no answer", (said) => {
  expect(() => readRenewalInfo(said, 0)).toThrow();
});

test.skipIf(openssl === undefined).each<[serial: string, key: string, id: string]>([
  ["1", "00112233", "ABEiMw.AQ"],
  // Positive numbers begin with a zero where their first bit is set (RFC 9773 §4.1).
  ["2271560481", "ff".repeat(20), "__________________________8.AIdlQyE"],
])("the authority knows the certificate of serial %s and key %s as %s", (serial, key, id) => {
  const keyId = key.match(/../g)?.join(":") ?? "";
  expect(certificateId(certificateBy(serial, keyId))).toBe(id);
});

test("a certificate that does not say by which key it was signed has no name there", () => {
  expect(certificateId(makeCertificate().cert)).toBeUndefined();
});
