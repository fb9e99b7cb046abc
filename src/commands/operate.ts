import { existsSync } from "node:fs";
import { loadOptions } from "../config/load.ts";
import { ControlError, connectControl, type Operator } from "../control/client.ts";
import type { Io } from "../process/io.ts";
import { asOwnerOf } from "../rights.ts";
import { StoreUnavailable } from "../store/records.ts";
import { failed, type Outcome } from "./command.ts";

/** What the help of commands that use this says. */
export const REACH_HELP = `Asks the running instance over its control socket (RUNEGATE_CONTROL_SOCKET), so
run it on the same machine, as root or as the service's user. If no instance
runs here, it works on the store itself, where RUNEGATE_STORE is not memory.`;

/** Does something as the operator, in the running instance if there is one here, on its store if there is not. */
export async function operate(io: Io, work: (operator: Operator) => Promise<Outcome>): Promise<Outcome> {
  const { options } = loadOptions(io);
  try {
    if (options.controlSocket !== undefined) {
      try {
        return await work(connectControl(options.controlSocket));
      } catch (error) {
        if (!isNotRunning(error) || options.store.kind === "memory") throw error;
      }
    } else if (options.store.kind === "memory") {
      return failed(io, "RUNEGATE_CONTROL_SOCKET is off, so the running instance cannot be reached.");
    }
    // Loaded before any rights are given up: the program's own files need not be the service's to read.
    const { withStore } = await import("../control/on-store.ts");
    const { store } = options;
    const onStore = () => withStore(options, io.err, work);
    if (store.kind !== "sqlite") return await onStore();
    return await asOwnerOf(store.path, () => {
      // Made by whoever looks first, it would not be the service's.
      if (existsSync(store.path)) return onStore();
      throw new StoreUnavailable(`Nothing is kept yet: there is no ${store.path}.`);
    });
  } catch (error) {
    if (!(error instanceof ControlError || error instanceof StoreUnavailable)) throw error;
    return failed(io, error.message);
  }
}

function isNotRunning(error: unknown): boolean {
  return error instanceof ControlError && error.code === "not_running";
}
