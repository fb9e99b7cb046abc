import { existsSync } from "node:fs";
import { createPolicy } from "../access/policy.ts";
import { systemClock, systemRandom } from "../clock.ts";
import { loadOptions } from "../config/load.ts";
import type { Options } from "../config/types.ts";
import { ControlError, connectControl } from "../control/client.ts";
import { createOperator, type Operator, OperatorError } from "../control/operator.ts";
import { EXIT, type ExitCode } from "../exit.ts";
import { createAudit } from "../observe/audit.ts";
import { createLoggers } from "../observe/log.ts";
import type { Io } from "../process/io.ts";
import { asOwnerOf } from "../rights.ts";
import { deriveKeys } from "../secret/keys.ts";
import { createSessions } from "../session/session.ts";
import { openStore } from "../store/open.ts";
import { StoreUnavailable } from "../store/records.ts";

/** What the help of commands that use this says. */
export const REACH_HELP = `Asks the running instance over its control socket (RUNEGATE_CONTROL_SOCKET), so
run it on the same machine, as root or as the service's user. If no instance
runs here, it works on the store itself, where RUNEGATE_STORE is not memory.`;

/** Does something as the operator, in the running instance if there is one here, on its store if there is not. */
export async function operate(io: Io, work: (operator: Operator) => Promise<ExitCode>): Promise<ExitCode> {
  const { options } = loadOptions(io.env);
  try {
    if (options.controlSocket !== undefined) {
      try {
        return await work(connectControl(options.controlSocket));
      } catch (error) {
        if (!isNotRunning(error) || options.store.kind === "memory") throw error;
      }
    } else if (options.store.kind === "memory") {
      io.err("RUNEGATE_CONTROL_SOCKET is off, so the running instance cannot be reached.");
      return EXIT.failed;
    }
    const { store } = options;
    return await (store.kind === "sqlite"
      ? asOwnerOf(store.path, () => onStore(options, io, work))
      : onStore(options, io, work));
  } catch (error) {
    const expected =
      error instanceof ControlError || error instanceof OperatorError || error instanceof StoreUnavailable;
    if (!expected) throw error;
    io.err(error.message);
    return EXIT.failed;
  }
}

function isNotRunning(error: unknown): boolean {
  return error instanceof ControlError && error.code === "not_running";
}

async function onStore(
  options: Options,
  io: Io,
  work: (operator: Operator) => Promise<ExitCode>,
): Promise<ExitCode> {
  // Made by whoever looks first, it would not be the service's.
  if (options.store.kind === "sqlite" && !existsSync(options.store.path)) {
    throw new StoreUnavailable(`Nothing is kept yet: there is no ${options.store.path}.`);
  }
  // What is audited goes to the operator's terminal: the instance's log is not here.
  const loggers = createLoggers({
    format: options.logFormat,
    levels: options.logLevels,
    write: io.err,
    now: systemClock.now,
    color: false,
  });
  const audit = createAudit(loggers("audit"));
  const policy = createPolicy(options);
  const stores = await openStore(options.store, { clock: systemClock, log: loggers("store") });
  try {
    const sessions = createSessions({
      ...options,
      keys: deriveKeys(options),
      store: stores,
      policy,
      audit,
      log: loggers("session"),
      clock: systemClock,
      random: systemRandom,
    });
    return await work(createOperator({ sessions, policy, options, audit }));
  } finally {
    await stores.close();
  }
}
