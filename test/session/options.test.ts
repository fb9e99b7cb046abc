import { describe, expect, test } from "bun:test";
import { cookieDomain, cookieName } from "../../src/session/options.ts";
import { outcome } from "../support/outcome.ts";

describe("cookie names", () => {
  test.each(["runegate_id", "__Host-id", "a", "x.y~z"])("%s", (text) => expect(cookieName(text)).toBe(text));
  test.each(["", "a b", "a=b", "a;b", "a,b", "a/b", '"a"', "ä", "a\n", "x".repeat(65)])(
    "%j is refused",
    (text) => expect(outcome(cookieName, text)).toHaveProperty("problem"),
  );
});

describe("cookie domains", () => {
  test.each([
    ["example.org", "example.org"],
    [".Example.org", "example.org"],
    ["bücher.example", "xn--bcher-kva.example"],
  ])("%s", (text, expected) => expect(String(cookieDomain(text))).toBe(expected));
  test.each([
    "",
    ".",
    "org",
    "localhost",
    "127.0.0.1",
    "a.b;c",
    "https://example.org",
    "a..b",
    "ex ample.org",
  ])("%j is refused", (text) => expect(outcome(cookieDomain, text)).toHaveProperty("problem"));
});
