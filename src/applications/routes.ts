import type { ApiHouse } from "../api/own.ts";
import type { House, Room } from "../house.ts";
import { applicationsApi } from "./api.ts";
import { applicationScreen } from "./screen.ts";

/** The applications behind this gateway, for the operator. */
export function applicationsRoom(
  house: ApiHouse & Pick<House, "routes" | "closures" | "policy" | "auditFirst" | "metrics">,
): Room {
  const { closures } = house;
  return {
    name: "applications",
    api: () => applicationsApi(house),
    admin: applicationScreen(house),
    start: closures.start,
    async stop() {
      closures.stop();
    },
  };
}
