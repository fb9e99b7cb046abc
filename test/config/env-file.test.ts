import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { parseEnvFile } from "../../src/config/env-file.ts";

const values = (text: string) =>
  Object.fromEntries([...parseEnvFile(text, "f").entries].map(([name, { value }]) => [name, value]));

describe("env files", () => {
  test.each([
    ["plain", "A=b", { A: "b" }],
    ["several, with CRLF and a byte order mark", "\ufeffA=b\r\nC=d\r\n", { A: "b", C: "d" }],
    ["comments and blank lines", "# a\n; b\n\n   \n  # c\nA=b", { A: "b" }],
    ["blanks around", "  A = b c \t", { A: "b c" }],
    ["empty", "A=\nB=''\nC=\"\"", { A: "", B: "", C: "" }],
    ["equals signs in the value", "A=b=c==", { A: "b=c==" }],
    ["a # inside a word", "A=b#c", { A: "b#c" }],
    ["nothing is expanded", "A=$HOME `id` $(id)", { A: "$HOME `id` $(id)" }],
    ["single quotes are literal", "A=' b \\n \" # $C '", { A: ' b \\n " # $C ' }],
    ["double quotes", 'A=" b \' # \\" \\\\ \\$C \\` "', { A: " b ' # \" \\ $C ` " }],
    ["the last one counts", "A=b\nA=c", { A: "c" }],
  ])("%s", (_, text, expected) => {
    expect(values(text)).toEqual(expected);
    expect(parseEnvFile(text, "f").problems).toEqual([]);
  });

  test.each([
    ["no equals sign", "hunter2"],
    ["no name", "=hunter2"],
    ["a name with a hyphen", "A-B=hunter2"],
    ["a name that starts with a digit", "1A=hunter2"],
    ["export", "export A=hunter2"],
    ["an open single quote", "A='hunter2"],
    ["an open double quote", 'A="hunter2'],
    ["a double quote closed by an escaped one", 'A="hunter2\\"'],
    ["text after the quotes", "A='b'hunter2"],
    ["a comment after the quotes", "A='b' # hunter2"],
    ["a comment after a value", "A=b # hunter2"],
    ["a value that is a comment", "A=#hunter2"],
    ["a quote inside", "A=it's hunter2"],
    ["a backslash", "A=hunter2\\"],
    ["an escape that readers disagree about", 'A="hunter2\\n"'],
    ["a control character", "A=hunter2\u0007"],
  ])("%s is refused with file and line, without the value", (_, line) => {
    const { problems } = parseEnvFile(`# first\n${line}\nZ=1`, "/etc/x.env");
    expect(problems.map(({ option }) => option)).toEqual(["/etc/x.env:2"]);
    expect(JSON.stringify(problems)).not.toContain("hunter2");
  });

  test("all problems are reported", () => {
    expect(parseEnvFile("x\nA=b\ny", "f").problems.map(({ option }) => option)).toEqual(["f:1", "f:3"]);
  });
  test("a name that is set twice is warned about, unless the first is empty", () => {
    expect(parseEnvFile("A=b\nA=c", "f").warnings[0]?.problem).toContain("lines 1 and 2");
    expect(parseEnvFile("A=\nA=c", "f").warnings).toEqual([]);
  });

  test("whatever is written in single or double quotes is read back", () => {
    const printable = fc.stringMatching(/^[\t\x20-\x7e\u00a0-\u00ff\u4e00-\u4eff]*$/);
    fc.assert(
      fc.property(printable, (value) => {
        const double = value.replace(/["\\$`]/g, "\\$&");
        expect(values(`A="${double}"`)).toEqual({ A: value });
        if (!value.includes("'")) expect(values(`A='${value}'`)).toEqual({ A: value });
      }),
    );
  });
  test("any text is read or refused, line by line", () => {
    const alphabet = fc.constantFrom(..."A=b'\"\\#; \t\r\n$export\0é");
    fc.assert(
      fc.property(fc.string({ unit: alphabet, maxLength: 60 }), (text) => {
        const { entries, problems } = parseEnvFile(text, "f");
        for (const [name, { value, line }] of entries) {
          expect(name).toMatch(/^[A-Za-z_][A-Za-z0-9_]*$/);
          expect(value).not.toMatch(/[\n\r\0]/);
          expect(problems.map(({ option }) => option)).not.toContain(`f:${line}`);
        }
      }),
    );
  });
});
