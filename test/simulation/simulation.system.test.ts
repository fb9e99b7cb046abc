import { describe, expect, test } from "bun:test";
import { needs, needsRoot } from "../support/needs.ts";
import { postgresPrograms } from "../support/postgres.ts";
import { startProcess } from "../support/process.ts";
import { ACTS } from "./acts.ts";
import { STORES } from "./stores.ts";

/** Half a minute of the simulation over each store, in which each trouble comes once. */

const ready =
  needsRoot("to lay cables between network namespaces") &&
  needs("ip") !== undefined &&
  needs("redis-server") !== undefined &&
  postgresPrograms() !== undefined;

describe.skipIf(!ready)("three gateways over one store that is killed and cut off", () => {
  // Both at once: most of it is waiting.
  test.concurrent.each([...STORES])(
    "%s: every promise is held",
    async (store) => {
      const script = new URL("run.ts", import.meta.url).pathname;
      const settings = ["--acts", "1500", "--people", "20", "--store", store];
      const run = startProcess([process.execPath, script, ...settings]);
      try {
        const code = await run.exited;
        // With its seed, and what happened before whatever is wrong.
        if (code !== 0) throw new Error(run.output());
        expect(run.output()).toContain("Every promise was held.");
        expect(run.output()).toMatch(/cut (silent|refusing) g1/);
        for (const what of ["gateway killed g2", "worker killed g3", "store killed"])
          expect(run.output()).toContain(what);
        const done = ACTS.filter(({ name }) => run.output().includes(`act: ${name}`));
        expect(done.length).toBeGreaterThan(ACTS.length - 4);
      } finally {
        run.signal("SIGTERM");
      }
    },
    180_000,
  );
});
