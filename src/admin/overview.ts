import type { House } from "../house.ts";
import { adminPath } from "../pages/paths.ts";
import { plain } from "../pages/template.ts";
import { StoreUnavailable } from "../store/records.ts";
import { VERSION } from "../version.ts";
import type { AdminScreen } from "./screen.ts";

const facts = plain(
  `<dl class="facts">
<div><dt>Mail that waits</dt><dd><a href="{{mail}}">{{waiting}}</a></dd></div>
<div><dt>of it, has failed</dt><dd><a href="{{mail}}">{{failed}}</a></dd></div>
<div><dt>Applications</dt><dd><a href="{{routes}}">{{applications}}</a></dd></div>
<div><dt>of them, closed</dt><dd><a href="{{routes}}">{{closed}}</a></dd></div>
<div><dt>Store</dt><dd>{{store}}</dd></div>
<div><dt>Version</dt><dd>{{version}}</dd></div>
</dl>
`,
  ["mail", "waiting", "failed", "routes", "applications", "closed", "store", "version"],
);

/** How things are: what waits, what is closed, what runs. */
export function overviewScreen({
  outbox,
  routes,
  closures,
  stores,
}: Pick<House, "outbox" | "routes" | "closures" | "stores">): AdminScreen {
  async function storeState(): Promise<string> {
    try {
      await stores.ready();
      return "ready";
    } catch (error) {
      if (error instanceof StoreUnavailable) return `unavailable: ${error.message}`;
      throw error;
    }
  }

  return {
    id: "",
    label: "Overview",
    async show() {
      const [waiting, store] = await Promise.all([outbox.waiting(), storeState(), closures.look()]);
      const failed = waiting.filter(({ lastError }) => lastError !== undefined);
      const closed = routes.all.filter((route) => closures.textOf(route) !== undefined);
      return facts({
        mail: adminPath("mail"),
        waiting: `${waiting.length}`,
        failed: `${failed.length}`,
        routes: adminPath("routes"),
        applications: `${routes.all.length}`,
        closed: `${closed.length}`,
        store,
        version: VERSION,
      });
    },
  };
}
