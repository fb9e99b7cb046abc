import type { House, Room } from "../house.ts";
import { grantApi } from "./api.ts";
import { createGrantUpkeep } from "./upkeep.ts";

/** People whom administrators let in while it runs, besides those of configuration. */
export function grantRoom(house: House): Room {
  const { grants } = house;
  const room = { name: "grants", api: () => grantApi(house) };
  if (!grants.isOpen) return room;
  const upkeep = createGrantUpkeep({ ...house, book: grants, log: house.loggers("edge") });
  return {
    ...room,
    start() {
      grants.start();
      upkeep.start();
    },
    async stop() {
      grants.stop();
      upkeep.stop();
    },
  };
}
