import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { existsSync, mkdtempSync, readFileSync, rmSync, statfsSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { until } from "../sinks/support.ts";
import { needsRoot } from "../support/needs.ts";
import { openStage, type Stage } from "./stage.ts";

/** A file of log lines on a disk that is full. */

setDefaultTimeout(90_000);

describe.skipIf(!needsRoot("to mount a disk"))("a full disk", () => {
  let disk: string;
  let stage: Stage;
  beforeAll(async () => {
    disk = mkdtempSync(join(tmpdir(), "sink-disk-"));
    expect(Bun.spawnSync(["mount", "-t", "tmpfs", "-o", "size=2m", "none", disk]).exitCode).toBe(0);
    stage = await openStage({
      workers: 2,
      options: {
        RUNEGATE_REQUEST_LOGS: "true",
        RUNEGATE_LOG_SINKS: `file:${disk}/r.log?max=10MB`,
        RUNEGATE_AUDIT_SINKS: `file:${disk}/audit.log`,
      },
    });
  });
  afterAll(async () => {
    await stage?.[Symbol.asyncDispose]();
    Bun.spawnSync(["umount", disk]);
    rmSync(disk, { recursive: true });
  });

  test("H9 holds up no request and no login; every line is there when it has room again, once and whole", async () => {
    const textOf = (name: string) => {
      const file = join(disk, name);
      return existsSync(file) ? readFileSync(file, "utf8") : "";
    };
    const path = (n: number) => `/${n}-${"x".repeat(500)}`;
    const load = async (from: number, count: number) => {
      for (let n = from; n < from + count; n += 20) {
        const answers = await Promise.all(
          Array.from({ length: 20 }, (_, at) => fetch(`${stage.url}${path(n + at)}`, { redirect: "manual" })),
        );
        for (const { status } of answers) expect(status).toBe(401);
      }
    };
    await load(0, 100);
    await until(() => textOf("r.log").includes(path(99)));
    const { bavail, bsize } = statfsSync(disk);
    // A page is left, so that a part of a batch is taken.
    writeFileSync(join(disk, "fill"), Buffer.alloc((bavail - 1) * bsize));
    await load(100, 400);
    await stage.says(/a sink does not take lines .*ENOSPC/);
    await stage.signIn("ada@example.org");
    rmSync(join(disk, "fill"));
    await stage.says(/a sink takes lines again/, 60_000);
    const lines = () =>
      textOf("r.log")
        .trimEnd()
        .split("\n")
        .map((one) => String(JSON.parse(one).message));
    const seen = () => lines().flatMap((message) => /^GET \/(\d+)-/.exec(message)?.[1] ?? []);
    await until(() => seen().length >= 500);
    expect(
      seen()
        .map(Number)
        .sort((a, b) => a - b),
    ).toEqual(Array.from({ length: 500 }, (_, n) => n));
    await until(() => textOf("audit.log").includes('"event":"redeemed"'));
  });
});
