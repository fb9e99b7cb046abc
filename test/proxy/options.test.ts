import { describe, expect, test } from "bun:test";
import { hostHeader } from "../../src/net/host.ts";
import { outcome } from "../support/outcome.ts";

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
