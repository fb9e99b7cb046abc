import { accessSync, constants, existsSync } from "node:fs";
import { dirname } from "node:path";
import { systemClock } from "../clock.ts";
import { quietLoggers } from "../observe/quiet.ts";
import { asOwnerOf } from "../rights.ts";
import type { StoreLocation } from "../store/location.ts";
import { loadBackEnd, openStore } from "../store/open.ts";
import { StoreOlder, StoreUnavailable } from "../store/records.ts";
import type { ProbeResult } from "./probe.ts";

/** Whether state can be kept where the options say. Makes nothing: a file that is made as root is not the service's. */
export async function probeStore(location: StoreLocation, schema?: string): Promise<ProbeResult> {
  switch (location.kind) {
    case "memory":
      return { ok: true, lines: ["The memory store is part of Runegate: nothing to reach."] };
    case "sqlite":
      // Before any rights are given up: the program's own files need not be the service's to read.
      await loadBackEnd(location);
      return asOwnerOf(location.path, async () =>
        existsSync(location.path) ? reach(location, location.path) : probeFolder(location.path),
      );
    case "postgres":
    case "valkey":
      return reach(location, location.shown, schema);
  }
}

async function reach(location: StoreLocation, name: string, schema?: string): Promise<ProbeResult> {
  try {
    const stores = await openStore(location, {
      ...(schema === undefined ? {} : { schema }),
      clock: systemClock,
      log: quietLoggers()("store"),
      asIs: true,
    });
    try {
      await stores.ready();
    } finally {
      await stores.close();
    }
  } catch (error) {
    if (error instanceof StoreOlder) return { ok: true, lines: [`${name}: ${error.message}`] };
    if (!(error instanceof StoreUnavailable)) throw error;
    return { ok: false, lines: [`${name}: ${error.message}`] };
  }
  return { ok: true, lines: [`${name} can be read and written.`] };
}

function probeFolder(path: string): ProbeResult {
  const folder = dirname(path);
  try {
    accessSync(folder, constants.W_OK | constants.X_OK);
  } catch {
    return {
      ok: false,
      lines: [`${folder} is not there, or may not be written: make it, and give it to the service's user.`],
    };
  }
  return { ok: true, lines: [`${path} is not there yet: it is made at the first start.`] };
}
