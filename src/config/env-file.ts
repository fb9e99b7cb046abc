import type { Finding } from "../option/finding.ts";

/**
 * The env file: `NAME=value` lines, in the part of the syntax that systemd's `EnvironmentFile=` and dotenv readers
 * agree on. Where the two would read different values out of a line, it is an error here, so that a file means the
 * same whoever reads it.
 *
 * - blank lines, and lines that start with `#` or `;`, are skipped;
 * - an unquoted value is literal and ends with the line, less the blanks around it;
 * - in single quotes everything is literal;
 * - in double quotes `\"`, `\\`, `\$` and `` \` `` stand for the second character;
 * - nothing is expanded.
 */

export type EnvEntry = { readonly value: string; readonly line: number };

export type EnvFile = {
  readonly entries: ReadonlyMap<string, EnvEntry>;
  readonly problems: readonly Finding[];
  readonly warnings: readonly Finding[];
};

/**
 * Parses the whole file; `path` is only for the findings, which name lines and never quote values.
 * A name that is set twice has its last value, with a warning.
 */
export function parseEnvFile(text: string, path: string): EnvFile {
  const entries = new Map<string, EnvEntry>();
  const problems: Finding[] = [];
  const warnings: Finding[] = [];
  for (const [index, raw] of text
    .replace(/^\ufeff/, "")
    .split("\n")
    .entries()) {
    const line = index + 1;
    const read = parseLine(raw.replace(/\r$/, ""));
    if (read === undefined) continue;
    if ("problem" in read) {
      problems.push({ option: `${path}:${line}`, ...read });
      continue;
    }
    const earlier = entries.get(read.name);
    if (earlier !== undefined && earlier.value !== "") {
      warnings.push({
        option: read.name,
        problem: `is set twice, on lines ${earlier.line} and ${line} of ${path}`,
        remedy: "The last one counts; remove the other.",
      });
    }
    entries.set(read.name, { value: read.value, line });
  }
  return { entries, problems, warnings };
}

type Line =
  | { readonly name: string; readonly value: string }
  | { readonly problem: string; readonly remedy: string };

const QUOTE_IT = "Put the value in single quotes.";

function parseLine(raw: string): Line | undefined {
  const text = raw.trim();
  if (text === "" || text.startsWith("#") || text.startsWith(";")) return undefined;
  if (/[\p{Cc}\ufffd]/u.test(text.replaceAll("\t", ""))) {
    return { problem: "contains a control character or is not UTF-8", remedy: "Write plain text." };
  }
  if (/^export\s/.test(text)) {
    return {
      problem: "starts with export, which systemd does not understand",
      remedy: "Write NAME=value alone.",
    };
  }
  const match = /^([A-Za-z_][A-Za-z0-9_]*)\s*=\s*(.*)$/.exec(text);
  if (match === null) return { problem: "is not of the form NAME=value", remedy: "Start comments with #." };
  const [, name = "", value = ""] = match;
  if (value.startsWith("'")) return singleQuoted(name, value);
  if (value.startsWith('"')) return doubleQuoted(name, value);
  if (/['"\\]/.test(value)) {
    return { problem: `(${name}) has a quote or a backslash in an unquoted value`, remedy: QUOTE_IT };
  }
  if (/(?:^|\s)#/.test(value)) {
    return {
      problem: `(${name}) has a # that some readers take for a comment`,
      remedy: "Put the value in single quotes, or the comment on a line of its own.",
    };
  }
  return { name, value };
}

function singleQuoted(name: string, value: string): Line {
  const end = value.indexOf("'", 1);
  if (end === -1) return unterminated(name);
  if (end !== value.length - 1) return trailing(name);
  return { name, value: value.slice(1, end) };
}

function doubleQuoted(name: string, value: string): Line {
  let unquoted = "";
  for (let index = 1; index < value.length; index++) {
    const char = value[index];
    if (char === '"') return index === value.length - 1 ? { name, value: unquoted } : trailing(name);
    if (char !== "\\") {
      unquoted += char;
      continue;
    }
    index++;
    const escaped = value[index] ?? "";
    if (escaped === "" || !'"\\$`'.includes(escaped)) {
      return { problem: `(${name}) has a backslash that stands for nothing`, remedy: QUOTE_IT };
    }
    unquoted += escaped;
  }
  return unterminated(name);
}

function unterminated(name: string): Line {
  return {
    problem: `(${name}) has a quote that is not closed`,
    remedy: "Close it on the same line; a value is one line.",
  };
}

function trailing(name: string): Line {
  return {
    problem: `(${name}) goes on after its closing quote`,
    remedy: "Quote the value as a whole; put comments on lines of their own.",
  };
}
