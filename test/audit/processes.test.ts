import { expect, test } from "bun:test";
import { join } from "node:path";
import { findAll } from "../../src/audit/find.ts";
import { createVerifier } from "../../src/audit/verify.ts";
import { openSqliteStore } from "../../src/store/sqlite.ts";
import { temporaryPlace } from "../store/sqlite-place.ts";
import { testClock } from "../support/clock.ts";
import { SILENT } from "../support/silent.ts";
import { openTrail } from "./support.ts";

/** A process that writes until it has written so many, and is killed in the midst of it. @returns how many it said it had. */
async function killedAfter(count: number, path: string): Promise<number> {
  const reached = Promise.withResolvers<void>();
  let said = 0;
  const child = Bun.spawn([process.execPath, join(import.meta.dir, "one-writer.ts"), path], {
    stdio: ["ignore", "inherit", "inherit"],
    ipc(written: number) {
      said = written;
      if (written >= count) reached.resolve();
    },
  });
  await Promise.race([reached.promise, child.exited]);
  child.kill("SIGKILL");
  await child.exited;
  return said;
}

test("H8 two workers and `kill -9`: the chains of all are intact, and what they had written is there", async () => {
  using place = temporaryPlace();
  const first = await Promise.all([killedAfter(300, place.path), killedAfter(500, place.path)]);
  const second = await Promise.all([killedAfter(200, place.path), killedAfter(50, place.path)]);
  const clock = testClock(Date.now());
  const store = openSqliteStore({ path: place.path, clock, log: SILENT });
  try {
    const verifier = createVerifier();
    const { trail } = openTrail({ clock, store });
    for await (const part of findAll(trail.find, {})) for (const entry of part) verifier.take(entry);
    const { events, chains, wrong } = verifier.end();
    expect(wrong).toBeUndefined();
    expect(chains).toBe(4);
    expect(events).toBeGreaterThanOrEqual([...first, ...second].reduce((sum, one) => sum + one, 0));
  } finally {
    await store.close();
  }
}, 60_000);
