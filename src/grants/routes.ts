import { lateHandlers, ownRoutes } from "../edge/own.ts";
import { withoutPrefix } from "../edge/target.ts";
import type { House, Room } from "../house.ts";
import { atFirstUse } from "../late.ts";
import { ASK_PATH, OWN_PREFIX, REQUESTS_PATH } from "../pages/paths.ts";
import { createGrantUpkeep } from "./upkeep.ts";

/** People whom administrators let in while it runs, besides those of configuration. */
export function grantRoom(house: House): Room {
  const { grants } = house;
  const room = {
    name: "grants",
    api: async () => (await import("./api.ts")).grantApi(house),
    admin: async () => (await import("./screen.ts")).peopleScreen(house),
  };
  if (!grants.isOpen) return room;
  const upkeep = createGrantUpkeep({ ...house, book: grants, log: house.loggers("edge") });
  const rest = () => {
    grants.stop();
    upkeep.stop();
  };
  return { ...room, prepare: grants.start, start: upkeep.start, replaced: rest, stop: async () => rest() };
}

/** People who ask for an application that they may not use, and those who decide about it. */
export function requestRoom(house: House): Room {
  const room = { name: "requests", api: async () => (await import("./requests-api.ts")).requestApi(house) };
  if (!house.grants.isOpen) return room;
  const by = lateHandlers(atFirstUse(async () => (await import("./visit.ts")).accessPages(house)));
  const paths = ownRoutes("requests", [
    { path: withoutPrefix(ASK_PATH, OWN_PREFIX), handlers: { GET: by("show"), POST: by("ask") } },
    { path: withoutPrefix(REQUESTS_PATH, OWN_PREFIX), handlers: { GET: by("list"), POST: by("decide") } },
  ]);
  return { ...paths, ...room };
}
