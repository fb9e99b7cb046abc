import { describe, expect, test } from "bun:test";
import { systemRandom } from "../../src/clock.ts";
import { KEY_PATTERN, newId, newSecret, parseKey, writeKey } from "../../src/keys/format.ts";

/** What a key looks like. */

const PARTS = { id: "abc123def456", secret: "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdef" };

test("a key is its id, its secret and a check, and one word to a double click", () => {
  const key = writeKey(PARTS);
  expect(key).toBe(`rg_abc123def456_ABCDEFGHIJKLMNOPQRSTUVWXYZabcdef${key.slice(-6)}`);
  expect(key).toHaveLength(54);
  expect(key).toMatch(/^\w+$/);
  expect(key).toMatch(new RegExp(`^${KEY_PATTERN}$`));
  expect(parseKey(key)).toEqual(PARTS);
});

test("new ones differ, are well formed, and use every character", () => {
  const keys = Array.from({ length: 500 }, () =>
    writeKey({ id: newId(systemRandom), secret: newSecret(systemRandom) }),
  );
  expect(new Set(keys).size).toBe(500);
  for (const key of keys) expect(parseKey(key)).toBeDefined();
  const secrets = keys.map((key) => parseKey(key)?.secret ?? "").join("");
  expect(new Set(secrets).size).toBe(62);
  // No character comes more often than chance has it: 16,000 draws of 62, some 258 each.
  for (const count of Object.values(Object.groupBy(secrets, (one) => one))) {
    expect(count?.length).toBeGreaterThan(160);
    expect(count?.length).toBeLessThan(360);
  }
});

describe("is no key", () => {
  const key = writeKey(PARTS);
  test.each([
    ["nothing", ""],
    ["another prefix", key.replace("rg_", "gh_")],
    ["one character more", `${key}0`],
    ["one character less", key.slice(0, -1)],
    ["a capital in the id", key.replace("abc", "Abc")],
    ["a line feed", `${key}\n`],
  ])("%s", (_, text) => expect(parseKey(text)).toBeUndefined());

  test("what differs from one in a single character, wherever that is", () => {
    for (let at = 3; at < key.length; at++) {
      if (at === 15) continue;
      const other = key[at] === "0" ? "1" : "0";
      expect(parseKey(key.slice(0, at) + other + key.slice(at + 1))).toBeUndefined();
    }
  });
});
