import { expect, test } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { startProcess } from "../support/process.ts";
import { ACTS } from "./acts.ts";
import type { Outcome } from "./soak.ts";

/** So that the soak itself does not rot: some seconds of it, in which everything happens that happens in hours. */
test("a short soak finds nothing, and does everything", async () => {
  const directory = mkdtempSync(join(tmpdir(), "runegate-soak-test-"));
  const file = join(directory, "outcome.json");
  const script = new URL("run.ts", import.meta.url).pathname;
  const executable = process.env.RUNEGATE_EXECUTABLE;
  const binary = executable === undefined ? [] : ["--binary", executable];
  const run = startProcess([process.execPath, script, "--seconds", "9", "--json", file, ...binary]);
  try {
    const code = await run.exited;
    if (code !== 0) throw new Error(run.output());
    const outcome = (await Bun.file(file).json()) as Outcome;
    expect(outcome.problems).toEqual([]);
    const done = Object.keys(outcome.done);
    for (const { name } of ACTS) expect(done).toContain(name);
    expect(done).toEqual(expect.arrayContaining(["sign in (link)", "sign in (click)", "sign in (code)"]));
    expect(done).toEqual(expect.arrayContaining(["logout", "revocation"]));
    // The application was away for a while, and visitors were told so.
    expect(outcome.excused).toHaveProperty(["log: the application did not answer (restart)"]);
  } finally {
    run.signal("SIGTERM");
    rmSync(directory, { recursive: true });
  }
}, 60_000);
