import manifest from "../../package.json" with { type: "json" };
import { json } from "../edge/answer.ts";
import { ownRoutes } from "../edge/own.ts";
import type { House, Room } from "../house.ts";
import { OWN_PREFIX } from "../pages/paths.ts";
import { StoreUnavailable } from "../store/records.ts";

/** Whether the process runs, and whether it can do its work. */
export function healthRoom({ stores }: Pick<House, "stores">): Room {
  const running = () => json({ status: "running", service: "Runegate", version: manifest.version });

  async function ready(): Promise<Response> {
    try {
      await stores.ready();
      return json({ status: "ready" });
    } catch (error) {
      if (!(error instanceof StoreUnavailable)) throw error;
      return json({ status: "unavailable", error: error.code, message: error.message }, 503);
    }
  }

  const routes = ownRoutes("health", [
    { path: "/health", also: ["/health"], handlers: { GET: running } },
    { path: "/health/live", handlers: { GET: running } },
    { path: "/health/ready", handlers: { GET: ready } },
  ]);
  // Whoever watches a machine asks it by its address.
  return { ...routes, anyHost: [`${OWN_PREFIX}/health`, "/health"] };
}
