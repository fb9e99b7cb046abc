import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { linkedLibraries } from "../../.ci/executable/bun-parts.ts";
import { constants } from "../../.ci/executable/compile.ts";
import { TARGETS, thisMachine } from "../../.ci/executable/targets.ts";
import { VERSION } from "../../src/version.ts";
import { build, type Folder, folder, root, run, sha256 } from "./support.ts";

setDefaultTimeout(60_000);

/** One build for this machine, which takes about a second, and what can be seen of it. */

let dist: Folder;
let executable: string;
let said: string;

beforeAll(async () => {
  dist = folder();
  executable = join(dist.path, "runegate");
  dist.write("runegate-linux-x64", "of an earlier build");
  dist.write("notes.txt", "somebody's own");
  const { code, stdout, stderr } = await build(["--outdir", dist.path]);
  if (code !== 0) throw new Error(stderr);
  said = stdout;
});
afterAll(() => dist[Symbol.dispose]());

const read = (name: string) => readFileSync(join(dist.path, name));

describe("how it is called", () => {
  test("--help", async () => {
    const { code, stdout } = await build(["--help"]);
    expect(code).toBe(0);
    for (const target of TARGETS) expect(stdout).toContain(target);
  });
  test.each([
    [["--target", "linux-riscv"], `unknown target linux-riscv. There are: ${TARGETS.join(", ")}.`],
    [["--target", ""], "unknown target"],
    [["--fast"], "--fast"],
    [["linux-x64"], "linux-x64"],
  ])("%p exits 64", async (args, text) => {
    const { code, stdout, stderr } = await build(args);
    expect([code, stdout]).toEqual([64, ""]);
    expect(stderr).toContain(text);
  });
});

describe("the result", () => {
  test("is the executable, its checksums, its parts and their licenses, and nothing of an earlier build", () => {
    expect(readdirSync(dist.path).sort()).toEqual([
      "SHA256SUMS",
      "THIRD-PARTY-LICENSES",
      "notes.txt",
      "runegate",
      "runegate.cdx.json",
    ]);
  });
  test("has checksums that sha256sum reads, and says them", () => {
    const lines = read("SHA256SUMS").toString().trimEnd().split("\n");
    expect(lines).toHaveLength(3);
    for (const line of lines) {
      const [, sum = "", name = ""] = /^([0-9a-f]{64}) {2}(\S+)$/.exec(line) ?? [];
      expect(sha256(read(name))).toBe(sum);
      expect(said).toContain(sum);
    }
  });
  test("knows what it is", async () => {
    const { stdout } = await run([executable, "version", "--json"]);
    expect(JSON.parse(stdout)).toEqual({
      name: "runegate",
      version: VERSION,
      commit: expect.stringMatching(/^[0-9a-f]{12}(-modified)?$/),
      bun: Bun.version,
      target: thisMachine(),
    });
    expect((await run([executable, "version"])).stdout).toContain(`runegate ${VERSION} (`);
  });
  test.each([
    ["env", "runegate.env.example"],
    ["email", "config/email.toml.example"],
  ])("has the example %s inside", async (name, file) => {
    const { stdout } = await run([executable, "config", "--example", name], { cwd: "/" });
    expect(stdout).toBe(readFileSync(join(root, "deploy", file), "utf8"));
  });
  test("has the source map inside, and no path of this machine", () => {
    const bytes = read("runegate");
    expect(bytes.includes("src/commands/version.ts")).toBe(true);
    expect(bytes.includes(`${root}/`)).toBe(false);
    expect(bytes.includes(dist.path)).toBe(false);
  });
});

describe("the folder it is started in", () => {
  const MARK = "was-run";
  const trap = `require("node:fs").writeFileSync(${JSON.stringify(MARK)}, "");`;

  function hostile(): Folder {
    const place = folder();
    for (const name of [".env", ".env.local", ".env.production", ".env.development"]) {
      place.write(name, "RUNEGATE_LISTEN=127.0.0.1:1\nBUN_OPTIONS=--preload=./trap.js\n");
    }
    place.write("trap.js", trap);
    place.write("bunfig.toml", 'preload = ["./trap.js"]\n');
    place.write("package.json", '{ "type": "module", "imports": { "#x": "./trap.js" } }');
    place.write("tsconfig.json", '{ "compilerOptions": { "paths": { "*": ["./trap.js"] } } }');
    for (const name of ["elysia", "jose", "nodemailer", "smol-toml"]) {
      place.write(`node_modules/${name}/index.js`, trap);
    }
    return place;
  }
  const show = (command: readonly string[], cwd: string) =>
    run([...command, "config", "--json"], { cwd, env: { RUNEGATE_ENV_FILE: "/dev/null" } });

  test("has no say", async () => {
    using place = hostile();
    const { code, stdout } = await show([executable], place.path);
    expect(code).toBe(0);
    const rows: { name: string; source: string }[] = JSON.parse(stdout);
    expect(rows.find(({ name }) => name === "RUNEGATE_WORKERS")?.source).toBe("default");
    expect(existsSync(join(place.path, MARK))).toBe(false);
  });
  test("would have one, were it not for the build", async () => {
    using place = hostile();
    await show([process.execPath, join(root, "src/main.ts")], place.path);
    expect(existsSync(join(place.path, MARK))).toBe(true);
  });
});

type Component = {
  "bom-ref": string;
  type: string;
  group?: string;
  name: string;
  version?: string;
  purl?: string;
  licenses: ({ license: { id?: string; name?: string } } | { expression: string })[];
  hashes?: { alg: string; content: string }[];
  components?: Component[];
};

describe("the bill of materials", () => {
  const bill = () => JSON.parse(read("runegate.cdx.json").toString());
  const components = (): Component[] => bill().components;
  const all = (list: readonly Component[]): Component[] =>
    list.flatMap((one) => [one, ...all(one.components ?? [])]);

  test("has what CycloneDX 1.6 requires", () => {
    expect(bill()).toMatchObject({
      bomFormat: "CycloneDX",
      specVersion: "1.6",
      version: 1,
      metadata: { component: { type: "application", name: "runegate", version: VERSION } },
    });
    const refs = [bill().metadata.component["bom-ref"], ...all(components()).map((one) => one["bom-ref"])];
    expect(new Set(refs).size).toBe(refs.length);
    for (const { ref, dependsOn } of bill().dependencies) {
      for (const one of [ref, ...dependsOn]) expect(refs).toContain(one);
    }
    for (const one of all(components())) {
      expect(["library", "platform"]).toContain(one.type);
      expect(one.name).not.toBe("");
      expect(one.licenses).toHaveLength(1);
    }
  });
  test("has version, purl, license and hash of every package", () => {
    for (const one of components().filter(({ type }) => type === "library")) {
      expect(one.version).toMatch(/^\d+\.\d+\.\d+/);
      expect(one.purl).toMatch(/^pkg:npm\/(%40[a-z-]+\/)?[a-z0-9.-]+@\d/);
      expect(one.licenses[0]).toMatchObject({ license: { id: expect.any(String) } });
      expect(one.hashes?.[0]).toEqual({ alg: "SHA-512", content: expect.stringMatching(/^[0-9a-f]{128}$/) });
    }
  });
  test("has Bun, the package it came in, and what is linked into it", () => {
    const [bun] = components();
    expect(bun).toMatchObject({ type: "platform", name: "bun", version: Bun.version });
    const names = bun?.components?.map(({ group, name }) => (group ? `${group}/${name}` : name)) ?? [];
    expect(names).toContain(`@oven/bun-${thisMachine().replace("arm64", "aarch64")}`);
    const page = readFileSync(join(root, "node_modules/bun-types/docs/project/license.mdx"), "utf8");
    for (const { name } of linkedLibraries(page)) expect(names).toContain(name);
  });
  test("has exactly the packages whose files the source map names", async () => {
    const result = await Bun.build({
      entrypoints: [join(root, "src/main.ts")],
      root,
      target: "bun",
      format: "cjs",
      minify: true,
      sourcemap: "external",
      define: constants({ commit: undefined, target: thisMachine() }),
    });
    const map = result.outputs.find(({ kind }) => kind === "sourcemap");
    const { sources }: { sources: string[] } = JSON.parse((await map?.text()) ?? "{}");
    const bundled = sources.flatMap(
      (source) => /.*node_modules\/((?:@[^/]+\/)?[^/]+)\//.exec(source)?.slice(1) ?? [],
    );
    const listed = components()
      .filter(({ type }) => type === "library")
      .map(({ group, name }) => (group ? `${group}/${name}` : name));
    expect(listed).toContain("nodemailer");
    // One is there in two versions.
    expect([...new Set(listed)]).toEqual([...new Set(bundled)].sort());
  });
  test("comes with the text of every license", () => {
    const texts = read("THIRD-PARTY-LICENSES").toString();
    for (const { group, name, version, type } of components()) {
      if (type === "library") expect(texts).toContain(`\n${group ? `${group}/` : ""}${name} ${version} (`);
    }
    expect(texts).toContain("JavaScriptCore");
  });
});
