import { parse as parseToml, TomlError } from "smol-toml";
import { ConfigError, type Finding } from "../option/finding.ts";
import { nearest } from "../option/nearest.ts";
import type { Entries, Key, Keys, ListOfTables, Table, TableOf } from "../option/table.ts";
import { quote, ValueError } from "../option/value-error.ts";

/** Reads TOML files by the declarations of rooms. Findings say where: `routes.toml:12:1: routes[2].target is …`. */

/**
 * @param path for the findings, which never quote what is not TOML: it may be a password.
 * @throws {ConfigError} with every problem there is.
 */
export function readTable<K extends Keys>(
  toml: string,
  path: string,
  root: Table<K>,
): { readonly values: TableOf<K>; readonly warnings: readonly Finding[] } {
  const problems: Finding[] = [];
  const warnings: Finding[] = [];
  const raw = parseFile(toml, path);
  let positions: ReadonlyMap<string, string> | undefined;

  /** @param at what the finding is about, or, where that is not in the file, is missing from. */
  function report(to: Finding[], place: string, problem: string, remedy: string, at = place): void {
    positions ??= positionsIn(toml);
    const position = positions.get(at);
    to.push({
      option: `${path}${position === undefined ? "" : `:${position}`}: ${place}`,
      problem,
      remedy,
    });
  }

  /** @param fallback for what is not in the table itself. */
  function read(table: Table, found: Raw, place: string, fallback?: Fallback): Record<string, unknown> {
    const values: Record<string, unknown> = {};
    for (const [field, key] of Object.entries(table.keys)) {
      const inherited = fallback !== undefined && !(key.name in found) && key.name in fallback.table;
      const here = placeIn(inherited ? fallback.place : place, key.name);
      const value = inherited ? fallback.table[key.name] : found[key.name];
      if (value === undefined && "optional" in key && key.optional) values[field] = undefined;
      else if ("tables" in key) {
        const all = value ?? [];
        const defaults = defaultsOf(key, found, place);
        if (Array.isArray(all) && all.every(isTable))
          values[field] = all.map((one, index) => read(key.tables, one, `${here}[${index}]`, defaults));
        else report(problems, here, "is not a list of tables", `Begin each with a line [[${here}]].`);
      } else if ("table" in key) {
        if (isTable(value ?? {})) values[field] = read(key.table, (value ?? {}) as Raw, here);
        else report(problems, here, "is not a table", `Begin it with a line [${here}].`);
      } else if ("entry" in key) {
        if (isTable(value ?? {})) values[field] = readEntries(key, (value ?? {}) as Raw, here);
        else report(problems, here, "is not a table", `Begin it with a line [${here}].`);
      } else if (value === undefined && key.default === undefined) {
        report(problems, here, "is missing", `Add a line: ${exampleOf(key)}`, place);
      } else {
        try {
          values[field] = key.parse(value ?? key.default);
        } catch (error) {
          if (!(error instanceof ValueError)) throw error;
          report(problems, here, error.problem, error.remedy);
        }
      }
    }
    table.check?.(values, (severity, field, problem, remedy) => {
      const name = table.keys[field]?.name;
      const here = name === undefined ? field : placeIn(place, name);
      const at = name === undefined || name in found ? here : place;
      report(severity === "error" ? problems : warnings, here, problem, remedy, at);
    });
    reportUnknown(table, found, place);
    return values;
  }

  function readEntries({ entry }: Entries<unknown>, found: Raw, place: string): ReadonlyMap<string, unknown> {
    const values = new Map<string, unknown>();
    for (const [name, value] of Object.entries(found)) {
      try {
        values.set(name, entry(value, name));
      } catch (error) {
        if (!(error instanceof ValueError)) throw error;
        report(problems, placeIn(place, name), error.problem, error.remedy);
      }
    }
    return values;
  }

  function defaultsOf({ defaults, tables }: ListOfTables, found: Raw, place: string): Fallback | undefined {
    const table = defaults === undefined ? undefined : found[defaults];
    if (defaults === undefined || table === undefined) return undefined;
    const here = placeIn(place, defaults);
    if (isTable(table)) {
      reportUnknown(tables, table, here);
      return { table, place: here };
    }
    report(problems, here, "is not a table", `Begin it with a line [${here}].`);
    return undefined;
  }

  function reportUnknown(table: Table, found: Raw, place: string): void {
    const keys = Object.values(table.keys);
    const names = keys.flatMap((key) =>
      "tables" in key && key.defaults ? [key.name, key.defaults] : key.name,
    );
    for (const name of Object.keys(found)) {
      if (names.includes(name)) continue;
      const meant = nearest(name, names);
      const remedy = meant === undefined ? `The keys are ${names.join(", ")}.` : `Did you mean ${meant}?`;
      const to = table.unknown === "error" ? problems : warnings;
      report(to, placeIn(place, name), "is not a key of this file", remedy);
    }
  }

  const values = read(root, raw, "");
  // What is wrong with a default is found once for each table that has it.
  if (problems.length > 0) throw new ConfigError(uniqueOf(problems), warnings);
  // Without a problem, every key that is declared has its value.
  return { values: values as TableOf<K>, warnings };
}

function uniqueOf(findings: readonly Finding[]): readonly Finding[] {
  return [...new Map(findings.map((finding) => [JSON.stringify(finding), finding])).values()];
}

type Raw = Readonly<Record<string, unknown>>;
type Fallback = { readonly table: Raw; readonly place: string };

function isTable(value: unknown): value is Raw {
  return typeof value === "object" && value !== null && !Array.isArray(value) && !(value instanceof Date);
}

function exampleOf({ name, example }: Key<unknown>): string {
  // What JSON writes of texts, numbers, switches and lists of them, TOML reads.
  return `${name} = ${JSON.stringify(example)}`;
}

function placeIn(table: string, name: string): string {
  const shown = /^[\w-]{1,40}$/.test(name) ? name : quote(name);
  return table === "" ? shown : `${table}.${shown}`;
}

function parseFile(toml: string, path: string): Raw {
  try {
    return parseToml(toml);
  } catch (error) {
    if (!(error instanceof TomlError)) throw error;
    // The lines after the first quote the file, and with it perhaps a password.
    const reason = error.message.split("\n", 1)[0]?.replace(/^.*?: /, "") ?? "";
    throw new ConfigError([
      {
        option: `${path}:${error.line}:${error.column}`,
        problem: `is not TOML: ${reason}`,
        remedy: "Put texts in quotes, and long ones between three quotes.",
      },
    ]);
  }
}

/**
 * `line:column` of every key and table of a file that is TOML. The parser tells where it finds a mistake and of nothing else,
 * but it says where each statement ends when it is given one line more until it takes them.
 */
function positionsIn(toml: string): ReadonlyMap<string, string> {
  const positions = new Map<string, string>();
  /** Of each list of tables, how many have begun. */
  const begun = new Map<string, number>();
  const lines = toml.replace(/^\ufeff/, "").split("\n");
  let table = "";

  /** The table that a header names: of a list, the one that has begun last. */
  function enter(header: Raw): string {
    let place = "";
    for (let inside: unknown = header; isTable(inside); ) {
      const [entry] = Object.entries(inside);
      if (entry === undefined) break;
      place = placeIn(place, entry[0]);
      const begins = Array.isArray(entry[1]);
      if (begins) begun.set(place, (begun.get(place) ?? 0) + 1);
      const count = begun.get(place);
      if (count !== undefined) place += `[${count - 1}]`;
      inside = begins ? undefined : entry[1];
    }
    return place;
  }

  function mark(value: unknown, place: string, position: string): void {
    if (place !== "" && !positions.has(place)) positions.set(place, position);
    const inside: [string, unknown][] = Array.isArray(value)
      ? value.map((item, index) => [`${place}[${index}]`, item])
      : isTable(value)
        ? Object.entries(value).map(([name, item]) => [placeIn(place, name), item])
        : [];
    for (const [below, item] of inside) mark(item, below, position);
  }

  for (let start = 0, end = 0; start < lines.length; start = end) {
    const first = lines[start] ?? "";
    const position = `${start + 1}:${first.search(/\S/) + 1}`;
    let statement: Raw | undefined;
    for (end = start + 1; statement === undefined && end <= lines.length; end++) {
      // Whatever goes on over several lines ends with one of these.
      if (end > start + 1 && !/"""|'''|[\]}]/.test(lines[end - 1] ?? "")) continue;
      statement = tryToParse(`${lines.slice(start, end).join("\n")}\n`);
      if (statement !== undefined) break;
    }
    if (statement === undefined) break;
    if (first.trimStart().startsWith("[")) {
      table = enter(statement);
      if (!positions.has(table)) positions.set(table, position);
    } else mark(statement, table, position);
  }
  return positions;
}

function tryToParse(toml: string): Raw | undefined {
  try {
    return parseToml(toml);
  } catch (error) {
    if (error instanceof TomlError) return undefined;
    throw error;
  }
}
