import type { ApiHouse } from "../api/own.ts";
import type { House, Room } from "../house.ts";

/** Programs of the operator's that are told what happens, or asked whether it may (`[[hooks]]`). */
export function hookRoom(house: ApiHouse & Pick<House, "hooks">): Room {
  return { name: "hooks", api: async () => (await import("./api.ts")).hookApi(house) };
}
