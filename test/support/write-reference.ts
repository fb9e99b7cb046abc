import { readFileSync, writeFileSync } from "node:fs";
import { renderBasics, renderReference } from "./reference.ts";

/**
 * Writes what the declarations say into the pages, between their markers.
 * With `--check` it writes nothing and exits 1 if a page is not up to date.
 */

const PAGES = { "README.md": renderBasics, "deploy/OPTIONS.md": renderReference } as const;
const START = "<!-- options -->";
const END = "<!-- /options -->";

export function withReference(page: string, reference: string): string {
  const start = page.indexOf(START);
  const end = page.indexOf(END, start);
  if (start === -1 || end === -1) throw new Error(`The page needs the markers ${START} and ${END}.`);
  return `${page.slice(0, start + START.length)}\n\n${reference}\n\n${page.slice(end)}`;
}

if (import.meta.main) {
  for (const [name, render] of Object.entries(PAGES)) {
    const path = new URL(`../../${name}`, import.meta.url);
    const page = readFileSync(path, "utf8");
    const written = withReference(page, render());
    if (!process.argv.includes("--check")) {
      writeFileSync(path, written);
    } else if (written !== page) {
      console.error(`The options in ${name} are out of date: run \`npm run docs\`.`);
      process.exitCode = 1;
    }
  }
}
