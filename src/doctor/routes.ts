import type { ApiHouse } from "../api/own.ts";
import type { House, Room } from "../house.ts";
import { doctorApi } from "./api.ts";

/** What arrives here of what an operator sends to the public address. */
export function doctorRoom(house: ApiHouse & Pick<House, "probes">): Room {
  return { name: "doctor", api: () => doctorApi(house) };
}
