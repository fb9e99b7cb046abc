import { describe, expect, test } from "bun:test";
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { changelogSection } from "../../.ci/release/changelog.ts";
import { lastStage } from "../../.ci/release/image.ts";
import { unitOfPackage } from "../../.ci/release/packages.ts";
import { checkKey } from "../../.ci/release/sign.ts";
import { readPublicKeys } from "../../src/upgrade/minisign.ts";
import { needs } from "../support/needs.ts";

const root = join(import.meta.dir, "../..");
const read = (name: string) => readFileSync(join(root, name), "utf8");

describe("the section of a version", () => {
  const TEXT =
    "# Changelog\n\n## Unreleased\n\n- x\n\n## 0.2.0, 2026-12-01\n\n### Security\n\n- a\n- b\n\n## 0.2\n\n## 0.1.0\n\n- c\n";
  test("is what stands between its heading and the next one", () => {
    expect(changelogSection(TEXT, "0.2.0")).toBe("## 0.2.0, 2026-12-01\n\n### Security\n\n- a\n- b\n");
    expect(changelogSection(TEXT, "0.1.0")).toBe("## 0.1.0\n\n- c\n");
  });
  test("must be there, and say something", () => {
    expect(() => changelogSection(TEXT, "0.2.1")).toThrow('has no section "## 0.2.1"');
    expect(() => changelogSection(TEXT, "0.2.")).toThrow("has no section");
    expect(() => changelogSection(TEXT, "0.2")).toThrow('says nothing under "## 0.2"');
  });
});

test("the package's unit is install.sh's but for where the executable is", () => {
  const [ours, theirs] = [
    read("deploy/systemd/runegate.service"),
    unitOfPackage(read("deploy/systemd/runegate.service")),
  ];
  const settings = (text: string) => text.split("\n").filter((line) => /^[A-Z]\w+=/.test(line));
  expect(settings(theirs)).toEqual(settings(ours.replaceAll("/opt/runegate/bin", "/usr/lib/runegate")));
  expect(theirs).toContain("ExecStart=/usr/lib/runegate/runegate serve");
  expect(theirs).not.toContain("/opt/");
});

test("the image is the Dockerfile's last stage, with what came from other stages in a folder", () => {
  const dockerfile = read("deploy/Dockerfile");
  const stage = lastStage(dockerfile);
  expect(stage).not.toMatch(/--from|FROM .+ AS/);
  const sources = [...stage.matchAll(/(?:^COPY (?:--chown=\S+ )?| {17})(\S+) /gm)].map(
    ([, source]) => source,
  );
  expect(sources.length).toBe(11);
  expect(sources.every((source) => /^(libc\/|built\/|LICENSE)/.test(source ?? ""))).toBe(true);
  const rest = (text: string) => text.slice(text.indexOf("# The environment wins"));
  expect(rest(stage)).toBe(rest(dockerfile));
});

test.skipIf(needs("minisign") === undefined)(
  "a version that no upgrade would understand is not signed",
  () => {
    const folder = mkdtempSync(join(tmpdir(), "runegate-sign-"));
    const key = join(folder, "key");
    writeFileSync(key, "");
    const signed = (version: string) => () => checkKey(key, root, version, "0123456789ab");
    for (const version of ["0.2.0", "0.2.0-rc.1", "10.20.30"]) expect(signed(version)).not.toThrow();
    for (const version of ["0.2", "v0.2.0", "0.2.0+build", "0.2.0-", "4294967296.0.0"])
      expect(signed(version)).toThrow(`Nobody could upgrade to ${version}`);
    rmSync(folder, { recursive: true });
  },
);

test("the keys that are compiled in are keys", () => {
  expect(() => readPublicKeys(read("deploy/release-keys.pub"))).not.toThrow();
});

const shellcheck = needs("shellcheck");
test.skipIf(shellcheck === undefined)("shellcheck has nothing to say about the package's scripts", () => {
  const scripts = readdirSync(join(root, "deploy/package")).filter((name) => name.endsWith(".sh"));
  expect(scripts.length).toBe(4);
  const { stdout, exitCode } = Bun.spawnSync([shellcheck ?? "", ...scripts], {
    cwd: join(root, "deploy/package"),
  });
  expect([stdout.toString(), exitCode]).toEqual(["", 0]);
});
