import { describe, expect, test } from "bun:test";
import { addresses, domains } from "../../src/identity/values.ts";
import { outcome } from "../support/outcome.ts";

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
