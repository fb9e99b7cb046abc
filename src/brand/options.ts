import { readdirSync } from "node:fs";
import { isAbsolute, resolve } from "node:path";
import { type Declaration, type OptionsOf, unset } from "../option/option.ts";
import { quote, ValueError } from "../option/value-error.ts";
import { parseAccent } from "./color.ts";
import { readLine } from "./files.ts";

export type BrandOptions = OptionsOf<typeof BRAND_OPTIONS>;

export const BRAND_OPTIONS = {
  appName: {
    name: "RUNEGATE_APP_NAME",
    parse: appName,
    default: {
      described: "the host of `RUNEGATE_BASE_URL`",
      text: (known) => new URL(known.textOf("baseUrl")).host,
    },
    help: "What people sign in to, as pages and mails call it; of several applications, each goes by its `title`.",
  },
  /** Absolute path of the directory. */
  brand: {
    name: "RUNEGATE_BRAND",
    parse: brandDirectory,
    default: unset(""),
    help:
      "A directory with `logo.svg` or `logo.png` and `style.css`, served at `/_runegate/brand/`; `accent`, a color such as " +
      "`#0e5f63`; and `contact`, an address or a line of text for whoever needs access. Mails have a " +
      "`logo.png` of up to 64 KiB with them. Read at the start and at a reload; it must hold nothing but such files, and " +
      "not be writable for the service.",
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
  const accent = readLine(text, "accent");
  if (accent !== undefined && parseAccent(accent) === undefined) {
    throw new ValueError(`has an accent that is no color: ${quote(accent)}`, "Write one such as #0e5f63.");
  }
  return isAbsolute(text) ? text : resolve(text);
}

/** One line that fits a title and a subject. */
export function appName(text: string): string {
  if (text.length <= 60 && !/\p{Cc}|\*\*|[{}]/u.test(text)) return text;
  throw new ValueError(
    `is no name for an application: ${quote(text)}`,
    "Write up to 60 letters, such as Lab.",
  );
}
