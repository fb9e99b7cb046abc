import { readdirSync } from "node:fs";
import { isAbsolute, resolve } from "node:path";
import { quote, ValueError } from "../option/value-error.ts";

/**
 * `RUNEGATE_BRAND`: a directory of a few files. Every file below it is looked at once, so one that holds folders is none.
 * @throws {ValueError}
 */
export function brandDirectory(text: string): string {
  const remedy = "Write a directory of its own for logo.svg or logo.png, and style.css.";
  let entries: readonly { isDirectory(): boolean }[];
  try {
    entries = readdirSync(text, { withFileTypes: true });
  } catch {
    throw new ValueError(`is not a directory that can be read: ${quote(text)}`, remedy);
  }
  if (entries.some((entry) => entry.isDirectory())) {
    throw new ValueError(`holds folders: ${quote(text)}`, remedy);
  }
  return isAbsolute(text) ? text : resolve(text);
}
