import { lateHandlers, ownRoutes } from "../edge/own.ts";
import type { House, Room } from "../house.ts";
import { atFirstUse } from "../late.ts";

/**
 * Browsers that people have signed in with: forgetting one, and the link by which they say that one was not theirs.
 * @param rooms all there are, each of which may have something that lets an address in.
 */
export function deviceRoom(house: House, rooms: () => readonly Pick<Room, "disown">[]): Room {
  const load = atFirstUse(async () => (await import("./handlers.ts")).createDeviceHandlers(house, rooms));
  const by = lateHandlers<"ask" | "act" | "forget">(load);
  return {
    ...ownRoutes("devices", [
      { path: "/not-me", handlers: { GET: by("ask"), POST: by("act") } },
      { path: "/devices/forget", handlers: { POST: by("forget") } },
    ]),
    account: { id: "devices", show: async (visitor) => (await load()).section(visitor) },
    cookies: [house.deviceCookie],
  };
}
