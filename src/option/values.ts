import { type Parser, quote, ValueError } from "./value-error.ts";

/** Parsers for the plain kinds of value. Each takes trimmed text and throws {@link ValueError}. */

const TRUE = new Set(["true", "1", "yes", "on"]);
const FALSE = new Set(["false", "0", "no", "off"]);

export function boolean(text: string): boolean {
  const word = text.toLowerCase();
  if (TRUE.has(word)) return true;
  if (FALSE.has(word)) return false;
  throw new ValueError(`is neither true nor false: ${quote(text)}`, "Write true or false.");
}

/** One of a few words, in any case. */
export function choice<const Word extends string>(...words: readonly Word[]): Parser<Word> {
  return (text) => {
    const found = words.find((word) => word === text.toLowerCase());
    if (found !== undefined) return found;
    throw new ValueError(`is not one of its values: ${quote(text)}`, `Write ${words.join(" or ")}.`);
  };
}

/** A whole decimal number with `min <= n <= max`. */
export function integer(min: number, max: number): Parser<number> {
  return (text) => {
    const remedy = `Write a whole number from ${min} to ${max}.`;
    if (!/^[0-9]{1,15}$/.test(text)) throw new ValueError(`is not a whole number: ${quote(text)}`, remedy);
    const number = Number(text);
    if (number < min || number > max) throw new ValueError(`is out of range: ${number}`, remedy);
    return number;
  };
}

export const SECOND = 1_000;
export const MINUTE = 60 * SECOND;
export const HOUR = 60 * MINUTE;
export const DAY = 24 * HOUR;

const UNITS = { ms: 1, s: SECOND, m: MINUTE, h: HOUR, d: DAY } as const;
export type DurationUnit = keyof typeof UNITS;

const UNIT_NAMES: Readonly<Record<DurationUnit, string>> = {
  ms: "milliseconds",
  s: "seconds",
  m: "minutes",
  h: "hours",
  d: "days",
};

/**
 * A whole number with a unit (`500ms`, `90s`, `15m`, `12h`, `7d`), or without one, then in `bare`.
 * @param min milliseconds, and so is `max` and what the parser returns.
 */
export function duration(bare: DurationUnit, min: number, max: number): Parser<number> {
  return (text) => {
    const match = /^([0-9]{1,15}) ?(ms|s|m|h|d)?$/i.exec(text);
    if (match === null) {
      throw new ValueError(
        `is not a duration: ${quote(text)}`,
        `Write a whole number with a unit, such as 90s, 15m, 12h or 7d, or a plain number of ${UNIT_NAMES[bare]}.`,
      );
    }
    const [, digits, unit] = match;
    const milliseconds = Number(digits) * UNITS[(unit?.toLowerCase() ?? bare) as DurationUnit];
    if (milliseconds < min || milliseconds > max) {
      throw new ValueError(
        `is out of range: ${quote(text)}`,
        `Write a duration from ${formatDuration(min)} to ${formatDuration(max)}.`,
      );
    }
    return milliseconds;
  };
}

/** The shortest text that {@link duration} reads as `milliseconds`, whatever its bare unit. */
export function formatDuration(milliseconds: number): string {
  if (milliseconds === 0) return "0";
  for (const unit of ["d", "h", "m", "s"] as const) {
    if (milliseconds % UNITS[unit] === 0) return `${milliseconds / UNITS[unit]}${unit}`;
  }
  return `${milliseconds}ms`;
}

export const KIB = 2 ** 10;
export const MIB = 2 ** 20;

const SIZES: Readonly<Record<string, number>> = {
  b: 1,
  kb: 1e3,
  mb: 1e6,
  gb: 1e9,
  tb: 1e12,
  kib: KIB,
  mib: MIB,
  gib: 2 ** 30,
  tib: 2 ** 40,
};

/** A size in bytes: `10MiB`, `1GB`, plain bytes, or `unlimited` (undefined). */
export function byteSize(text: string): number | undefined {
  if (text.toLowerCase() === "unlimited") return undefined;
  const match = /^([0-9]{1,15}) ?([kmgt]?i?b)?$/i.exec(text);
  const factor = SIZES[match?.[2]?.toLowerCase() ?? "b"];
  if (match === null || factor === undefined) {
    throw new ValueError(
      `is not a size: ${quote(text)}`,
      "Write a whole number with a unit, such as 10MiB or 1GB, a plain number of bytes, or unlimited.",
    );
  }
  const bytes = Number(match[1]) * factor;
  if (bytes < 1 || bytes > Number.MAX_SAFE_INTEGER) {
    throw new ValueError(`is out of range: ${quote(text)}`, "Write at least 1 byte, or unlimited.");
  }
  return bytes;
}

/** As {@link byteSize}, for what has to have a limit, which is one of at most `max` bytes. */
export function boundedSize(max: number): Parser<number> {
  return (text) => {
    const bytes = byteSize(text);
    if (bytes !== undefined && bytes <= max) return bytes;
    throw new ValueError(`is out of range: ${quote(text)}`, `Write a size of at most ${max / 2 ** 20}MiB.`);
  };
}

/** Longest path of a unix socket: `sun_path` of `sockaddr_un` (unix(7)) less its NUL. */
const MAX_SOCKET_PATH = 107;

export function filePath(text: string): string {
  if (/[\0\r\n]/.test(text)) {
    throw new ValueError(
      "contains a control character",
      "Write a file name without line breaks or NUL bytes.",
    );
  }
  return text;
}

/** An absolute path short enough for a unix socket. */
export function socketPath(text: string): string {
  const path = filePath(text);
  if (!/^\/(?!\/)/.test(path) || path.endsWith("/")) {
    throw new ValueError(
      `is not the absolute path of a socket: ${quote(text)}`,
      "Write the full path, starting with a slash.",
    );
  }
  if (Buffer.byteLength(path) > MAX_SOCKET_PATH) {
    throw new ValueError(
      `is too long for a unix socket: ${Buffer.byteLength(path)} bytes`,
      `Choose a path of at most ${MAX_SOCKET_PATH} bytes.`,
    );
  }
  return path;
}

/** Permission bits as chmod(1) takes them in octal. */
export function fileMode(text: string): number {
  if (!/^0?[0-7]{3}$/.test(text)) {
    throw new ValueError(`is not a mode in octal: ${quote(text)}`, "Write one such as 0600 or 0660.");
  }
  return Number.parseInt(text, 8);
}

/** The name of a group, as groupadd(8) takes it, or its number. */
export function groupName(text: string): string {
  if (!/^(?:[a-z_][a-z0-9_-]*\$?|\d{1,10})$/i.test(text)) {
    throw new ValueError(`is not the name of a group: ${quote(text)}`, "Write a name or a number.");
  }
  return text;
}

/** The items of a list separated by commas or white space, without empty ones. */
export function items(text: string): string[] {
  return text.split(/[\s,]+/).filter((item) => item !== "");
}

/**
 * A list whose items `parse` reads; every bad item is named in one error. Empty text is the empty list, text
 * without an item (`,`) is a mistake.
 */
export function list<T>(parse: Parser<T>): Parser<T[]> {
  return (text) => {
    const found = items(text);
    if (found.length === 0 && text !== "") {
      throw new ValueError("is a list of nothing", "Write at least one item, or leave the option out.");
    }
    return each(found, parse);
  };
}

/** Reads each of several values. @throws {ValueError} that names every bad one. */
export function each<Item, T>(found: readonly Item[], parse: (item: Item) => T): T[] {
  const errors: ValueError[] = [];
  const values = found.flatMap((item) => {
    try {
      return [parse(item)];
    } catch (error) {
      if (!(error instanceof ValueError)) throw error;
      errors.push(error);
      return [];
    }
  });
  if (errors.length === 0) return values;
  const remedies = new Set(errors.map((error) => error.remedy));
  throw new ValueError(errors.map((error) => error.problem).join("; "), [...remedies].join(" "));
}
