import { readFileSync, writeFileSync } from "node:fs";
import { renderSizes } from "../../.ci/sizes.ts";
import { renderBasics, renderReference } from "./reference.ts";

/**
 * Writes what the declarations say into the pages, and how large the house is, between their markers.
 * With `--check` it writes nothing and exits 1 if a page is not up to date.
 */

const PAGES = [
  ["README.md", "options", renderBasics],
  ["deploy/OPTIONS.md", "options", renderReference],
  ["src/README.md", "sizes", renderSizes],
] as const;

export function withReference(page: string, reference: string, marker = "options"): string {
  const [opening, closing] = [`<!-- ${marker} -->`, `<!-- /${marker} -->`];
  const start = page.indexOf(opening);
  const end = page.indexOf(closing, start);
  if (start === -1 || end === -1) throw new Error(`The page needs the markers ${opening} and ${closing}.`);
  return `${page.slice(0, start + opening.length)}\n\n${reference}\n\n${page.slice(end)}`;
}

if (import.meta.main) {
  for (const [name, marker, render] of PAGES) {
    const path = new URL(`../../${name}`, import.meta.url);
    const page = readFileSync(path, "utf8");
    const written = withReference(page, render(), marker);
    if (!process.argv.includes("--check")) {
      writeFileSync(path, written);
    } else if (written !== page) {
      console.error(`The ${marker} in ${name} are out of date: run \`npm run docs\`.`);
      process.exitCode = 1;
    }
  }
}
