import type { ApiHouse } from "../api/own.ts";
import type { House, Room } from "../house.ts";

/** What arrives here of what an operator sends to the public address. */
export function doctorRoom(house: ApiHouse & Pick<House, "probes">): Room {
  return { name: "doctor", api: async () => (await import("./api.ts")).doctorApi(house) };
}
