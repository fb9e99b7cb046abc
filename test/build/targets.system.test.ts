import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { cpSync, existsSync, mkdirSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { TARGETS, type Target } from "../../.ci/executable/targets.ts";
import { VERSION } from "../../src/version.ts";
import { needs, skipBecause } from "../support/needs.ts";
import { build, type Folder, folder, root, run, sha256 } from "./support.ts";

setDefaultTimeout(300_000);

/** Every target, and the same bytes twice. Fetches some 100 MB the first time, and writes as much again for each target. */

/** What the header of an ELF file tells, read from the places that the ELF-64 object file format gives them. */
function elf(path: string): { machine: string; loader: string | undefined; libraries: string[] } {
  const bytes = readFileSync(path);
  const machine = { 62: "x64", 183: "arm64" }[bytes.readUInt16LE(18)] ?? "unknown";
  const number = (at: number) => Number(bytes.readBigUInt64LE(at));
  const text = (at: number) => bytes.toString("utf8", at, bytes.indexOf(0, at));
  const segments = Array.from({ length: bytes.readUInt16LE(56) }, (_, index) => {
    const at = number(32) + index * bytes.readUInt16LE(54);
    return {
      type: bytes.readUInt32LE(at),
      offset: number(at + 8),
      address: number(at + 16),
      size: number(at + 32),
    };
  });
  const loader = segments.find(({ type }) => type === 3);
  const dynamic = segments.find(({ type }) => type === 2);
  const entries = Array.from({ length: (dynamic?.size ?? 0) / 16 }, (_, index) => {
    const at = (dynamic?.offset ?? 0) + index * 16;
    return { tag: number(at), value: number(at + 8) };
  });
  const strings = entries.find(({ tag }) => tag === 5)?.value ?? 0;
  const home = segments.find(
    ({ type, address, size }) => type === 1 && strings >= address && strings < address + size,
  );
  const base = strings - (home?.address ?? 0) + (home?.offset ?? 0);
  return {
    machine,
    loader: loader === undefined ? undefined : text(loader.offset),
    libraries: entries.filter(({ tag }) => tag === 1).map(({ value }) => text(base + value)),
  };
}

const GLIBC = ["libc.so.6", "libdl.so.2", "libm.so.6", "libpthread.so.0"];

/** What each executable wants from the machine it runs on: the Dockerfile and the guide rely on it. */
const WANTS: Readonly<Record<Target, ReturnType<typeof elf>>> = {
  "linux-x64": {
    machine: "x64",
    loader: "/lib64/ld-linux-x86-64.so.2",
    libraries: ["ld-linux-x86-64.so.2", ...GLIBC],
  },
  "linux-arm64": {
    machine: "arm64",
    loader: "/lib/ld-linux-aarch64.so.1",
    libraries: ["ld-linux-aarch64.so.1", ...GLIBC],
  },
  "linux-x64-musl": {
    machine: "x64",
    loader: "/lib/ld-musl-x86_64.so.1",
    libraries: ["libc.musl-x86_64.so.1", "libstdc++.so.6"],
  },
  "linux-arm64-musl": {
    machine: "arm64",
    loader: "/lib/ld-musl-aarch64.so.1",
    libraries: ["libc.musl-aarch64.so.1", "libstdc++.so.6"],
  },
};

const ARM64_LIBRARIES = "/usr/aarch64-linux-gnu";

/** @returns the words to put before an arm64 program, or undefined to skip. */
function needsArm64(): string[] | undefined {
  if (process.arch === "arm64") return [];
  const emulator = needs("qemu-aarch64-static");
  if (emulator === undefined) return undefined;
  if (existsSync(ARM64_LIBRARIES)) return [emulator, "-L", ARM64_LIBRARIES];
  skipBecause(`there is no arm64 C library in ${ARM64_LIBRARIES} (libc6-arm64-cross)`);
  return undefined;
}

describe("every target", () => {
  let dist: Folder;
  beforeAll(async () => {
    dist = folder();
    const { code, stderr } = await build(["--all", "--outdir", dist.path]);
    if (code !== 0) throw new Error(stderr);
  });
  afterAll(() => dist[Symbol.dispose]());

  test.each([...TARGETS])("%s is for the machine it is named after", (target) => {
    const found = elf(join(dist.path, `runegate-${target}`));
    expect({ ...found, libraries: found.libraries.sort() }).toEqual(WANTS[target]);
  });
  test("all are in the checksums, and their runtimes in the bill of materials", () => {
    const sums = readFileSync(join(dist.path, "SHA256SUMS"), "utf8");
    const bill = readFileSync(join(dist.path, "runegate.cdx.json"), "utf8");
    for (const target of TARGETS) {
      expect(sums).toContain(`  runegate-${target}\n`);
      expect(bill).toContain(`pkg:npm/%40oven/bun-${target.replace("arm64", "aarch64")}@${Bun.version}`);
    }
  });
  const emulator = needsArm64();
  test.skipIf(emulator === undefined)("linux-arm64 runs", async () => {
    const file = join(dist.path, "runegate-linux-arm64");
    const { stdout, stderr } = await run([...(emulator ?? []), file, "version", "--json"]);
    expect(stderr).toBe("");
    expect(JSON.parse(stdout)).toMatchObject({ version: VERSION, target: "linux-arm64" });
  });
});

describe("the same source", () => {
  /** A checkout elsewhere, its packages included, with a history of one commit that is always the same. */
  async function checkout(path: string): Promise<void> {
    mkdirSync(path, { recursive: true });
    const { stdout } = await run(["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]);
    for (const name of new Set(stdout.split("\0"))) {
      if (name !== "" && (await Bun.file(join(root, name)).exists())) {
        cpSync(join(root, name), join(path, name), { recursive: true });
      }
    }
    cpSync(join(root, "node_modules"), join(path, "node_modules"), {
      recursive: true,
      verbatimSymlinks: true,
      filter: (source) => !source.endsWith("node_modules/.cache"),
    });
    const who = { GIT_CONFIG_GLOBAL: "/dev/null", GIT_CONFIG_SYSTEM: "/dev/null" };
    const at = { GIT_AUTHOR_DATE: "1700000000 +0000", GIT_COMMITTER_DATE: "1700000000 +0000" };
    for (const args of [
      ["init", "--quiet"],
      ["add", "."],
      ["commit", "--quiet", "--message", "all"],
    ]) {
      const name = ["-c", "user.name=Test", "-c", "user.email=test@example.org"];
      const { code, stderr } = await run(["git", ...name, ...args], { cwd: path, env: { ...who, ...at } });
      if (code !== 0) throw new Error(stderr);
    }
  }

  test("gives the same bytes in another folder, at another time, for another user", async () => {
    using place = folder();
    const results: Record<string, string>[] = [];
    const original = join(place.path, "original");
    await checkout(original);
    for (const [name, env] of [
      ["one", { TZ: "UTC", LC_ALL: "C", NODE_ENV: "test" }],
      ["two/levels down", { TZ: "Asia/Tokyo", LC_ALL: "C.UTF-8", NODE_ENV: "development", HOME: place.path }],
    ] as const) {
      const path = join(place.path, name);
      cpSync(original, path, { recursive: true, verbatimSymlinks: true, preserveTimestamps: true });
      const { code, stderr } = await run(["sh", ".ci/build"], { cwd: path, env });
      if (code !== 0) throw new Error(stderr);
      const dist = join(path, "dist");
      results.push(
        Object.fromEntries(readdirSync(dist).map((file) => [file, sha256(readFileSync(join(dist, file)))])),
      );
      const { stdout } = await run([join(dist, "runegate"), "version", "--json"]);
      expect(JSON.parse(stdout).commit).toMatch(/^[0-9a-f]{12}$/);
    }
    expect(Object.keys(results[0] ?? {}).sort()).toEqual([
      "SHA256SUMS",
      "THIRD-PARTY-LICENSES",
      "runegate",
      "runegate.cdx.json",
    ]);
    expect(results[1]).toEqual(results[0] ?? {});
  });
});
