import { describe, expect, test } from "bun:test";
import {
  ParameterError,
  parameter,
  parseErrorStatus,
  parseSeconds,
  parseSize,
} from "../../src/sample/quantity.ts";
import { parseRange } from "../../src/sample/range.ts";

describe("a size", () => {
  test.each([
    ["0", 0],
    ["500", 500],
    ["500B", 500],
    ["64KiB", 65_536],
    ["10MB", 10_000_000],
    ["10 mb", 10_000_000],
    ["1.5GB", 1_500_000_000],
    ["1GiB", 1_073_741_824],
    ["0.0000004KB", 0],
    ["10TB", 10_000_000_000_000],
  ])("%s is %d bytes", (text, bytes) => {
    expect(parseSize("size", text)).toBe(bytes);
  });

  test.each([
    "",
    "MB",
    "-1",
    "-1MB",
    "+1",
    "1e9",
    "0x10",
    "NaN",
    "Infinity",
    "1,5MB",
    "10PB",
    "10TB1",
    "10.0001TB",
    "99999999999999999999TB",
    "1".repeat(30),
    "<b>",
    "constructor",
    "1constructor",
  ])("%j is refused", (text) => {
    expect(() => parseSize("size", text)).toThrow(ParameterError);
  });

  test("names the parameter and what is wrong, and shortens what it repeats", () => {
    expect(() => parseSize("rate", "0", 1)).toThrow('rate: "0" is too small');
    expect(() => parseSize("size", "x".repeat(500))).toThrow(`"${"x".repeat(40)}…" is not a size`);
  });
});

test("a parameter given twice is refused", () => {
  expect(parameter(new URLSearchParams("size=1"), "size")).toBe("1");
  expect(parameter(new URLSearchParams(""), "size")).toBeUndefined();
  expect(() => parameter(new URLSearchParams("size=1&size=1"), "size")).toThrow(ParameterError);
});

test("seconds and statuses have their limits", () => {
  expect([parseSeconds("s", "0"), parseSeconds("s", "0.25"), parseSeconds("s", "900")]).toEqual([
    0, 0.25, 900,
  ]);
  for (const text of ["", "-1", "901", "1e2", "5s", "NaN"]) expect(() => parseSeconds("s", text)).toThrow();
  expect([parseErrorStatus("s", "400"), parseErrorStatus("s", "599")]).toEqual([400, 599]);
  for (const text of ["", "200", "399", "600", "0500", "5e2"]) {
    expect(() => parseErrorStatus("s", text)).toThrow(ParameterError);
  }
});

describe("a range of 100 bytes", () => {
  test.each([
    ["bytes=0-0", { first: 0, last: 0 }],
    ["bytes=10-19", { first: 10, last: 19 }],
    ["bytes=90-", { first: 90, last: 99 }],
    ["bytes=90-500", { first: 90, last: 99 }],
    ["bytes=-10", { first: 90, last: 99 }],
    ["bytes=-500", { first: 0, last: 99 }],
    ["BYTES= 1-2 ", { first: 1, last: 2 }],
    ["bytes=100-", "unsatisfiable"],
    ["bytes=-0", "unsatisfiable"],
    ["bytes=5-4", undefined],
    ["bytes=-", undefined],
    ["bytes=0-1,5-6", undefined],
    ["bytes=a-b", undefined],
    ["lines=0-1", undefined],
    ["", undefined],
  ] as const)("%s", (header, expected) => {
    expect(parseRange(header, 100)).toEqual(expected);
  });

  test("nothing of an empty body can be asked for", () => {
    expect(parseRange("bytes=0-", 0)).toBe("unsatisfiable");
    expect(parseRange("bytes=-1", 0)).toBe("unsatisfiable");
  });
});
