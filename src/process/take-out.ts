import type { Places } from "./steering.ts";

/** One socket of the port, here or in another process. */
export type Holder = {
  /** Makes its clients come back on new connections. */
  retire(): void;
  /** Takes that back. */
  resume(): void;
  /** Closes the socket. Resolves when no connection arrives there any more; requests may still be under way. */
  close(): Promise<void>;
};

/**
 * What clients need to send one more request on a connection they keep, and be told that it was the last. Who is idle for
 * longer finds the connection closed before they send.
 */
const RETIRE_MS = 1_500;

/**
 * Takes sockets out of service without losing a connection: new ones go to those who stay, those there are get their
 * answers, and only then is anything closed.
 * @param steer attaches places to the port, through any socket that is still there; false where it cannot be done, and then
 * a connection that comes in the moment of closing is lost.
 * @param mayClose asked before the first is closed.
 * @throws if it may not; everything is as it was then.
 */
export async function takeOut<H extends Holder>(settings: {
  readonly places: Places<Holder>;
  readonly leaving: readonly H[];
  readonly staying: readonly Holder[];
  readonly steer: (places: readonly number[] | "all", through: H | undefined) => Promise<boolean>;
  readonly mayClose?: () => boolean;
}): Promise<{ readonly steered: boolean }> {
  const { places, staying, steer, mayClose = () => true } = settings;
  const leaving = [...settings.leaving];
  const steered = await steer(places.placesOf(staying), leaving[0]);
  for (const one of leaving) one.retire();
  await Bun.sleep(RETIRE_MS);
  if (!mayClose()) {
    for (const one of leaving) one.resume();
    await steer("all", leaving[0]);
    throw new Error("who was to take over is gone");
  }
  for (const [i, one] of leaving.entries()) {
    if (steered) await steer(places.placesWhile(one, staying), one);
    // Where a single one stays there was no other place while it moved, and connections came here too.
    if (i > 0 && staying.length === 1) await Bun.sleep(RETIRE_MS);
    await one.close();
    places.remove(one);
  }
  if (steered && staying.length > 0) await steer("all", undefined);
  return { steered };
}
