import { describe, expect, test } from "bun:test";
import { landingPath } from "../../src/login/options.ts";
import { outcome } from "../support/outcome.ts";

describe("landing paths", () => {
  test.each([
    ["/", "/"],
    ["/dashboard", "/dashboard"],
    ["/a/../b?c=d", "/b?c=d"],
  ])("%s", (text, expected) => expect(landingPath(text)).toBe(expected));
  test.each([
    "",
    "dashboard",
    "//evil.example",
    "/\\evil.example",
    "/.//evil.example",
    "/%2fevil.example",
    "https://evil.example/",
    "/a\nb",
    "/_runegate/login",
    "/_runegate",
  ])("%j is refused", (text) => expect(outcome(landingPath, text)).toHaveProperty("problem"));
});
