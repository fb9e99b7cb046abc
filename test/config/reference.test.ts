import { describe, expect, test } from "bun:test";
import { OPTION_NAMES } from "../../src/config/options.ts";
import { renderReference } from "../../src/config/reference.ts";
import { withReference } from "../support/write-reference.ts";

describe("the option reference", () => {
  const lines = renderReference().split("\n");
  const cellsOf = (line: string) => line.split(/(?<!\\)\|/).length - 2;

  test("is a table of three columns", () => {
    for (const line of lines) expect([line, cellsOf(line)]).toEqual([line, 3]);
  });
  test("has every option once, in one row", () => {
    const rows = lines.slice(2).map((line) => /^\| `(\w+)` \|/.exec(line)?.[1]);
    expect(rows).toEqual(
      OPTION_NAMES.filter((name) => name === "RUNEGATE_ENV_FILE" || !name.endsWith("_FILE")),
    );
  });
  test.each([
    ["a fixed default", "| `RUNEGATE_LISTEN` | `127.0.0.1:7870` |"],
    ["a computed one", "| `RUNEGATE_JWT_SECRET` | random per start |"],
    ["the rules of production", "(P) required, https unless loopback."],
    ["the files of secrets", "Also as `RUNEGATE_SESSION_KEY_FILE`."],
  ])("shows %s", (_, text) => expect(lines.join("\n")).toContain(text));

  test("goes between the markers of a page and leaves the rest alone", () => {
    const page = "before\n<!-- options -->\noutdated\n<!-- /options -->\nafter\n";
    const written = withReference(page);
    expect(written).toStartWith("before\n<!-- options -->\n\n| option |");
    expect(written).toEndWith("|\n\n<!-- /options -->\nafter\n");
    expect(written).not.toContain("outdated");
    expect(withReference(written)).toBe(written);
  });
  test.each(["", "<!-- options -->", "<!-- /options --><!-- options -->"])("%j has no markers", (page) => {
    expect(() => withReference(page)).toThrow("needs the markers");
  });
});
