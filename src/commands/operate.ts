import { existsSync } from "node:fs";
import { loadAccess } from "../config/configuration.ts";
import { ControlError, connectControl, type Operator } from "../control/client.ts";
import type { Io } from "../process/io.ts";
import { asOwnerOf } from "../rights.ts";
import type { StoreLocation } from "../store/location.ts";
import { loadBackEnd } from "../store/open.ts";
import { StoreUnavailable } from "../store/records.ts";
import { failed, type Outcome } from "./command.ts";

/** What the help of commands that use this says. */
export const REACH_HELP = `Asks the running instance over its control socket (RUNEGATE_CONTROL_SOCKET), so
run it on the same machine, as root or as the service's user. If no instance
runs here, it works on the store itself, where RUNEGATE_STORE is not memory.`;

/** As {@link reach}, with what goes wrong in reaching it said to the operator. */
export async function operate(
  io: Io,
  work: (operator: Operator) => Promise<Outcome>,
  fromConfiguration = false,
): Promise<Outcome> {
  try {
    return await reach(io, work, fromConfiguration);
  } catch (error) {
    if (!isUnreached(error)) throw error;
    return failed(io, error.message);
  }
}

export function isUnreached(error: unknown): error is ControlError | StoreUnavailable {
  return error instanceof ControlError || error instanceof StoreUnavailable;
}

/**
 * Does something as the operator, in the running instance if there is one here, on its store if there is not.
 * @param fromConfiguration for what can be said of the configuration alone, where nothing is kept either.
 * @throws {ControlError} or {StoreUnavailable} with what to do; or {ConfigError}.
 */
export async function reach<T>(
  io: Io,
  work: (operator: Operator) => Promise<T>,
  fromConfiguration = false,
): Promise<T> {
  const access = loadAccess(io);
  const { store, controlSocket } = access.options;
  const isKept = store.kind !== "memory" || fromConfiguration;
  if (controlSocket !== undefined) {
    try {
      return await work(connectControl(controlSocket));
    } catch (error) {
      if (!isNotRunning(error) || !isKept) throw error;
    }
  } else if (!isKept) {
    throw new ControlError("RUNEGATE_CONTROL_SOCKET is off, so the running instance cannot be reached.");
  }
  // Loaded before any rights are given up: the program's own files need not be the service's to read.
  const [{ withStore, loadApi }] = await Promise.all([import("../control/on-store.ts"), loadBackEnd(store)]);
  if (store.kind === "sqlite") await loadApi(access);
  const on = (location: StoreLocation) => withStore(access, location, io.err, work);
  if (store.kind !== "sqlite") return await on(store);
  return await asOwnerOf(store.path, () => {
    // Made by whoever looks first, it would not be the service's.
    if (existsSync(store.path)) return on(store);
    if (fromConfiguration) return on({ kind: "memory" });
    throw new StoreUnavailable(`Nothing is kept yet: there is no ${store.path}.`);
  });
}

function isNotRunning(error: unknown): boolean {
  return error instanceof ControlError && error.code === "not_running";
}
