import manifest from "../../package.json" with { type: "json" };
import { json } from "../edge/answer.ts";
import { type OwnRoutes, ownRoutes } from "../edge/own.ts";
import { StoreUnavailable } from "../store/records.ts";
import type { Store } from "../store/store.ts";

/** Whether the process runs, and whether it can do its work. */
export function healthRoutes(stores: Pick<Store, "ready">): OwnRoutes {
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

  return ownRoutes("health", [
    { path: "/health", also: ["/health"], handlers: { GET: running } },
    { path: "/health/live", handlers: { GET: running } },
    { path: "/health/ready", handlers: { GET: ready } },
  ]);
}
