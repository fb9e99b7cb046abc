import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Clock } from "../../src/clock.ts";
import { createLoggers } from "../../src/observe/log.ts";
import type { Machine } from "../../src/store/sqlite/shared-clock.ts";
import { openSqliteStore } from "../../src/store/sqlite.ts";
import type { Store } from "../../src/store/store.ts";

/** A directory for database files, and every line that stores opened in it have logged. */
export type Place = {
  readonly directory: string;
  readonly path: string;
  readonly lines: string[];
  /** Closed with the place. A test's clock moves the machine's uptime along, unless another machine is given. */
  open(clock: Clock, machine?: Machine): Store;
} & Disposable;

/** @param parent removed by somebody else, with everything in it. */
export function temporaryPlace(parent?: string): Place {
  const directory = mkdtempSync(join(parent ?? tmpdir(), "runegate-sqlite-"));
  const path = join(directory, "runegate.db");
  const lines: string[] = [];
  const opened: Store[] = [];
  const log = createLoggers({
    format: "console",
    levels: { default: "trace", modules: {} },
    write: (line) => lines.push(line),
    now: Date.now,
    color: false,
  })("store");
  return {
    directory,
    path,
    lines,
    open(clock, machine = { bootId: "this boot", uptime: clock.monotonic }) {
      const stores = openSqliteStore({ path, clock, log, machine });
      opened.push(stores);
      return stores;
    },
    [Symbol.dispose]() {
      for (const stores of opened) void stores.close();
      if (parent === undefined) rmSync(directory, { recursive: true, force: true });
    },
  };
}
