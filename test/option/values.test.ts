import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { logLevels } from "../../src/observe/levels.ts";
import type { DurationUnit } from "../../src/option/values.ts";
import {
  boolean,
  boundedSize,
  byteSize,
  choice,
  duration,
  fileMode,
  formatDuration,
  groupName,
  integer,
  socketPath,
} from "../../src/option/values.ts";
import { outcome } from "../support/outcome.ts";

describe("booleans", () => {
  test.each(["true", "1", "yes", "on", "TRUE", "On", "yEs"])("%s is true", (text) => {
    expect(boolean(text)).toBe(true);
  });
  test.each(["false", "0", "no", "off", "FALSE", "Off"])("%s is false", (text) => {
    expect(boolean(text)).toBe(false);
  });
  test.each(["", "2", "ja", "truee", "t", "enabled", "true false"])("%j is neither", (text) => {
    expect(() => boolean(text)).toThrow("Write true or false.");
  });
});

describe("choices", () => {
  const parse = choice("auto", "always", "never");
  test("any case", () => expect(parse("Always")).toBe("always"));
  test.each(["", "alway", "auto,never"])("%j is refused", (text) => {
    expect(() => parse(text)).toThrow("Write auto or always or never.");
  });
});

describe("integers", () => {
  const parse = integer(0, 100);
  test.each([
    ["0", 0],
    ["007", 7],
    ["100", 100],
  ])("%s", (text, value) => expect(parse(text)).toBe(value));
  test.each(["", "-1", "101", "1.5", "1e2", "0x10", "½", "9".repeat(30)])("%j is refused", (text) => {
    expect(() => parse(text)).toThrow("Write a whole number from 0 to 100.");
  });
});

describe("modes of files", () => {
  test.each([
    ["0600", 0o600],
    ["660", 0o660],
    ["0000", 0],
    ["777", 0o777],
  ])("%s", (text, mode) => expect(fileMode(text)).toBe(mode));
  test.each(["", "6", "0o600", "1777", "04755", "688", "-660", "rw-rw----"])("%j is refused", (text) => {
    expect(() => fileMode(text)).toThrow("Write one such as 0600 or 0660.");
  });
});

describe("groups", () => {
  test.each(["www-data", "_nginx", "33", "HOST$"])("%s", (text) => expect(groupName(text)).toBe(text));
  test.each(["", "-1", "a b", "a:b", "a/b", "1a", "root\n"])("%j is refused", (text) => {
    expect(() => groupName(text)).toThrow("Write a name or a number.");
  });
});

describe("durations", () => {
  const parse = duration("m", 0, 7 * 86_400_000);
  test.each([
    ["500ms", 500],
    ["90s", 90_000],
    ["15m", 900_000],
    ["15", 900_000],
    ["12h", 43_200_000],
    ["7d", 604_800_000],
    ["0", 0],
    ["90 S", 90_000],
  ])("%s is %d ms", (text, value) => expect(parse(text)).toBe(value));

  test.each(["", "soon", "1.5h", "-1s", "1h30m", "1w", "1 0s", "s", "+5", "1e3s", "٣s"])(
    "%j is no duration",
    (text) => expect(() => parse(text)).toThrow("is not a duration"),
  );
  test.each(["8d", "604801s", "999999999999999d"])("%s is out of range", (text) => {
    expect(() => parse(text)).toThrow("Write a duration from 0 to 7d.");
  });
  test("the bare unit is named", () => {
    expect(() => parse("soon")).toThrow("a plain number of minutes");
    expect(() => duration("s", 0, 1)("soon")).toThrow("a plain number of seconds");
  });

  test("what is formatted reads back as the same, whatever the bare unit", () => {
    const units = fc.constantFrom<DurationUnit>("ms", "s", "m", "h", "d");
    fc.assert(
      fc.property(fc.nat({ max: 2 ** 40 }), units, (milliseconds, unit) => {
        expect(duration(unit, 0, 2 ** 40)(formatDuration(milliseconds))).toBe(milliseconds);
      }),
    );
  });
  test("any text is a whole number in range or a ValueError", () => {
    const texts = fc.oneof(fc.string(), fc.stringMatching(/^[0-9]{0,17} ?[a-z]{0,2}$/));
    fc.assert(
      fc.property(texts, (text) => {
        const result = outcome(parse, text);
        if (typeof result !== "number") return;
        expect(Number.isInteger(result)).toBe(true);
        expect(result).toBeGreaterThanOrEqual(0);
        expect(result).toBeLessThanOrEqual(604_800_000);
      }),
    );
  });
});

describe("sizes", () => {
  test.each([
    ["1", 1],
    ["1b", 1],
    ["10MiB", 10_485_760],
    ["1GB", 1_000_000_000],
    ["64 kib", 65_536],
    ["3TB", 3e12],
  ])("%s is %d bytes", (text, bytes) => expect(byteSize(text)).toBe(bytes));
  test("unlimited", () => expect(byteSize("Unlimited")).toBeUndefined());
  test.each(["", "0", "10m", "10 apples", "1.5GB", "-1", "MB", "ib", "1ib", "999999999999999TB"])(
    "%j is refused",
    (text) => expect(outcome(byteSize, text)).toHaveProperty("problem"),
  );
});

describe("sizes that must have a limit", () => {
  test.each([
    ["1", 1],
    ["1GiB", 2 ** 30],
  ])("%s is %d bytes", (text, bytes) => expect(boundedSize(2 ** 30)(text)).toBe(bytes));
  test.each(["unlimited", "0", "1025MiB", "many"])("%j is refused", (text) =>
    expect(outcome(boundedSize(2 ** 30), text)).toHaveProperty("problem"),
  );
});

describe("socket paths", () => {
  test("absolute", () => expect(socketPath("/run/runegate/control.sock")).toBe("/run/runegate/control.sock"));
  test.each(["", "run/x", "/run/", "/a\0b", "/a\nb", `/${"x".repeat(107)}`, `/${"é".repeat(54)}`])(
    "%j is refused",
    (text) => expect(outcome(socketPath, text)).toHaveProperty("problem"),
  );
});

describe("log levels", () => {
  test.each([
    ["debug", { default: "debug", modules: {} }],
    ["WARN", { default: "warn", modules: {} }],
    ["off", { default: "off", modules: {} }],
    ["proxy=trace", { default: "info", modules: { proxy: "trace" } }],
    ["warn,proxy=trace,Mail=off", { default: "warn", modules: { proxy: "trace", mail: "off" } }],
    // A RUST_LOG that other programs share: their modules do no harm, and `runegate=` is meant for us.
    ["warn,hyper::proto=debug,runegate=debug", { default: "debug", modules: { "hyper::proto": "debug" } }],
    ["error warn", { default: "warn", modules: {} }],
  ])("%s", (text, levels) => expect(logLevels(text)).toEqual(levels as ReturnType<typeof logLevels>));
  test.each([",", "loud", "proxy=loud", "proxy=", "=loud"])("%j is refused", (text) => {
    expect(outcome(logLevels, text)).toHaveProperty("problem");
  });
  test("a module cannot reach into the prototype", () => {
    const { modules } = logLevels("__proto__=debug");
    expect(Object.getPrototypeOf(modules)).toBe(Object.prototype);
    expect(Object.keys(modules)).toEqual(["__proto__"]);
  });
});
