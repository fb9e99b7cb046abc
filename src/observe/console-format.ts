import { createLineTime } from "./line-time.ts";
import type { Level, LineFormat } from "./logger.ts";
import { escapeUnsafe, unicodeEscape } from "./unsafe-characters.ts";

const COLORS: Readonly<Record<Level, string>> = {
  error: "\x1b[31m",
  warn: "\x1b[33m",
  info: "\x1b[32m",
  debug: "\x1b[36m",
  trace: "\x1b[35m",
};
const DIM = "\x1b[2m";
const PLAIN = "\x1b[0m";

/**
 * Lines for people, in local time: `12:34:56.789 INFO  mail   message  key=value key="with space"`.
 *
 * Two blanks in a row stand only between message and fields, and a value with anything but plain printable characters
 * is quoted, so a line reads one way only.
 */
export function createConsoleFormat(color: boolean): LineFormat {
  // `hh:mm:ss.mmm`, local.
  const clockTime = createLineTime((second) => new Date(second).toTimeString().slice(0, 8));
  const dim = color ? DIM : "";
  const plain = color ? PLAIN : "";

  return (level, module) => {
    const name = level.toUpperCase().padEnd(5);
    const head = ` ${color ? COLORS[level] : ""}${name}${plain} ${module.padEnd(6)} `;

    return (time, message, fields) => {
      let line = dim + clockTime(time) + plain + head + messageText(message);
      if (fields === undefined) return line;
      let separator = "  ";
      for (const key of Object.keys(fields)) {
        const value = fields[key];
        if (value === undefined) continue;
        const text = typeof value === "string" ? valueText(value) : String(value);
        line += `${separator}${dim}${valueText(key)}=${plain}${text}`;
        separator = " ";
      }
      return line;
    };
  };
}

const PRINTABLE = /^[\x20-\x7e]*$/;
const LOOSE_BLANK = /^ | (?= )| $/g;

function messageText(message: string): string {
  const text = PRINTABLE.test(message) ? message : escapeUnsafe(message);
  return text.includes("  ") || text.startsWith(" ") || text.endsWith(" ")
    ? text.replace(LOOSE_BLANK, unicodeEscape)
    : text;
}

/** Printable ASCII without blank, `"`, `=` and `\`. */
const BARE = /^[!#-<>-[\]-~]+$/;

function valueText(value: string): string {
  if (BARE.test(value)) return value;
  return `"${escapeUnsafe(value.replace(/["\\]/g, "\\$&"))}"`;
}
