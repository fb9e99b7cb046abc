import { describe, expect, test } from "bun:test";
import { join } from "node:path";
import type { BuildMetafile } from "bun";
import { licenseStatement, linkedLibraries } from "../../.ci/executable/bun-parts.ts";
import { locked } from "../../.ci/executable/lockfile.ts";
import { originOf } from "../../.ci/executable/origin.ts";
import { bundledPackages } from "../../.ci/executable/packages.ts";
import { billOfMaterials } from "../../.ci/executable/sbom.ts";
import { isTarget, runtimePackage, TARGETS, thisMachine } from "../../.ci/executable/targets.ts";
import manifest from "../../package.json" with { type: "json" };
import { folder, run } from "./support.ts";

const root = join(import.meta.dir, "../..");

function metafile(inputs: Record<string, number>): BuildMetafile {
  const taken = Object.entries(inputs).map(([path, bytesInOutput]) => [path, { bytesInOutput }]);
  return {
    inputs: {},
    outputs: { runegate: { bytes: 0, inputs: Object.fromEntries(taken), imports: [], exports: [] } },
  };
}

describe("targets", () => {
  test("each has a locked runtime in the version that is pinned", () => {
    for (const target of TARGETS)
      expect(locked(runtimePackage(target), Bun.version).integrity).toStartWith("sha512-");
    expect(Bun.version).toBe(manifest.devDependencies.bun);
  });
  test("this machine is known by name", () =>
    expect(thisMachine()).toMatch(/^(linux|darwin)-(x64|arm64)(-musl)?$/));
  test.each([
    ["linux-x64", true],
    ["linux-x86", false],
    ["", false],
  ])("%p: %p", (name, is) => expect(isTarget(name)).toBe(is));
});

describe("a runtime or package that is not locked", () => {
  test.each([
    ["jose", "0.0.1"],
    ["left-pad", "1.3.0"],
  ])("%s %s is refused", (name, version) =>
    expect(() => locked(name, version)).toThrow(`no integrity for ${name}@${version}`),
  );
});

describe("what was bundled", () => {
  test("is told from the bundler's list, in order and once each, without what was shaken off", () => {
    const packages = bundledPackages(
      [
        metafile({
          "src/main.ts": 10,
          "package.json": 5,
          "node_modules/smol-toml/dist/parse.js": 3,
          "node_modules/@sinclair/typebox/build/esm/index.mjs": 3,
          "node_modules/smol-toml/dist/index.js": 1,
          "node_modules/jose/dist/webapi/index.js": 0,
        }),
      ],
      root,
    );
    expect(packages.map(({ name, license }) => [name, license])).toEqual([
      ["@sinclair/typebox", "MIT"],
      ["smol-toml", "BSD-3-Clause"],
    ]);
    expect(packages[1]?.licenseText).toContain("Redistribution and use in source and binary forms");
    expect(packages[1]?.sha512).toMatch(/^[0-9a-f]{128}$/);
  });
  test("from nowhere known is refused", () =>
    expect(() => bundledPackages([metafile({ "../elsewhere/evil.ts": 1 })], root)).toThrow(
      "../elsewhere/evil.ts",
    ));
});

describe("the bill of materials", () => {
  const product = { name: "runegate", version: "1.2.3", license: "MIT", commit: "abc", date: new Date(0) };
  const parcel = {
    folder: "node_modules/@scope/name",
    name: "@scope/name",
    version: "1.0.0",
    license: "(MIT OR Apache-2.0)",
    licenseText: "",
    dependencies: ["other", "not-bundled"],
    sha512: "00",
  };
  const other = { ...parcel, folder: "node_modules/other", name: "other", license: "ISC", dependencies: [] };
  const bun = { version: "1.4.5", libraries: [], runtimes: [] };

  test("names scope, license expression and who needs whom", () => {
    const bill = JSON.parse(billOfMaterials(product, [parcel, other], bun));
    expect(bill.components[1]).toMatchObject({
      group: "@scope",
      name: "name",
      purl: "pkg:npm/%40scope/name@1.0.0",
      licenses: [{ expression: "(MIT OR Apache-2.0)" }],
    });
    expect(bill.components[2].licenses).toEqual([{ license: { id: "ISC" } }]);
    expect(bill.dependencies).toContainEqual({
      ref: "pkg:npm/%40scope/name@1.0.0",
      dependsOn: ["pkg:npm/other@1.0.0"],
    });
    expect(bill.metadata.timestamp).toBe("1970-01-01T00:00:00.000Z");
  });
  test("says which of two versions a package needs", () => {
    const folder = "node_modules/@scope/name/node_modules/other";
    const older = { ...other, folder, version: "0.9.0" };
    const third = { ...parcel, folder: "node_modules/third", name: "third" };
    const bill = JSON.parse(billOfMaterials(product, [parcel, older, other, third], bun));
    const needs = (ref: string) =>
      bill.dependencies.find((one: { ref: string }) => one.ref === `pkg:npm/${ref}`).dependsOn;
    expect(needs("%40scope/name@1.0.0")).toEqual(["pkg:npm/other@0.9.0"]);
    expect(needs("third@1.0.0")).toEqual(["pkg:npm/other@1.0.0"]);
  });
  test("without a commit there is none, and no time either", () => {
    const bill = JSON.parse(billOfMaterials({ ...product, commit: undefined, date: undefined }, [], bun));
    expect(bill.metadata.timestamp).toBeUndefined();
    expect(bill.metadata.component.properties).toBeUndefined();
  });
});

describe("what Bun consists of", () => {
  test("comes from its license page", async () => {
    const page = await Bun.file(join(root, "node_modules/bun-types/docs/project/license.mdx")).text();
    const libraries = linkedLibraries(page);
    expect(libraries[0]).toEqual({ name: "JavaScriptCore", license: "LGPL-2" });
    expect(libraries).toContainEqual({ name: "sqlite", license: "public domain" });
    expect(libraries.some(({ name }) => name.includes("libuv"))).toBe(false);
    expect(libraries.every(({ name, license }) => name !== "" && license !== "")).toBe(true);
    expect(licenseStatement(page)).toStartWith("Bun itself is MIT-licensed.");
  });
  test("a page that has changed is noticed", () =>
    expect(() => linkedLibraries("Bun is free.")).toThrow("not as expected"));
});

describe("where the source comes from", () => {
  test("git says", async () => {
    const { commit, date } = await originOf(root, {});
    expect(commit).toMatch(/^[0-9a-f]{12}(-modified)?$/);
    expect(date?.getTime()).toBeGreaterThan(0);
  });
  test("what builds it counts as changed too, whoever the tree belongs to", async () => {
    using tree = folder();
    for (const name of ["src/main.ts", ".ci/executable/main.ts", "notes"]) tree.write(name, "1");
    const git = (...args: string[]) =>
      run(["git", "-C", tree.path, "-c", "user.name=a", "-c", "user.email=a@example.org", ...args]);
    await git("init", "-q");
    await git("add", ".");
    await git("commit", "-qm", "first");
    if (process.getuid?.() === 0) await run(["chown", "-R", "65534:65534", tree.path]);
    const commitOf = async () => (await originOf(tree.path, {})).commit;
    expect(await commitOf()).toMatch(/^[0-9a-f]{12}$/);
    tree.write("notes", "2");
    expect(await commitOf()).toMatch(/^[0-9a-f]{12}$/);
    tree.write(".ci/executable/main.ts", "2");
    expect(await commitOf()).toMatch(/^[0-9a-f]{12}-modified$/);
  });
  test("the environment says, for a tree without history", async () => {
    const env = { RUNEGATE_COMMIT: "abc", SOURCE_DATE_EPOCH: "7" };
    expect(await originOf("/", env)).toEqual({ commit: "abc", date: new Date(7000) });
    expect(await originOf("/", {})).toEqual({ commit: undefined, date: undefined });
  });
});
