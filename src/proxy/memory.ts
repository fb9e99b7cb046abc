import type { Logger } from "../observe/logger.ts";
import { MIB } from "../option/values.ts";

/**
 * The last resort where memory runs low. Half a message, and the room of those that have passed, is held by the runtime,
 * which says of neither how much it is: what is known is who has the most of what may hold it.
 */

/** What is reckoned for a connection of which nothing has been seen. */
export const UNSEEN = MIB;
/** Nobody who has less is let go, whatever it is that takes the memory. */
const LIGHT = 8 * UNSEEN;

/** A session with its WebSockets. */
export type Holder = {
  readonly connections: number;
  /** Bytes that it may hold, roughly. */
  readonly weight: number;
  letGo(): void;
};

/**
 * Lets the heaviest go if the process takes more than `limit`: one each time, so that it is seen what that gave.
 * @param limit physical memory, in bytes.
 */
export function relieve(limit: number, findHolders: () => readonly Holder[], log: Logger): void {
  if (process.memoryUsage.rss() <= limit) return;
  let heaviest: Holder | undefined;
  for (const holder of findHolders()) {
    if (holder.weight > (heaviest?.weight ?? LIGHT)) heaviest = holder;
  }
  if (heaviest === undefined) return;
  // What has been freed may not have been given back yet.
  Bun.gc(true);
  if (process.memoryUsage.rss() <= limit) return;
  const { connections } = heaviest;
  log.warn("memory runs low: closed the WebSockets of the session with the most", { connections });
  heaviest.letGo();
}
