import viewSource from "../../static/view.html" with { type: "text" };
import viewsSource from "../../static/views.html" with { type: "text" };
import type { Routes } from "../access/routes.ts";
import type { AccountVisitor, ShownSection } from "../account/section.ts";
import type { Clock } from "../clock.ts";
import { MINUTE } from "../option/values.ts";
import { said, say } from "../pages/language.ts";
import { timeAt } from "../pages/pages.ts";
import { concat, template } from "../pages/template.ts";
import type { Impersonations } from "./service.ts";

const views = template(viewsSource, ["rows"]);
const view = template(viewSource, ["what", "at", "reason", "isOn"]);

/** Who used which application as whoever looks, on the page of their account. */
export async function viewsSection(
  { found, look: { language } }: AccountVisitor,
  { viewsOf }: Pick<Impersonations, "viewsOf">,
  routes: Pick<Routes, "all">,
  clock: Clock,
): Promise<ShownSection | undefined> {
  const all = await viewsOf(found.record.email);
  if (all.length === 0) return undefined;
  const now = clock.now();
  const rows = all.map(({ admin, route, reason, startedAt, endedAt }) => {
    const app = routes.all.find(({ name }) => name === route)?.title ?? route;
    const amount = Math.max(1, Math.round((Math.min(now, endedAt) - startedAt) / MINUTE));
    return view(language, {
      what: say(language, said("views.what", { admin, app, time: { amount, unit: "minute" } })),
      at: timeAt(language, startedAt),
      reason,
      isOn: now < endedAt ? "yes" : undefined,
    });
  });
  return { heading: said("views.heading"), content: views(language, { rows: concat(rows) }) };
}
