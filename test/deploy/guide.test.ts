import { describe, expect, test } from "bun:test";
import { existsSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { OPTION_NAMES } from "../../src/config/options.ts";
import { guideBlocks } from "./guide.ts";

/** The guide stays true: its commands are run, its links lead somewhere, and the options it names are there. */

const root = join(import.meta.dir, "../..");
const path = join(root, "deploy/README.md");
const guide = readFileSync(path, "utf8");
const blocks = guideBlocks();

describe("every block of commands", () => {
  test("is found, and says which test runs it or why none can", () => {
    expect(blocks.length).toBeGreaterThan(20);
    expect(blocks).toHaveLength(guide.match(/^ *```sh$/gm)?.length ?? 0);
    expect(blocks.filter(({ kind }) => kind === "unmarked")).toEqual([]);
  });

  test("that is to be run is run on the real system, and has a name of its own", () => {
    const names = blocks.flatMap((block) => (block.kind === "run" ? [block.name] : []));
    expect(new Set(names).size).toBe(names.length);
    const system = ["appliance", "edge"]
      .map((name) => readFileSync(join(root, `test/system/${name}.system.test.ts`), "utf8"))
      .join("");
    expect(names.filter((name) => !system.includes(`"${name}"`))).toEqual([]);
  });

  test("that is tested elsewhere names a test that is there", () => {
    for (const block of blocks) {
      if (block.kind !== "tested") continue;
      const [file = ""] = /test\/[\w./-]+/.exec(block.why) ?? [];
      expect([block.why, existsSync(join(root, file))]).toEqual([block.why, true]);
    }
  });

  test("is understood by a shell", () => {
    for (const { commands, line } of blocks) {
      const checked = Bun.spawnSync(["sh", "-n"], { stdin: Buffer.from(commands) });
      expect([line, checked.exitCode, checked.stderr.toString()]).toEqual([line, 0, ""]);
    }
  });
});

test("every link leads to a file, and every link within the page to a heading", () => {
  const anchors = new Set(
    [...guide.matchAll(/^#+ (.+)$/gm)].map(([, title = ""]) =>
      title
        .toLowerCase()
        .replaceAll(/[^\w\s-]/g, "")
        .replaceAll(" ", "-"),
    ),
  );
  for (const [, target = ""] of guide.matchAll(/\]\(([^)\s]+)\)/g)) {
    if (target.startsWith("#")) expect([target, anchors.has(target.slice(1))]).toEqual([target, true]);
    else {
      const [file = ""] = target.split("#");
      expect([target, existsSync(join(dirname(path), file))]).toEqual([target, true]);
    }
  }
});

test("every option it names is one", () => {
  const named = new Set(guide.match(/RUNEGATE_[A-Z_]+[A-Z]/g) ?? []);
  expect(named.size).toBeGreaterThan(10);
  expect([...named].filter((name) => !OPTION_NAMES.includes(name))).toEqual([]);
});

test("every certificate that is got is also put to use when it is renewed", () => {
  const files = ["deploy/README.md", "deploy/install.sh", "deploy/nginx/runegate-nginx.conf"];
  for (const file of files) {
    const lines = readFileSync(join(root, file), "utf8").match(/^.*certbot certonly.*$/gm) ?? [];
    expect([file, lines.length]).not.toEqual([file, 0]);
    for (const line of lines) expect(line).toMatch(/--deploy-hook \\?"systemctl reload nginx\\?"/);
  }
});

test("what somebody is told to type needs Node and npm alone", () => {
  const told = ["README.md", "deploy/**", ".ci/*", ".ci/executable/*.ts", "{src,test}/**/*.{md,ts}"];
  for (const glob of told) {
    const files = [...new Bun.Glob(glob).scanSync({ cwd: root, dot: true })];
    expect([glob, files.length]).not.toEqual([glob, 0]);
    for (const file of files.filter((name) => name !== ".ci/run" && !name.endsWith("guide.test.ts"))) {
      const lines = readFileSync(join(root, file), "utf8").match(/^.*\bbun run .*$/gm) ?? [];
      expect([file, lines.filter((line) => !line.includes("With Bun already there"))]).toEqual([file, []]);
    }
  }
  // Each of them brings Bun and the dependencies where they are missing.
  const { scripts } = JSON.parse(readFileSync(join(root, "package.json"), "utf8"));
  for (const name of Object.keys(scripts).filter((name) => !name.startsWith("pre"))) {
    expect([name, scripts[`pre${name}`] ?? scripts[name]]).toEqual([
      name,
      expect.stringContaining("sh .ci/"),
    ]);
  }
});
