import type { Route } from "../access/route.ts";
import type { House } from "../house.ts";
import { ROUTE_CLOSED, ROUTE_OPENED } from "./audit.ts";

/** Closing an application for a while and opening it again, as the API and the administrators' page do it. */
export type Maintenance = {
  named(name: string): Route | undefined;
  /** Recorded before it is done. @param by whoever does it. False where it was closed already. @throws {StoreUnavailable} */
  close(route: Route, by: string, text?: string): Promise<boolean>;
  /** Likewise. False where no administrator had closed it. @throws {StoreUnavailable} */
  open(route: Route, by: string): Promise<boolean>;
};

const CLOSED = "It is being worked on. Come back a little later.";

export function createMaintenance({
  routes,
  closures,
  auditFirst,
}: Pick<House, "routes" | "closures" | "auditFirst">): Maintenance {
  return {
    named: (name) => routes.all.find((route) => route.name === name),

    async close(route, by, text = CLOSED) {
      await closures.look();
      if (closures.textOf(route) !== undefined) return false;
      await auditFirst(ROUTE_CLOSED, { route: route.name, actor: by });
      return closures.close(route, text);
    },

    async open(route, by) {
      await closures.look();
      if (route.maintenance !== undefined || closures.textOf(route) === undefined) return false;
      await auditFirst(ROUTE_OPENED, { route: route.name, actor: by });
      return closures.open(route);
    },
  };
}
