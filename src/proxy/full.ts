import { reasonOf } from "./failure.ts";

/**
 * A unix socket has room for so many connections that its listener has not taken yet (listen(2); Bun asks for 512), and refuses those
 * beyond (connect(2), EAGAIN), where TCP would let them wait. Many visitors at once are enough for that, and there is room again as
 * soon as the listener has had its turn: one of a tunnel is in this process.
 */

const SOONEST_MS = 4;
const LATEST_MS = 250;
/** Some six seconds. */
const MOST_TRIES = 30;

/** Whether nothing was sent, because too many were before us. */
export function isFull(error: unknown): boolean {
  return reasonOf(error) === "EAGAIN";
}

/**
 * Waits until it may be tried again, not at the same time as all others that wait.
 * @param tried how often it was full so far.
 * @returns false where that was too often.
 */
export async function roomAgain(tried: number): Promise<boolean> {
  if (tried > MOST_TRIES) return false;
  await Bun.sleep(Math.min(LATEST_MS, SOONEST_MS * 2 ** tried) * (0.5 + Math.random() / 2));
  return true;
}
