import { describe, expect, test } from "bun:test";
import { systemRandom } from "../../src/clock.ts";
import { freshJwtSecret, freshSessionKey, jwtSecret, sessionKey } from "../../src/secret/values.ts";
import { outcome } from "../support/outcome.ts";

describe("secrets", () => {
  test.each([
    ["32 bytes", jwtSecret, "s".repeat(32), 32],
    ["bytes, not characters", jwtSecret, "é".repeat(16), 32],
    ["64 bytes", sessionKey, "s".repeat(64), 64],
    ["128 hex digits are decoded", sessionKey, "aB".repeat(64), 64],
    ["130 hex digits are text", sessionKey, "ab".repeat(65), 130],
    ["128 characters, not all hex, are text", sessionKey, "ag".repeat(64), 128],
  ])("%s", (_, parse, text, length) => expect(parse(text)).toHaveLength(length));

  test.each([
    ["31 bytes", jwtSecret, "hunter2".padEnd(31, "x"), "31 of 32 bytes"],
    ["63 bytes", sessionKey, "hunter2".padEnd(63, "x"), "63 of 64 bytes"],
    ["nothing", jwtSecret, "", "0 of 32 bytes"],
  ])("%s is too short, and never repeated", (_, parse, text, problem) => {
    const shown = JSON.stringify(outcome(parse, text));
    expect(shown).toContain(problem);
    expect(shown).not.toContain("hunter2");
  });

  test("fresh ones are accepted and differ", () => {
    expect(jwtSecret(freshJwtSecret(systemRandom)).length).toBeGreaterThanOrEqual(32);
    expect(sessionKey(freshSessionKey(systemRandom))).toHaveLength(64);
    expect(freshSessionKey(systemRandom)).not.toBe(freshSessionKey(systemRandom));
  });
});
