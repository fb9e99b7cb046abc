import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { createLoggers, type LogSettings } from "../../src/observe/log.ts";
import { type Fields, LEVELS, type LogFormat } from "../../src/observe/logger.ts";

const TIME = new Date(2031, 4, 6, 12, 34, 56, 789).getTime();

function lines(format: LogFormat, changes: Partial<LogSettings> = {}) {
  const written: string[] = [];
  const loggerFor = createLoggers({
    format,
    levels: { default: "trace", modules: {} },
    write: (line) => void written.push(line),
    now: () => TIME,
    color: false,
    ...changes,
  });
  return { written, loggerFor };
}

function line(format: LogFormat, message: string, fields?: Fields): string {
  const { written, loggerFor } = lines(format);
  loggerFor("mail").info(message, fields);
  expect(written).toHaveLength(1);
  return written[0] ?? "";
}

describe("console lines", () => {
  const HEAD = "12:34:56.789 INFO  mail   ";

  test.each<[string, Fields | undefined, string]>([
    ["queued", undefined, "queued"],
    ["queued", {}, "queued"],
    ["queued", { id: "a1" }, "queued  id=a1"],
    ["queued", { id: "a1", n: 2, ok: true }, "queued  id=a1 n=2 ok=true"],
    ["queued", { id: undefined, n: 0 }, "queued  n=0"],
    ["queued", { subject: "Sign in" }, 'queued  subject="Sign in"'],
    ["queued", { subject: "" }, 'queued  subject=""'],
    ["queued", { name: 'a "b"' }, 'queued  name="a \\"b\\""'],
    ["queued", { path: "C:\\x" }, 'queued  path="C:\\\\x"'],
    ["queued", { query: "a=b" }, 'queued  query="a=b"'],
    ["queued", { domain: "münchen.de" }, 'queued  domain="münchen.de"'],
    ["queued", { ms: Number.NaN }, "queued  ms=NaN"],
    ["grüße", undefined, "grüße"],
  ])("%j with %j", (message, fields, expected) => {
    expect(line("console", message, fields)).toBe(HEAD + expected);
  });

  test("keep their columns for every level and module", () => {
    const { written, loggerFor } = lines("console");
    for (const level of LEVELS) loggerFor("x")[level]("m");
    loggerFor("sessions").error("m");
    expect(written).toEqual([
      "12:34:56.789 ERROR x      m",
      "12:34:56.789 WARN  x      m",
      "12:34:56.789 INFO  x      m",
      "12:34:56.789 DEBUG x      m",
      "12:34:56.789 TRACE x      m",
      "12:34:56.789 ERROR sessions m",
    ]);
  });

  test("have color only when asked, and are the same without it", () => {
    const { written, loggerFor } = lines("console", { color: true });
    loggerFor("mail").warn("queued", { id: "a b" });
    expect(written[0]).toContain("\x1b[33mWARN");
    expect(Bun.stripANSI(written[0] ?? "")).toBe('12:34:56.789 WARN  mail   queued  id="a b"');
    expect(line("console", "queued", { id: 1 })).not.toContain("\x1b");
  });

  test("follow the clock", () => {
    let time = TIME;
    const { written, loggerFor } = lines("console", { now: () => time });
    for (const step of [0, 1, 210, 1000, 59_000]) {
      time += step;
      loggerFor("a").info("m");
    }
    expect(written.map((text) => text.slice(0, 12))).toEqual([
      "12:34:56.789",
      "12:34:56.790",
      "12:34:57.000",
      "12:34:58.000",
      "12:35:57.000",
    ]);
  });
});

describe("JSON lines", () => {
  const KNOWN = { time: new Date(TIME).toISOString(), level: "info", module: "mail" };

  test.each<[string, Fields | undefined, object]>([
    ["queued", undefined, {}],
    ["queued", {}, {}],
    ["queued", { id: "a1", n: 2.5, ok: false }, { id: "a1", n: 2.5, ok: false }],
    ["queued", { gone: undefined }, {}],
    ["queued", { ms: Number.NaN, n: Number.POSITIVE_INFINITY }, { ms: null, n: null }],
    ['say "hi" \\ grüße', { name: 'a "b"' }, { name: 'a "b"' }],
    [
      "queued",
      { time: "now", level: "error", module: "audit", message: "forged", x: 1 },
      { time_: "now", level_: "error", module_: "audit", message_: "forged", x: 1 },
    ],
  ])("%j with %j", (message, fields, expected) => {
    const text = line("json", message, fields);
    expect(JSON.parse(text)).toEqual({ ...KNOWN, message, ...expected });
    expect(Object.keys(JSON.parse(text)).slice(0, 4)).toEqual(["time", "level", "module", "message"]);
  });

  test("follow the clock", () => {
    let time = TIME;
    const { written, loggerFor } = lines("json", { now: () => time });
    for (const step of [0, 1, 210, 1000, 86_400_000]) {
      time += step;
      loggerFor("a").info("m");
      expect(JSON.parse(written.at(-1) ?? "").time).toBe(new Date(time).toISOString());
    }
  });
});

describe("log injection", () => {
  const ATTACKS: [string, string][] = [
    ["line feed", "x\n12:34:56.789 INFO  audit  audit  event=redeemed"],
    ["carriage return", "x\rfake"],
    ["CRLF", "x\r\nfake"],
    ["ANSI color", "x\x1b[31mred"],
    ["ANSI clear", "x\x1b[2Jx"],
    ["ANSI title", "x\x1b]0;owned\x07"],
    ["8-bit CSI", "x\u009b31mred"],
    ["next line", "x\u0085fake"],
    ["vertical tab and form feed", "x\v\ffake"],
    ["backspaces", "secret\b\b\b\b\b\bpublic"],
    ["NUL", "x\0y"],
    ["DEL", "x\x7fy"],
    ["line separator", "x\u2028fake"],
    ["paragraph separator", "x\u2029fake"],
    ["right-to-left override", "x\u202egpj.exe"],
    ["isolates", "x\u2066y\u2069"],
    ["zero width", "ann\u200b@example.org"],
    ["byte order mark", "\ufeffx"],
    ["a forged field", "x  user=admin"],
    ["a forged field, with a blank before the real ones", "x user=admin "],
    ["a forged quote", 'x" user="admin'],
    ["a forged escape", 'x\\" user="admin'],
    ["a forged JSON member", 'x","level":"error","y":"'],
  ];
  const UNSAFE = /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/u;

  test.each(ATTACKS)("%s", (_, attack) => {
    const json = line("json", attack, { value: attack, [attack]: 1, last: "end" });
    expect(json).not.toMatch(UNSAFE);
    expect(JSON.parse(json)).toMatchObject({ level: "info", module: "mail", message: attack, last: "end" });
    expect(JSON.parse(json)).toHaveProperty(["value"], attack);

    const text = line("console", attack, { value: attack, [attack]: 1, last: "end" });
    expect(text).not.toMatch(UNSAFE);
    expect(consoleFields(text)).toHaveLength(3);
    expect(consoleFields(text)[0]?.[0]).toBe("value");
    expect(consoleFields(text)[2]).toEqual(["last", "end"]);
  });

  test("of any text yields one line with the fields that were given", () => {
    fc.assert(
      fc.property(fc.string({ unit: "binary" }), fc.string({ unit: "binary" }), (message, value) => {
        const json = line("json", message, { value, last: 1 });
        expect(json).not.toMatch(/[\p{Cc}\p{Zl}\p{Zp}]/u);
        expect(JSON.parse(json)).toEqual({ ...JSON.parse(line("json", "")), message, value, last: 1 });

        const text = line("console", message, { value, last: 1 });
        expect(text).not.toMatch(/[\p{Cc}\p{Zl}\p{Zp}]/u);
        expect(consoleFields(text).map(([key]) => key)).toEqual(["value", "last"]);
      }),
    );
  });
});

/** Reads a console line as a script would: the fields begin at the first two blanks after the columns. */
function consoleFields(text: string): [string, string][] {
  const body = text.slice("12:34:56.789 INFO  mail   ".length);
  const start = body.indexOf("  ");
  const fields = body.slice(start + 2);
  const found: [string, string][] = [];
  const FIELD = /("(?:[^"\\]|\\.)*"|[^ "=\\]+)=("(?:[^"\\]|\\.)*"|[^ "=\\]+)(?: |$)/y;
  while (FIELD.lastIndex < fields.length) {
    const match = FIELD.exec(fields);
    if (match === null) throw new Error(`not a list of fields: ${fields}`);
    found.push([match[1] ?? "", match[2] ?? ""]);
  }
  return found;
}

describe("levels", () => {
  test.each([
    ["off", []],
    ["error", ["error"]],
    ["warn", ["error", "warn"]],
    ["info", ["error", "warn", "info"]],
    ["debug", ["error", "warn", "info", "debug"]],
    ["trace", ["error", "warn", "info", "debug", "trace"]],
  ] as const)("%s", (level, expected) => {
    const { written, loggerFor } = lines("json", { levels: { default: level, modules: {} } });
    const log = loggerFor("a");
    for (const each of LEVELS) log[each]("m");
    expect(written.map((text) => JSON.parse(text).level)).toEqual([...expected]);
    expect(LEVELS.filter((each) => log.enabled(each))).toEqual([...expected]);
  });

  test("hold per module, and by default for the others", () => {
    const { written, loggerFor } = lines("json", {
      levels: { default: "warn", modules: { mail: "debug", proxy: "off" } },
    });
    for (const name of ["mail", "proxy", "login", "constructor"]) {
      loggerFor(name).debug("quiet");
      loggerFor(name).error("loud");
    }
    expect(
      written.map((text) => JSON.parse(text)).map(({ module, message }) => `${module} ${message}`),
    ).toEqual(["mail quiet", "mail loud", "login loud", "constructor loud"]);
  });
});

describe("copies", () => {
  function copies(format: LogFormat, changes: Partial<LogSettings> = {}) {
    const log: string[] = [];
    const audit: string[] = [];
    const made = lines(format, {
      copies: { log: (one) => void log.push(one), audit: (one) => void audit.push(one) },
      ...changes,
    });
    return { ...made, log, audit };
  }

  test.each(["console", "json"] as const)("are JSON beside lines of %s", (format) => {
    const { written, log, loggerFor } = copies(format);
    loggerFor("mail").info("queued", { id: "a1" });
    const [json = ""] = log;
    expect(JSON.parse(json)).toEqual({
      ...{ time: new Date(TIME).toISOString(), level: "info", module: "mail", message: "queued", id: "a1" },
    });
    expect(written).toEqual([format === "json" ? json : "12:34:56.789 INFO  mail   queued  id=a1"]);
  });

  test("have no token either", () => {
    const { written, log, loggerFor } = copies("console");
    loggerFor("mail").info("x eyJhbGciOiJIUzI1NiJ9.e30.abc", { y: "eyJhbGciOiJIUzI1NiJ9.e30.abc" });
    expect(written.concat(log).join("\n")).not.toContain("eyJ");
    expect(log).toHaveLength(1);
  });

  test("of the audit are made at every level, and of nothing else", () => {
    const levels = { default: "warn", modules: { audit: "off" } } as const;
    const { written, log, audit, loggerFor } = copies("console", { levels });
    expect([loggerFor("audit").enabled("info"), loggerFor("mail").enabled("info")]).toEqual([true, false]);
    loggerFor("audit").info("audit", { event: "redeemed" });
    loggerFor("mail").info("queued");
    loggerFor("mail").warn("given up");
    expect(audit.map((one) => JSON.parse(one).event)).toEqual(["redeemed"]);
    expect(log.map((one) => JSON.parse(one).message)).toEqual(["given up"]);
    expect(written).toHaveLength(1);
  });
});
