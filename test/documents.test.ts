import { describe, expect, test } from "bun:test";
import { existsSync, readdirSync, readFileSync, statSync } from "node:fs";
import { dirname, join } from "node:path";
import { countLines, decidingFiles } from "../.ci/sizes.ts";
import manifest from "../package.json" with { type: "json" };
import { findCommand } from "../src/commands/list.ts";

/** The pages for people who join stay true: what they count, name and link to is there. */

const root = join(import.meta.dir, "..");
const read = (path: string) => readFileSync(join(root, path), "utf8");
const folders = (path: string) =>
  readdirSync(join(root, path)).filter((name) => statSync(join(root, path, name)).isDirectory());

const PAGES = [
  "README.md",
  "CHANGELOG.md",
  "deploy/OPTIONS.md",
  "deploy/AUDIT.md",
  "deploy/SCALE.md",
  "deploy/edges/README.md",
  "src/README.md",
  "src/CONTRACT.md",
  "test/README.md",
  ".github/CONTRIBUTING.md",
  ".github/SECURITY.md",
];

/** As forges make them of headings. */
const anchorsOf = (page: string) =>
  [...page.matchAll(/^#+ (.+)$/gm)].map(([, title = ""]) =>
    title
      .toLowerCase()
      .replaceAll(/[^\w\s-]/g, "")
      .replaceAll(" ", "-"),
  );

test.each(PAGES)("the links of %s lead somewhere", (page) => {
  const links = [...read(page).matchAll(/\]\(([^)\s]+)\)/g)].map(([, link = ""]) => link);
  for (const link of links.filter((one) => !one.startsWith("https:"))) {
    const [path = "", anchor] = link.split("#");
    const target = path === "" ? page : join(dirname(page), path);
    expect([link, existsSync(join(root, target))]).toEqual([link, true]);
    if (anchor !== undefined) {
      const there = anchorsOf(read(target)).includes(anchor);
      expect([link, there]).toEqual([link, true]);
    }
  }
});

test.each(["CONTRIBUTING.md", "SECURITY.md"])(".github/%s names scripts that are there", (page) => {
  const names = [...read(`.github/${page}`).matchAll(/npm run ([\w:]+)/g)].map(([, name = ""]) => name);
  expect(names.filter((name) => !(name in manifest.scripts))).toEqual([]);
});

test.each([...PAGES, "deploy/README.md"])("%s names commands and flags that are there", async (page) => {
  // `runegate` with nothing before it but a line's indentation or a quoting mark, so that paths and prose do not count.
  for (const [line, name = "", flags = ""] of read(page).matchAll(
    /(?<=^ *|`)runegate ([a-z-]+)((?: [^\s`#]+)*)/gm,
  )) {
    if (name === "help") continue;
    const command = await findCommand(name);
    expect([line, command === undefined]).toEqual([line, false]);
    for (const [flag] of flags.matchAll(/--[a-z-]+/g)) {
      expect([line, command?.help.includes(flag)]).toEqual([line, true]);
    }
  }
});

describe("what is counted", () => {
  test("runtime dependencies", () => {
    const words = ["no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten"];
    const count = words[Object.keys(manifest.dependencies).length] ?? "many";
    expect(read("README.md")).toContain(`${count} runtime dependencies`);
  });

  test("the lines that decide who gets in", () => {
    const page = read("src/README.md");
    const [, most] = /under (\d+) lines together/.exec(page) ?? [];
    const files = decidingFiles();
    expect(files.length).toBeGreaterThan(5);
    expect(files.filter((file) => !existsSync(join(root, "src", file)))).toEqual([]);
    expect(countLines(files)).toBeLessThan(Number(most));
    expect(read("README.md")).toContain(`under ${most} lines`);
  });

  test("the sizes in src/README.md are what the script prints, goals and all", () => {
    const page = read("src/README.md");
    const [, table] = /<!-- sizes -->\n\n(.*?)\n\n<!-- \/sizes -->/s.exec(page) ?? [];
    const { stdout } = Bun.spawnSync([process.execPath, join(root, ".ci/sizes.ts")]);
    expect(`${table}\n`).toBe(stdout.toString());
  });
  test("every line of TypeScript, by another counter too", () => {
    const { stdout } = Bun.spawnSync([
      "sh",
      "-c",
      `find '${join(root, "src")}' -name '*.ts' -exec cat {} + | wc -l`,
    ]);
    expect(countLines([""])).toBe(Number(stdout.toString()));
    const parts = folders("src").map((folder) => countLines([`${folder}/`]));
    const above = readdirSync(join(root, "src")).filter((name) => name.endsWith(".ts"));
    expect(countLines([""])).toBe(parts.reduce((sum, part) => sum + part, countLines(above)));
  });
});

test("the house names every folder, and only files that are there", () => {
  const page = read("src/README.md");
  expect(folders("src").filter((folder) => !page.includes(`\`${folder}/\``))).toEqual([]);
  const rows = [...page.matchAll(/^\| (`.*) \| .* \| `([\w-]+\.ts)` \|$/gm)];
  expect(rows.length).toBeGreaterThan(10);
  for (const [, rooms = "", file = ""] of rows) {
    for (const [, room = ""] of rooms.matchAll(/`([\w-]+)\/`/g)) {
      expect([room, file, existsSync(join(root, "src", room, file))]).toEqual([room, file, true]);
    }
  }
});

test("every folder and every system test is in the overview of the tests", () => {
  const page = read("test/README.md");
  const withTests = folders("test").filter((folder) =>
    readdirSync(join(root, "test", folder)).some((name) => name.endsWith(".test.ts")),
  );
  for (const folder of withTests) {
    for (const name of readdirSync(join(root, "test", folder))) {
      const [, system] = /^(.*)\.system\.test\.ts$/.exec(name) ?? [];
      if (system !== undefined) expect(page).toContain(`| \`${folder}/${system}\` |`);
      else if (name.endsWith(".test.ts")) expect(page).toContain(`| \`${folder}/\` |`);
    }
  }
});

test("a comment that cites the contract names a section that is there, and cites nothing else", () => {
  const sections = new Set(read("src/CONTRACT.md").match(/(?<=^## )\d+(?=\.)/gm));
  const sources = ["src", "test"].flatMap((folder) =>
    readdirSync(join(root, folder), { recursive: true, encoding: "utf8" })
      .filter((name) => name.endsWith(".ts") && !name.endsWith("documents.test.ts"))
      .map((name) => join(folder, name)),
  );
  const cited = sources.flatMap((source) =>
    [...read(source).matchAll(/\b([A-Z]{3,}) sections? (\d+)(?: and (\d+))?/g)].flatMap(
      ([, document, ...numbers]) =>
        numbers.filter((number) => number !== undefined).map((number) => ({ source, document, number })),
    ),
  );
  expect(cited.length).toBeGreaterThan(20);
  const there = ({ document, number }: (typeof cited)[number]) =>
    document === "CONTRACT" && sections.has(number);
  expect(cited.filter((one) => !there(one))).toEqual([]);
});
