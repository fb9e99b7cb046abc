import { describe, expect, test } from "bun:test";
import { origin, origins, rootPaths } from "../../src/edge/options.ts";
import { outcome } from "../support/outcome.ts";

describe("origins", () => {
  test.each([
    ["https://App.Example.org", "https://app.example.org"],
    ["https://app.example.org:443/", "https://app.example.org"],
    ["http://localhost:7870", "http://localhost:7870"],
    ["https://bücher.example", "https://xn--bcher-kva.example"],
  ])("%s", (text, expected) => expect(origin(text)).toBe(expected));
  test.each(["app.example.org", "null", "*", "https://a/login", "https://a?x", "https://u:p@a", "unix:/x"])(
    "%j is refused",
    (text) => expect(outcome(origin, text)).toHaveProperty("problem"),
  );
  test("lists", () => {
    expect(origins("*")).toBe("*");
    expect(origins("https://a.example, https://b.example")).toEqual(
      new Set(["https://a.example", "https://b.example"]),
    );
    expect(() => origins("https://a.example,*")).toThrow('is not an http or https URL: "*"');
  });
});

describe("root paths", () => {
  test.each<[string, boolean | "auto"]>([
    ["auto", "auto"],
    ["Auto", "auto"],
    ["true", true],
    ["on", true],
    ["0", false],
    ["No", false],
  ])("%s", (text, expected) => expect(rootPaths(text)).toBe(expected));
  test.each(["", "automatic", "2", "/login"])("%j is refused", (text) =>
    expect(outcome(rootPaths, text)).toHaveProperty("problem"),
  );
});
