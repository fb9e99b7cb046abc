import { describe, expect, test } from "bun:test";
import { addLine, removeLine, renameLine, writtenAs } from "../../src/config/env-edit.ts";
import { parseEnvFile } from "../../src/config/env-file.ts";

describe("one line of an env file is changed, and everything else stays byte for byte", () => {
  test.each([
    ["A=1\n# A=2\nB=A=3\n", "Z=1\n# A=2\nB=A=3\n"],
    ["  A = 'x y' \r\nAB=1\r\n", "  Z = 'x y' \r\nAB=1\r\n"],
    ["\ufeffA=1", "\ufeffZ=1"],
    ["B=1\nA_FILE=/a\n", "B=1\nA_FILE=/a\n"],
    ["", ""],
  ])("renaming in %j", (before, after) => expect(renameLine(before, "A", "Z")).toBe(after));

  test.each([
    ["# mine\nA=1\n\nB=2\n", "# mine\n\nB=2\n"],
    ["A=1\nA=2\nB=3", "B=3"],
    ["AA=1\n#A=2\n", "AA=1\n#A=2\n"],
  ])("removing from %j", (before, after) => expect(removeLine(before, "A")).toBe(after));

  test.each([
    ["A=1\nB=2\n", "B", "A=1\nN=v\nB=2\n"],
    ["A=1\r\nB=2\r\n", "B", "A=1\r\nN=v\r\nB=2\r\n"],
    ["A=1\nB=2\nB=3\n", "B", "A=1\nN=v\nB=2\nB=3\n"],
    ["A=1", "B", "A=1\nN=v\n"],
    ["A=1\r\nB=2", undefined, "A=1\r\nB=2\r\nN=v\r\n"],
    ["", undefined, "N=v\n"],
  ])("adding to %j before %p", (text, before, after) => expect(addLine(text, "N", "v", before)).toBe(after));
});

test.each(["plain", "/etc/a b", 'with "quotes"', "back\\slash", "#hash", "$home"])(
  "%j is read as it was written",
  (value) => {
    const { entries, problems } = parseEnvFile(addLine("", "N", writtenAs(value) ?? ""), "f");
    expect([entries.get("N")?.value, problems]).toEqual([value, []]);
  },
);

test("what cannot be written is said to be so", () => expect(writtenAs("it's here")).toBeUndefined());
