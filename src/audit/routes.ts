import type { Room } from "../house.ts";
import { type AuditHouse, auditApi } from "./api.ts";

/** What happened, for administrators: searched and exported. */
export function auditRoom(house: AuditHouse): Room {
  return { name: "audit", api: () => auditApi(house), start: house.auditTrail.start };
}
