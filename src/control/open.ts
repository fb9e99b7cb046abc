import type { LoggerFor } from "../observe/logger.ts";
import { messageOf } from "../observe/message-of.ts";
import type { Gateway } from "../server.ts";
import type { Operations } from "./serve.ts";
import { startControl } from "./server.ts";

export type Control = { stop(): Promise<void> };

/**
 * The gateway does its work without it: undefined, and a line in the log, where it cannot be opened.
 * @param gateway the one that answers by now.
 */
export async function openControl(
  gateway: () => Gateway,
  path: string | undefined,
  loggers: LoggerFor,
  operations: Operations,
): Promise<Control | undefined> {
  if (path === undefined) return undefined;
  try {
    return await startControl(path, (arrival) => gateway().answer(arrival), operations);
  } catch (error) {
    loggers("main").warn("the control socket cannot be opened", { path, reason: messageOf(error) });
    return undefined;
  }
}
