import type { House, Room } from "../house.ts";
import { type AuditHouse, auditApi } from "./api.ts";
import { activityScreen } from "./screen.ts";

/** What happened, for administrators: searched and exported. */
export function auditRoom(house: AuditHouse & Pick<House, "routes">): Room {
  return {
    name: "audit",
    api: () => auditApi(house),
    admin: activityScreen(house),
    start: house.auditTrail.start,
  };
}
