import { expect, test } from "bun:test";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { versionOf } from "../../src/commands/other-version.ts";
import { recordedIo } from "../support/recorded-io.ts";

/** New versions that do not come to an end, as the upgrade asks them. */

test.concurrent.each([
  ["waits for ever", "exec sleep 600", "was not done after 20 s"],
  ["leaves somebody behind who holds its output", "sleep 30 & exit 0", ""],
  ["says more and more", "yes", "was ended by SIGKILL"],
])(
  "one that %s is given up",
  async (_, line, reason) => {
    const folder = mkdtempSync(join(tmpdir(), "runegate-hanging-"));
    const path = join(folder, "runegate");
    writeFileSync(path, `#!/bin/sh\n${line}\n`, { mode: 0o755 });
    const io = recordedIo({ PATH: process.env.PATH });
    const began = performance.now();
    expect(() => versionOf(path, io)).toThrow("the new version does not run on this machine");
    expect(performance.now() - began).toBeLessThan(25_000);
    expect(io.stderr.join()).toContain(reason);
    rmSync(folder, { recursive: true });
  },
  60_000,
);
