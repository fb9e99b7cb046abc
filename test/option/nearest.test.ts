import { describe, expect, test } from "bun:test";
import { nearest } from "../../src/option/nearest.ts";

const WORDS = ["serve", "secrets", "sessions", "check", "config"];

describe("the nearest word", () => {
  test.each([
    ["serve", "serve"],
    ["serv", "serve"],
    ["sevre", "serve"],
    ["session", "sessions"],
    ["chekc", "check"],
    ["konfig", "config"],
    ["x", undefined],
    ["", undefined],
    ["restart", undefined],
  ])("%s: %s", (word, expected) => {
    expect(nearest(word, WORDS)).toBe(expected as string);
  });
  test("of several at the same distance, the first", () => {
    expect(nearest("aab", ["aac", "aad"])).toBe("aac");
  });
  test("nothing among nothing", () => {
    expect(nearest("serve", [])).toBeUndefined();
  });
});
