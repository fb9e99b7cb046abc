import { lateHandlers, ownRoutes } from "../edge/own.ts";
import type { House, Room } from "../house.ts";
import { atFirstUse } from "../late.ts";
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
  const load = atFirstUse(async () => (await import("./handlers.ts")).createApprovalHandlers(house, cookie));
  const by = lateHandlers<Exclude<keyof ApprovalHandlers, "wayIn">>(load);

  const own = ownRoutes("approval", [
    { path: PHONE_PATH.slice(OWN_PREFIX.length), handlers: { GET: by("show"), POST: by("ask") } },
    { path: APPROVE_PATH.slice(OWN_PREFIX.length), handlers: { GET: by("open"), POST: by("decide") } },
  ]);
  return { ...own, cookies: [cookie], wayIn: async (arrival, next) => (await load()).wayIn(arrival, next) };
}
