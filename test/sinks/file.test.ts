import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import {
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { gunzipSync } from "node:zlib";
import { sinkAddress } from "../../src/sinks/address.ts";
import { createFileTransport } from "../../src/sinks/file.ts";
import type { Transport } from "../../src/sinks/transport.ts";
import { type TestClock, testClock } from "../support/clock.ts";
import { until } from "./support.ts";

let folder: string;
let path: string;
let clock: TestClock;
let troubles: string[];
const open: Transport[] = [];

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "sink-file-"));
  path = join(folder, "r.log");
  clock = testClock(Date.parse("2026-01-02T23:59:00Z"));
  troubles = [];
});
afterEach(async () => {
  for (const one of open.splice(0)) await one.close();
  rmSync(folder, { recursive: true });
});

function file(query = ""): Transport {
  const address = sinkAddress(`file:${path}${query}`);
  if (address.kind !== "file") throw new Error("not a file");
  const made = createFileTransport(address, { clock, onTrouble: (reason) => troubles.push(reason) });
  open.push(made);
  return made;
}
const send = (to: Transport, ...lines: string[]) => to.send(lines, new AbortController().signal);
const files = () => readdirSync(folder).sort();
const textOf = (name: string) => {
  const bytes = readFileSync(join(folder, name));
  return (name.endsWith(".gz") ? gunzipSync(bytes) : bytes).toString();
};

describe("a file of lines", () => {
  test("is made with its mode, whatever the umask, and added to", async () => {
    const before = process.umask(0o077);
    try {
      await send(file("?mode=0644"), "one", "two");
    } finally {
      process.umask(before);
    }
    expect(statSync(path).mode & 0o777).toBe(0o644);
    await send(file(), "three");
    expect(textOf("r.log")).toBe("one\ntwo\nthree\n");
  });

  test("is rotated before it would be too large, and compressed", async () => {
    const one = file("?max=10b");
    await send(one, "12345");
    await send(one, "678");
    expect(files()).toEqual(["r.log"]);
    await send(one, "9");
    await one.close();
    expect(files()).toEqual(["r.log", "r.log.2026-01-02T23-59-00.000Z.gz"]);
    expect(textOf("r.log.2026-01-02T23-59-00.000Z.gz")).toBe("12345\n678\n");
    expect(textOf("r.log")).toBe("9\n");
    expect(statSync(join(folder, files()[1] ?? "")).mode & 0o777).toBe(0o640);
  });

  test("takes a batch that is larger by itself", async () => {
    const one = file("?max=10b");
    await send(one, "1234567890123");
    await send(one, "1234567890123");
    expect(textOf("r.log")).toBe("1234567890123\n");
  });

  test("is rotated every day, by the day in UTC of what is in it", async () => {
    const one = file("?every=day");
    await send(one, "friday");
    clock.advance(59_000);
    await send(one, "still friday");
    clock.advance(1_000);
    await send(one, "saturday");
    await one.close();
    expect(textOf("r.log.2026-01-03T00-00-00.000Z.gz")).toBe("friday\nstill friday\n");
    expect(textOf("r.log")).toBe("saturday\n");

    utimesSync(path, clock.now() / 1000, clock.now() / 1000);
    clock.advance(86_400_000);
    await send(file("?every=day"), "sunday");
    expect(textOf("r.log")).toBe("sunday\n");
  });

  test("has as many before it as are kept, and nobody else's are touched", async () => {
    writeFileSync(join(folder, "r.log.old"), "mine");
    writeFileSync(join(folder, "r.log.1"), "mine");
    const one = file("?max=1b&keep=2");
    for (const text of ["a", "b", "c", "d", "e"]) {
      await send(one, text);
      clock.advance(1_000);
    }
    await one.close();
    expect(files()).toEqual([
      "r.log",
      "r.log.1",
      "r.log.2026-01-02T23-59-03.000Z.gz",
      "r.log.2026-01-02T23-59-04.000Z.gz",
      "r.log.old",
    ]);
    expect(textOf("r.log.2026-01-02T23-59-04.000Z.gz")).toBe("d\n");
  });

  test("what a process that was killed has left half compressed is compressed", async () => {
    writeFileSync(join(folder, "r.log.2026-01-01T00-00-00.000Z"), "whole\n");
    writeFileSync(join(folder, "r.log.2026-01-01T00-00-00.000Z.new"), "half");
    await send(file(), "a");
    await open[0]?.close();
    expect(files()).toEqual(["r.log", "r.log.2026-01-01T00-00-00.000Z.gz"]);
    expect(textOf("r.log.2026-01-01T00-00-00.000Z.gz")).toBe("whole\n");
  });

  test("that somebody has moved is left to them, without a signal too", async () => {
    const one = file();
    await send(one, "a");
    renameSync(path, `${path}.1`);
    await send(one, "b");
    expect(textOf("r.log.1")).toBe("a\n");
    expect(textOf("r.log")).toBe("b\n");
  });

  test("is closed when it is to be opened anew, so that it can be compressed", async () => {
    const one = file();
    await send(one, "a");
    const isOpen = () =>
      readdirSync("/proc/self/fd").some((fd) => {
        try {
          return statSync(`/proc/self/fd/${fd}`).ino === statSync(path).ino;
        } catch {
          return false;
        }
      });
    expect(isOpen()).toBe(true);
    one.reopen?.();
    await until(() => !isOpen());
    await send(one, "b");
    expect(textOf("r.log")).toBe("a\nb\n");
  });

  test.each<[string, () => string, RegExp]>([
    ["a folder that is not there", () => join(folder, "none", "r.log"), /ENOENT/],
    ["a folder", () => folder, /EISDIR|not a file/],
    ["a device", () => "/dev/full", /not a file/],
  ])("%s takes nothing, and says why", async (_, where, reason) => {
    path = where();
    await expect(send(file(), "a")).rejects.toThrow(reason);
  });
});
