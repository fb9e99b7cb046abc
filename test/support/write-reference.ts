import { readFileSync, writeFileSync } from "node:fs";
import { renderReference } from "../../src/config/reference.ts";

/**
 * Writes the option reference into the README, between its markers.
 * With `--check` it writes nothing and exits 1 if the README is not up to date.
 */

const README = new URL("../../README.md", import.meta.url);
const START = "<!-- options -->";
const END = "<!-- /options -->";

export function withReference(readme: string): string {
  const start = readme.indexOf(START);
  const end = readme.indexOf(END, start);
  if (start === -1 || end === -1) throw new Error(`README.md needs the markers ${START} and ${END}.`);
  return `${readme.slice(0, start + START.length)}\n\n${renderReference()}\n\n${readme.slice(end)}`;
}

if (import.meta.main) {
  const readme = readFileSync(README, "utf8");
  const written = withReference(readme);
  if (!process.argv.includes("--check")) {
    writeFileSync(README, written);
  } else if (written !== readme) {
    console.error("The option reference in README.md is out of date: run `npm run docs`.");
    process.exit(1);
  }
}
