import { readdirSync } from "node:fs";
import { isAbsolute, resolve } from "node:path";
import { type Declaration, unset } from "../option/option.ts";
import { quote, ValueError } from "../option/value-error.ts";

export const BRAND_OPTIONS = {
  /** Absolute path of the directory. */
  brand: {
    name: "RUNEGATE_BRAND",
    parse: brandDirectory,
    default: unset(""),
    help:
      "A directory with `logo.svg` or `logo.png` and `style.css`, served at `/_runegate/brand/`. Read at the start and " +
      "at a reload; it must hold nothing but such files, and not be writable for the service.",
  },
} satisfies Declaration;

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
