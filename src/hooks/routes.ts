import type { Room } from "../house.ts";
import { hookApi } from "./api.ts";

/** Programs of the operator's that are told what happens, or asked whether it may (`[[hooks]]`). */
export function hookRoom(house: Parameters<typeof hookApi>[0]): Room {
  return { name: "hooks", api: () => hookApi(house) };
}
