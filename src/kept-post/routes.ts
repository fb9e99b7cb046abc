import { lateHandlers, ownRoutes } from "../edge/own.ts";
import type { House, Room } from "../house.ts";
import { atFirstUse } from "../late.ts";

/** `/_runegate/kept`: what somebody was about to send when their session had ended, once they have signed in again. */
export function keptPostRoom(house: House): Room {
  const { isOn, cookie, ownerCookie } = house.keptPosts;
  const cookies = [cookie, ownerCookie];
  if (!isOn) return { name: "kept-post", cookies };
  const by = lateHandlers(
    atFirstUse(async () => (await import("./handlers.ts")).createKeptPostHandlers(house)),
  );
  return {
    ...ownRoutes("kept-post", [{ path: "/kept", handlers: { GET: by("show"), POST: by("drop") } }]),
    cookies,
  };
}
