import type { LoggerFor } from "../observe/logger.ts";
import { messageOf } from "../observe/message-of.ts";
import type { Gateway } from "../server.ts";
import { startControl } from "./server.ts";

export type Control = { stop(): Promise<void> };

/** The gateway does its work without it: undefined, and a line in the log, where it cannot be opened. */
export async function openControl(
  { answer }: Pick<Gateway, "answer">,
  path: string | undefined,
  loggers: LoggerFor,
): Promise<Control | undefined> {
  if (path === undefined) return undefined;
  try {
    return await startControl(path, answer);
  } catch (error) {
    loggers("main").warn("the control socket cannot be opened", { path, reason: messageOf(error) });
    return undefined;
  }
}
