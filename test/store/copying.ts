import { systemClock } from "../../src/clock.ts";
import { main } from "../../src/main.ts";
import type { Contents } from "../../src/store/contents.ts";
import { storeLocation } from "../../src/store/location.ts";
import { openStore } from "../../src/store/open.ts";
import { type KeptLocation, loadContents } from "../../src/store/open-contents.ts";
import type { Kind } from "../../src/store/records.ts";
import type { Store } from "../../src/store/store.ts";
import { recordedIo } from "../support/recorded-io.ts";
import { SILENT } from "../support/silent.ts";

/** What tests of copies begin with: stores with something in them, and the command line. */

export const HOUR = 3_600_000;
export const SESSION: Kind<{ email: string }> = { name: "session", by: ["email"] };

export async function openedStore(url: string, schema?: string): Promise<Store> {
  const store = await openStore(storeLocation(url), {
    ...{ clock: systemClock, log: SILENT },
    ...(schema === undefined ? {} : { schema }),
  });
  await store.ready();
  return store;
}

/** Ada's sessions, in a store that no gateway uses afterwards. */
export async function fillSessions(url: string, ids: readonly string[]): Promise<void> {
  const store = await openedStore(url);
  for (const id of ids) await store.records(SESSION).add(id, { email: "ada@example.org" }, Date.now() + HOUR);
  await store.close();
}

/** @param made whether the store is there already, or is to be. */
export async function contentsOf(url: string, made = false): Promise<Contents> {
  const open = await loadContents(storeLocation(url) as KeptLocation);
  return open({ clock: systemClock, schema: "runegate", made });
}

export async function commandLine(words: readonly string[], env: Readonly<Record<string, string>> = {}) {
  const io = recordedIo({ RUNEGATE_STORE: "memory", RUNEGATE_ENV_FILE: "/dev/null", ...env });
  const code = await main(words, io);
  return { code, out: io.stdout.join("\n"), err: io.stderr.join("\n") };
}
