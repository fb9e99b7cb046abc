import { readFileSync, writeFileSync } from "node:fs";
import { renderSizes } from "../../.ci/sizes.ts";
import { renderEvents } from "./audit-events.ts";
import { withChartOptions } from "./chart-options.ts";
import { renderBasics, renderReference } from "./reference.ts";

/**
 * Writes what the declarations say into the pages, and how large the house is, between their markers; and the names of the options
 * into the schema of the Helm chart's values.
 * With `--check` it writes nothing and exits 1 if a page is not up to date.
 */

const PAGES = [
  ["README.md", "options", renderBasics],
  ["deploy/OPTIONS.md", "options", renderReference],
  ["deploy/AUDIT.md", "events", renderEvents],
  ["src/README.md", "sizes", renderSizes],
] as const;
const SCHEMA = "deploy/helm/values.schema.json";

export function withReference(page: string, reference: string, marker = "options"): string {
  const [opening, closing] = [`<!-- ${marker} -->`, `<!-- /${marker} -->`];
  const start = page.indexOf(opening);
  const end = page.indexOf(closing, start);
  if (start === -1 || end === -1) throw new Error(`The page needs the markers ${opening} and ${closing}.`);
  return `${page.slice(0, start + opening.length)}\n\n${reference}\n\n${page.slice(end)}`;
}

if (import.meta.main) {
  const written: [name: string, what: string, write: (page: string) => string][] = [
    ...PAGES.map(([name, marker, render]): [string, string, (page: string) => string] => [
      name,
      marker,
      (page) => withReference(page, render(), marker),
    ]),
    [SCHEMA, "options", withChartOptions],
  ];
  for (const [name, what, write] of written) {
    const path = new URL(`../../${name}`, import.meta.url);
    const before = readFileSync(path, "utf8");
    const after = write(before);
    if (!process.argv.includes("--check")) {
      writeFileSync(path, after);
    } else if (after !== before) {
      console.error(`The ${what} in ${name} are out of date: run \`npm run docs\`.`);
      process.exitCode = 1;
    }
  }
}
