import type { Room } from "../house.ts";
import type { ApiHouse } from "./own.ts";

/** The management API's account of itself. */
export function apiRoom(house: ApiHouse): Room {
  return { name: "api", api: async () => (await import("./document.ts")).documentApi(house) };
}
