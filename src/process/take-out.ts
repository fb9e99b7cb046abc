import type { Places } from "./steering.ts";

/** One socket of the port, here or in another process. */
export type Holder = {
  /** Makes its clients come back on new connections. */
  retire(): void;
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
 */
export async function takeOut<H extends Holder>(settings: {
  readonly places: Places<Holder>;
  readonly leaving: readonly H[];
  readonly staying: readonly Holder[];
  readonly steer: (places: readonly number[] | "all", through: H | undefined) => Promise<boolean>;
  readonly onClosed?: (leaving: H) => void;
}): Promise<{ readonly steered: boolean }> {
  const { places, staying, steer } = settings;
  const steered = await steer(places.placesOf(staying), settings.leaving[0]);
  for (const leaving of settings.leaving) leaving.retire();
  await Bun.sleep(RETIRE_MS);
  for (const leaving of settings.leaving) {
    if (steered) await steer(places.placesWhile(leaving, staying), leaving);
    await leaving.close();
    places.remove(leaving);
    settings.onClosed?.(leaving);
  }
  if (steered && staying.length > 0) await steer("all", undefined);
  return { steered };
}
