import { ADMINS } from "../access/people.ts";
import { lateHandlers, ownRoutes } from "../edge/own.ts";
import { withoutPrefix } from "../edge/target.ts";
import type { House, Room } from "../house.ts";
import { atFirstUse } from "../late.ts";
import { ADMIN_PATH, OWN_PREFIX } from "../pages/paths.ts";

/**
 * The pages for administrators: a frame, and in it the screens that rooms add. All of it is loaded when one is first asked for.
 * @param rooms all there are, asked when a page is.
 */
export function adminRoom(house: House, rooms: () => readonly Pick<Room, "admin">[]): Room {
  const by = lateHandlers(
    atFirstUse(async () => (await import("./handlers.ts")).createAdminHandlers(house, rooms)),
  );
  const handlers = { GET: by("show"), POST: by("act") };
  const below = withoutPrefix(ADMIN_PATH, OWN_PREFIX);
  return {
    ...ownRoutes("admin", [
      { path: below, handlers },
      { path: `${below}/*`, handlers },
    ]),
    api: async () => (await import("./api.ts")).adminApi(house),
    account: {
      id: "admin",
      async show({ found, arrival }) {
        if (!found.principal.groups.has(ADMINS) || arrival.origin !== house.routes.home.origin)
          return undefined;
        const { linkTo } = await import("../pages/tables.ts");
        return {
          heading: "Administration",
          content: linkTo(ADMIN_PATH, "Sessions, keys, mail, applications"),
        };
      },
    },
  };
}
