import type { ApiHouse } from "../api/own.ts";
import type { House, Renewal, Room } from "../house.ts";
import { messageOf } from "../observe/message-of.ts";

/**
 * What the session key before this one is still needed for. Every instance that starts with both seals anew what it can, so that
 * nothing of it is left when the operator gives the old one up.
 */
export function rotationRoom(
  house: ApiHouse & Pick<House, "keys" | "loggers">,
  rooms: () => readonly Room[],
): Room {
  const log = house.loggers("main");

  async function renew(): Promise<Renewal[]> {
    if (!house.keys.isRotated) return [];
    const renewals: Renewal[] = [];
    for (const room of rooms()) {
      const done = await room.renewSeals?.();
      if (done === undefined) continue;
      renewals.push(done);
      const { what, renewed: records } = done;
      if (records > 0) log.info(`sealed ${what} under the new session key`, { records });
    }
    return renewals;
  }

  return {
    name: "rotation",
    api: async () => (await import("./api.ts")).rotationApi(house, renew),
    start() {
      // A store that is away keeps nobody from starting; it is done again before the old key is given up.
      renew().catch((error: unknown) =>
        log.warn("could not seal under the new session key, will try again", { reason: messageOf(error) }),
      );
    },
  };
}
