import { describe, expect, test } from "bun:test";
import { createFormReader, formBoundary, MultipartError } from "../../src/sample/multipart.ts";

const BOUNDARY = "----shell42";

function part(disposition: string, content: string): string {
  return `--${BOUNDARY}\r\nContent-Disposition: form-data; ${disposition}\r\n\r\n${content}\r\n`;
}

const END = `--${BOUNDARY}--\r\n`;

/** Reads `form` cut into chunks of `size` bytes. */
function read(form: string, size = form.length): { name: string; content: string } {
  const pieces: Uint8Array[] = [];
  const reader = createFormReader(BOUNDARY, (bytes) => pieces.push(bytes.slice()));
  const bytes = Buffer.from(form);
  for (let at = 0; at < bytes.length; at += size) reader.push(bytes.subarray(at, at + size));
  const name = reader.end();
  return { name, content: Buffer.concat(pieces).toString() };
}

describe("a form's file", () => {
  const awkward = `\r\n--${BOUNDARY.slice(0, -1)}\r\n\r\n--\r\n-\r`;
  const forms = {
    alone: part('name="file"; filename="a.txt"', awkward) + END,
    "behind a field, before another file":
      part('name="note"', "filename=no") +
      part('name="file"; filename="a.txt"', awkward) +
      part('name="file"; filename="b.txt"', "second") +
      END,
    "after a preamble, before an epilogue": `preamble\r\n${part('filename="a.txt"', awkward)}${END}--${BOUNDARY}`,
  };
  for (const [what, form] of Object.entries(forms)) {
    test(`${what}, however the body is cut`, () => {
      for (const size of [1, 2, 3, 7, 16, 64, 10_000]) {
        expect(read(form, size)).toEqual({ name: "a.txt", content: awkward });
      }
    });
  }

  test("may be empty, and have an odd name", () => {
    expect(read(part('name="f"; filename="ä %22x%22; y.txt"', "") + END)).toEqual({
      name: 'ä "x"; y.txt',
      content: "",
    });
  });

  test("a part without any head is skipped", () => {
    expect(read(`--${BOUNDARY}\r\n\r\nbare\r\n${part('filename="a"', "x")}${END}`).content).toBe("x");
  });

  test.each([
    ["no file chosen", part('name="file"; filename=""', "") + END],
    ["no file at all", part('name="note"', "x") + END],
    ["cut off in the file", part('filename="a"', "x")],
    ["cut off in a head", `--${BOUNDARY}\r\nContent-Disposition: form-data`],
    ["empty", ""],
    ["a delimiter that goes on", `--${BOUNDARY}x\r\n\r\n`],
    ["a head without end", `--${BOUNDARY}\r\n${"x".repeat(20_000)}`],
  ])("%s is an error", (_, form) => {
    expect(() => read(form, 1000)).toThrow(MultipartError);
  });
});

test.each([
  ["multipart/form-data; boundary=abc", "abc"],
  ['Multipart/Form-Data; charset=utf-8; boundary="a b"', "a b"],
  ["multipart/form-data", undefined],
  ["multipart/mixed; boundary=abc", undefined],
  ["text/plain; x=multipart/form-data; boundary=abc", undefined],
  ["", undefined],
])("the boundary of %j", (type, boundary) => {
  expect(formBoundary(type)).toBe(boundary);
});
