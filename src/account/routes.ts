import { lateHandlers, ownRoutes } from "../edge/own.ts";
import type { Room } from "../house.ts";
import { atFirstUse } from "../late.ts";
import { ACCOUNT_PATH, OWN_PREFIX } from "../pages/paths.ts";
import type { AccountHouse } from "./handlers.ts";

/**
 * For whoever is signed in: the applications that they may open, and their account.
 * @param rooms all there are: each may have a section of the account.
 */
export function accountRoom(house: AccountHouse, rooms: () => readonly Pick<Room, "account">[]): Room {
  const load = async () => (await import("./handlers.ts")).createAccountHandlers(house, rooms);
  const by = lateHandlers(atFirstUse(load));
  const below = ACCOUNT_PATH.slice(OWN_PREFIX.length);
  return ownRoutes("account", [
    { path: "", handlers: { GET: by("showStart") } },
    { path: below, handlers: { GET: by("showAccount") } },
    { path: `${below}/sessions/end`, handlers: { POST: by("endOne") } },
    { path: `${below}/sessions/end-others`, handlers: { POST: by("endOthers") } },
  ]);
}
