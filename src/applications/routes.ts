import type { ApiHouse } from "../api/own.ts";
import type { House, Room } from "../house.ts";

/** The applications behind this gateway, for the operator. */
export function applicationsRoom(house: ApiHouse & Pick<House, "routes" | "closures" | "audit">): Room {
  const { closures } = house;
  return {
    name: "applications",
    api: async () => (await import("./api.ts")).applicationsApi(house),
    start: closures.start,
    async stop() {
      closures.stop();
    },
  };
}
