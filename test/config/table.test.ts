import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { parse, stringify } from "smol-toml";
import { readTable } from "../../src/config/table.ts";
import { targetAddress } from "../../src/net/endpoint.ts";
import { ConfigError, describe as inWords } from "../../src/option/finding.ts";
import { listOf, plain, table, text } from "../../src/option/table.ts";
import { boolean, duration, integer } from "../../src/option/values.ts";

/** A table with all that one can be made of. */
const STABLES = table({
  name: { name: "name", parse: text(String), example: "North", help: "Of the place." },
  open: { name: "open", parse: plain(boolean), example: true, default: false, help: "Whether it is." },
  owner: {
    name: "owner",
    help: "Whose it is.",
    optional: true,
    table: table({ email: { name: "email", parse: text(String), example: "ada@example.org", help: "" } }),
  },
  yard: {
    name: "yard",
    help: "Around it.",
    table: table({
      size: { name: "size", parse: plain(integer(1, 99)), example: 7, default: 10, help: "In meters." },
    }),
  },
  horses: {
    name: "horses",
    help: "Who lives there.",
    tables: table(
      {
        target: { name: "target", parse: text(targetAddress), example: "http://127.0.0.1:3000", help: "" },
        hosts: { name: "hosts", parse: listOf(integer(1, 9)), example: ["1"], default: [], help: "" },
        rest: {
          name: "rest",
          parse: plain(duration("s", 0, 99_000)),
          example: "9s",
          optional: true,
          help: "",
        },
        shoes: {
          name: "shoes",
          help: "",
          tables: table({ foot: { name: "foot", parse: text(String), example: "left", help: "" } }),
        },
        saddle: {
          name: "saddle",
          help: "",
          optional: true,
          table: table({ color: { name: "color", parse: text(String), example: "red", help: "" } }),
        },
      },
      ({ rest, hosts }, report) => {
        if (rest !== undefined && hosts?.length === 0) report("error", "rest", "has no hosts", "Write some.");
        if (rest === 0) report("warning", "rest", "is nothing", "Write more.");
      },
    ),
  },
});

function findings(toml: string): { problems: string[]; warnings: string[] } {
  try {
    return { problems: [], warnings: readTable(toml, "f.toml", STABLES).warnings.map(inWords) };
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    return { problems: error.problems.map(inWords), warnings: error.warnings.map(inWords) };
  }
}

const GOOD = `name = "North"   # a comment
yard.size = 12

[owner]
email = "ada@example.org"

[[horses]]
target = "8080"
hosts = [1, "2"]
rest = 7
  [horses.saddle]
  color = "red"
  [[horses.shoes]]
  foot = "left"
  [[horses.shoes]]
  foot = "right"

[[horses]]
target = "unix:/run/app.sock"
`;

test("values, defaults, nested tables and lists of them, typed as they are declared", () => {
  const { values, warnings } = readTable(GOOD, "f.toml", STABLES);
  const foot: string | undefined = values.horses[0]?.shoes[1]?.foot;
  expect([foot, warnings]).toEqual(["right", []]);
  expect(values).toEqual({
    name: "North",
    open: false,
    owner: { email: "ada@example.org" },
    yard: { size: 12 },
    horses: [
      {
        target: targetAddress("http://127.0.0.1:8080"),
        hosts: [1, 2],
        rest: 7_000,
        shoes: [{ foot: "left" }, { foot: "right" }],
        saddle: { color: "red" },
      },
      {
        target: targetAddress("unix:/run/app.sock"),
        hosts: [],
        rest: undefined,
        shoes: [],
        saddle: undefined,
      },
    ],
  });
});

test("what is left out is read as empty or as its default", () => {
  const { values } = readTable('name = "North"', "f.toml", STABLES);
  expect(values).toEqual({ name: "North", open: false, owner: undefined, yard: { size: 10 }, horses: [] });
});

describe("findings say where", () => {
  const cases: [string, string, string][] = [
    ["what is missing at the top", "", 'f.toml: name is missing. Add a line: name = "North"'],
    ["a wrong value", 'name = "N"\n\n  open = 3', "f.toml:3:3: open is neither true nor false"],
    ["a dotted key", 'name = "N"\nyard.size = 100', "f.toml:2:1: yard.size is out of range: 100"],
    ["an inline table", 'name = "N"\nyard = { size = 0 }', "f.toml:2:1: yard.size is out of range: 0"],
    [
      "one of several tables",
      `${GOOD}\n[[horses]]\nhosts = [1]\ntarget = "x y"`,
      'f.toml:23:1: horses[2].target is not an http or https URL: "x y"',
    ],
    [
      "what is missing in one of several",
      `${GOOD}\n[[horses]]`,
      'f.toml:21:1: horses[2].target is missing. Add a line: target = "http://127.0.0.1:3000"',
    ],
    [
      "a list in a table of a list",
      `${GOOD}\n[[horses.shoes]]\nfoot = 1`,
      "f.toml:22:1: horses[1].shoes[0].foot is not a text",
    ],
    [
      "a table of a table of a list",
      `${GOOD}\n[horses.saddle]\ncolor = 1`,
      "f.toml:22:1: horses[1].saddle.color is not a text",
    ],
    [
      "after texts and lists of several lines",
      'hosts = """\n[[horses]]\ntarget = 1\n]\n"""\nname = \'\'\'\n}"""\n\'\'\'\nlist = [\n  "a", # ]\n]\nopen = 9',
      "f.toml:12:1: open is neither true nor false",
    ],
    ["lines that end as on Windows", 'name = "N"\r\nopen = 9\r\n', "f.toml:2:1: open is neither true"],
    ["a byte order mark", '\ufeffname = "N"\nopen = 9', "f.toml:2:1: open is neither true"],
    ["a list that is none", 'name = "N"\n[horses]\na = 1', "f.toml:2:1: horses is not a list of tables"],
    ["a list of values", 'name = "N"\nhorses = [1]', "f.toml:2:1: horses is not a list of tables"],
    [
      "a table that is none",
      'name = "N"\nyard = 3',
      "f.toml:2:1: yard is not a table. Begin it with a line [yard]",
    ],
    ["a value for a list", `${GOOD}hosts = 1`, "f.toml:20:1: horses[1].hosts is not a list"],
    ["a wrong item", `${GOOD}hosts = [1, 77]`, "f.toml:20:1: horses[1].hosts is out of range: 77"],
    ["a rule of one table", `${GOOD}rest = "9s"`, "f.toml:20:1: horses[1].rest has no hosts. Write some."],
    ["a date for a table", 'name = "N"\nyard = 1979-05-27', "f.toml:2:1: yard is not a table"],
  ];
  test.each(cases)("%s", (_, toml, finding) => {
    const { problems } = findings(toml);
    expect(problems).toHaveLength(1);
    expect(problems[0]).toStartWith(finding);
  });

  test("all of them together, and warnings of names with the nearest", () => {
    const { problems, warnings } = findings(
      'opne = true\n"a\\nb" = 1\n[yard]\nsize = "x"\n[[horses]]\nhots = 1\nrest = 0\nhosts = [1]',
    );
    expect(problems.map((problem) => problem.split(" is ")[0])).toEqual([
      "f.toml: name",
      "f.toml:4:1: yard.size",
      "f.toml:5:1: horses[0].target",
    ]);
    expect(warnings).toEqual([
      "f.toml:7:1: horses[0].rest is nothing. Write more.",
      "f.toml:6:1: horses[0].hots is not a key of this file. Did you mean hosts?",
      "f.toml:1:1: opne is not a key of this file. Did you mean open?",
      'f.toml:2:1: "a\\nb" is not a key of this file. The keys are name, open, owner, yard, horses.',
    ]);
  });

  test("what is not TOML, without its text", () => {
    expect(findings('name = "N"\nopen = "hunter2').problems[0]).toMatch(
      /^f\.toml:2:\d+ is not TOML: (?!.*hunter2)/,
    );
  });

  test("in any file, the line has the key's name", () => {
    const value = fc.oneof(
      fc.string(),
      fc.constantFrom("a\n]\nb", '"""', "'''", "x = 1\n[[horses]]"),
      fc.array(fc.string({ maxLength: 4 }), { maxLength: 3 }),
      fc.integer(),
    );
    const inner = fc.dictionary(fc.constantFrom("a", "b c", "target"), value, { maxKeys: 3 });
    const file = fc.record({ one: value, two: inner, horses: fc.array(inner, { maxLength: 3 }) });
    fc.assert(
      fc.property(file, (content) => {
        const toml = stringify(content);
        const lines = toml.split("\n");
        for (const warning of findings(toml).warnings) {
          const [, line, column, name = ""] =
            /^f\.toml:(\d+):(\d+): (?:.*\.)?([\w" ]+) is not a key/.exec(warning) ?? [];
          const there = lines[Number(line) - 1]?.slice(Number(column) - 1) ?? "";
          expect(there.replace(/^\[+(.*?\.)?/, "")).toStartWith(name);
        }
        expect(parse(toml)).toBeDefined();
      }),
    );
  });
});
