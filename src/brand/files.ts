import { lstatSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { KIB } from "../option/values.ts";
import { type Accent, parseAccent } from "./color.ts";

/** What `RUNEGATE_BRAND` holds, read at the start and again at a reload. Only plain files count: a link could lead anywhere. */

/** The files that browsers may have; nothing else of the directory is anybody's business. */
const SERVED = ["logo.svg", "logo.png", "style.css"] as const;
export type Served = (typeof SERVED)[number];

/** Of a file that holds one line. */
const MOST_CHARACTERS = 200;

const MOST_LOGO_BYTES = 64 * KIB;
/** How such a file begins (PNG specification §5.2). */
const PNG = Buffer.from([0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a]);

export type Brand = {
  readonly served: ReadonlySet<Served>;
  /** Undefined without a file `accent`, or where it is no color. */
  readonly accent: Accent | undefined;
  readonly contact: string | undefined;
  /** `logo.png`: programs that show mail know no SVG. */
  readonly mailLogo: Buffer | undefined;
};

const NONE: Brand = { served: new Set(), accent: undefined, contact: undefined, mailLogo: undefined };

export function readBrand(directory: string | undefined): Brand {
  if (directory === undefined) return NONE;
  const accent = readLine(directory, "accent");
  return {
    served: new Set(SERVED.filter((name) => isPlainFile(directory, name))),
    accent: accent === undefined ? undefined : parseAccent(accent),
    contact: readLine(directory, "contact"),
    mailLogo: readMailLogo(directory),
  };
}

/** The one line of a file; undefined where there is none, or another length of text. */
export function readLine(directory: string, name: "accent" | "contact"): string | undefined {
  if (!isPlainFile(directory, name)) return undefined;
  const text = readFileSync(join(directory, name), "utf8").trim();
  return text === "" || text.length > MOST_CHARACTERS || /\p{Cc}/u.test(text) ? undefined : text;
}

/** Undefined where there is none, or one that is no PNG or too large to be in every mail. */
function readMailLogo(directory: string): Buffer | undefined {
  if (!isPlainFile(directory, "logo.png")) return undefined;
  const content = readFileSync(join(directory, "logo.png"));
  return content.length <= MOST_LOGO_BYTES && content.subarray(0, PNG.length).equals(PNG)
    ? content
    : undefined;
}

function isPlainFile(directory: string, name: string): boolean {
  return lstatSync(join(directory, name), { throwIfNoEntry: false })?.isFile() === true;
}
