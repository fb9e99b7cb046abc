import type { House, Room } from "../house.ts";
import type { AuditHouse } from "./api.ts";

/** What happened, for administrators: searched, shown and exported. */
export function auditRoom(house: AuditHouse & Pick<House, "routes">): Room {
  return {
    name: "audit",
    api: async () => (await import("./api.ts")).auditApi(house),
    admin: async () => (await import("./screen.ts")).activityScreen(house),
    start: house.auditTrail.start,
  };
}
