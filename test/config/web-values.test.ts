import { describe, expect, test } from "bun:test";
import {
  addresses,
  cookieDomain,
  cookieName,
  domains,
  hostHeader,
  landingPath,
  origin,
  origins,
  rootPaths,
} from "../../src/config/web-values.ts";
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

describe("the Host of the application", () => {
  test.each(["pass", "target"] as const)("%s", (text) => expect(hostHeader(text)).toBe(text));
  test.each(["localhost", "App.internal", "app.internal:8080", "10.0.0.2:80", "[::1]:8080", "my_app"])(
    "%s",
    (text) => expect(hostHeader(text)).toEqual({ name: text }),
  );
  test.each([
    "",
    "http://localhost",
    "localhost/",
    "a b",
    "a,b",
    "a\r\nX: 1",
    "localhost:",
    "localhost:99999",
    "user@app",
    "bücher.example",
    "1.2.3.400",
    "::1",
  ])("%j is refused", (text) => expect(outcome(hostHeader, text)).toHaveProperty("problem"));
});

describe("who may sign in", () => {
  test("addresses are canonical", () => {
    expect([...addresses("Ada@Example.org, ada@example.org\nbob@example.org")].map(String)).toEqual([
      "ada@example.org",
      "bob@example.org",
    ]);
  });
  test("every bad address is named, with what to do", () => {
    expect(() => addresses("ada@example.org,bob,@example.com")).toThrow(
      'has an entry that is no address: "bob"; has an entry that is no address: "@example.com"',
    );
    expect(() => addresses("@example.com")).toThrow("RUNEGATE_ALLOWED_DOMAINS");
  });
  test("domains are canonical", () => {
    expect([...domains("Example.org bücher.example")].map(String)).toEqual([
      "example.org",
      "xn--bcher-kva.example",
    ]);
  });
  test.each(["*.example.org", "@example.org", "ada@example.org", "127.0.0.1", ","])(
    "%j is no domain",
    (text) => expect(outcome(domains, text)).toHaveProperty("problem"),
  );
  test("a wildcard is explained", () => {
    expect(() => domains("*.example.org")).toThrow("Domains are matched exactly");
  });
});
