import type { AccessOptions } from "../access/options.ts";
import type { LoginOptions } from "../login/options.ts";
import type { LoggerFor } from "../observe/logger.ts";
import { messageOf } from "../observe/message-of.ts";
import type { Gateway } from "../server.ts";
import { createOperator } from "./operator.ts";
import type { ControlOptions } from "./options.ts";
import { startControl } from "./server.ts";

export type Control = { stop(): Promise<void> };

/** The gateway does its work without it: undefined, and a line in the log, where it cannot be opened. */
export async function openControl(
  gateway: Gateway,
  options: ControlOptions & Pick<AccessOptions, "allowedEmails"> & Pick<LoginOptions, "landingPath">,
  loggers: LoggerFor,
): Promise<Control | undefined> {
  if (options.controlSocket === undefined) return undefined;
  const { sessions, login, policy, audit } = gateway;
  try {
    return await startControl({
      path: options.controlSocket,
      operator: createOperator({ sessions, policy, options, audit }),
      login,
      policy,
      landingPath: options.landingPath,
    });
  } catch (error) {
    loggers("main").warn("the control socket cannot be opened", {
      path: options.controlSocket,
      reason: messageOf(error),
    });
    return undefined;
  }
}
