import type { ApiHouse } from "../api/own.ts";
import type { House, Room } from "../house.ts";

/** The applications behind this gateway, for the operator. */
export function applicationsRoom(
  house: ApiHouse &
    Pick<House, "routes" | "closures" | "policy" | "auditFirst" | "metrics" | "impersonations">,
): Room {
  const { closures } = house;
  return {
    name: "applications",
    api: async () => (await import("./api.ts")).applicationsApi(house),
    admin: async () => (await import("./screen.ts")).applicationScreen(house),
    start: closures.start,
    replaced: closures.stop,
    async stop() {
      closures.stop();
    },
  };
}
