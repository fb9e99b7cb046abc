import type { Arrival } from "../edge/arrival.ts";
import { ownRoutes } from "../edge/own.ts";
import type { House, Room } from "../house.ts";
import { APPROVE_PATH, OWN_PREFIX, PHONE_PATH } from "../pages/paths.ts";
import { createApprovalCookie } from "./cookie.ts";
import type { ApprovalHandlers } from "./handlers.ts";

/**
 * Signing in a screen without mail from a phone: the screen shows a code, whoever is signed in on the phone approves it, and
 * picks the number that the screen shows then. All but this is loaded when it is first asked for.
 */
export function approvalRoom(house: House): Room {
  if (!house.options.approval) return { name: "approval" };
  const cookie = createApprovalCookie(house.options.secureCookie);
  let loaded: Promise<ApprovalHandlers> | undefined;
  const load = () => {
    loaded ??= import("./handlers.ts").then(({ createApprovalHandlers }) =>
      createApprovalHandlers(house, cookie),
    );
    return loaded;
  };
  const by = (name: Exclude<keyof ApprovalHandlers, "wayIn">) => async (arrival: Arrival) =>
    (await load())[name](arrival);

  const own = ownRoutes("approval", [
    { path: PHONE_PATH.slice(OWN_PREFIX.length), handlers: { GET: by("show"), POST: by("ask") } },
    { path: APPROVE_PATH.slice(OWN_PREFIX.length), handlers: { GET: by("open"), POST: by("decide") } },
  ]);
  return { ...own, cookies: [cookie], wayIn: async (arrival, next) => (await load()).wayIn(arrival, next) };
}
