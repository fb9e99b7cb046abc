import { readFileSync } from "node:fs";
import { join } from "node:path";
import { readTree } from "./imports.ts";

/**
 * How large the house is beside what it should be at most: every line of TypeScript in `src`, comments and empty ones too. Run
 * by itself it prints the table that `npm run docs` writes to src/README.md.
 */

/** What an audit reads. Folders end in a slash. */
const CORE = ["identity/", "secret/", "edge/", "access/", "session/", "login/", "limits/", "challenge/", "inline/", "forward-auth/", "proxy/headers.ts"];

const src = join(import.meta.dir, "../src");

/** The files that decide who gets in, as src/README.md lists them. */
export function decidingFiles(): string[] {
  const page = readFileSync(join(src, "README.md"), "utf8");
  const [, list = ""] = /lines together[^\n]*\n\n((?:- .*\n)+)/.exec(page) ?? [];
  return Array.from(list.matchAll(/`([\w/-]+\.ts)`/g), ([, file = ""]) => file);
}

/** @param places paths of files, or what the paths of several begin with: folders, or nothing for all. */
export function countLines(places: readonly string[]): number {
  const isCounted = (path: string) =>
    places.some((place) => path === place || (!place.endsWith(".ts") && path.startsWith(place)));
  return Object.entries(readTree(src)).reduce(
    (sum, [path, text]) => (isCounted(path) ? sum + text.split("\n").length - 1 : sum),
    0,
  );
}

/** @returns a table in Markdown. */
export function renderSizes(): string {
  const sums = [
    ["everything", [""], 15_900],
    ["`store/` with its back-ends", ["store/"], 2_300],
    ["`process/`", ["process/"], 1_200],
    [`what an audit reads: ${CORE.map((place) => `\`${place}\``).join(", ")}`, CORE, 3_300],
    ["what decides who gets in (below)", decidingFiles(), 900],
  ] as const;
  const rows = sums.map(([what, places, goal]) => {
    const lines = countLines(places);
    return `| ${what} | ${numeral(lines)} | ${numeral(goal)} | ${lines > goal ? `${numeral(lines - goal)} over` : "holds"} |`;
  });
  return ["| | lines | goal | |", "| --- | ---: | ---: | --- |", ...rows].join("\n");
}

const numeral = (number: number) => number.toLocaleString("en");

if (import.meta.main) console.log(renderSizes());
