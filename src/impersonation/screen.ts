import formSource from "../../static/impersonate.html" with { type: "text" };
import type { Routes } from "../access/routes.ts";
import type { AdminAct, AdminScreen } from "../admin/screen.ts";
import { Refusal } from "../edge/answer.ts";
import type { House } from "../house.ts";
import { MINUTE } from "../option/values.ts";
import { ENGLISH, say } from "../pages/language.ts";
import { clockTime } from "../pages/pages.ts";
import { ACTING_PATH } from "../pages/paths.ts";
import { actForm, bdi, tableOf } from "../pages/tables.ts";
import { concat, type Html, plain } from "../pages/template.ts";
import { shortId } from "../session/record.ts";
import { aboutOf, leftOf } from "./pages.ts";
import type { Impersonation } from "./record.ts";

/** Where it is begun, and the page that stays open meanwhile: as whom, where, until when; and what others have going on. */

export const SCREEN = "impersonate";

const form = plain(formSource, ["email", "routes", "minutes"]);
const option = plain('<option value="{{name}}"{{#if isChosen}} selected{{/if}}>{{title}}</option>', [
  ...(["name", "title", "isChosen"] as const),
]);
const own = plain(
  `<section data-live id="own"><h2>You are viewing as {{email}}</h2>
{{about}}<p><a class="button" href="{{href}}" target="_blank" rel="noopener">Open {{route}}</a></p>
{{end}}</section>
`,
  ["email", "about", "href", "route", "end"],
);

/** Where an administrator opens what they have begun. */
export function openUrl(routes: Pick<Routes, "all" | "originOf">, { route }: Impersonation): string {
  const of = routes.all.find(({ name }) => name === route);
  return `${of === undefined ? "" : routes.originOf(of)}${ACTING_PATH}/open`;
}

export function impersonationScreen({
  impersonations,
  routes,
  options,
}: Pick<House, "impersonations" | "routes" | "options">): AdminScreen {
  const open = routes.all.filter(impersonations.isOpen);
  const titleOf = ({ route }: Impersonation) => routes.all.find(({ name }) => name === route)?.title ?? route;

  function ownPart(one: Impersonation, now: number): Html {
    const { id, email } = one;
    const title = titleOf(one);
    return own({
      ...{ email, route: title, href: openUrl(routes, one), about: aboutOf(one, title, now) },
      end: actForm({ act: "end", fields: { id: shortId(id) }, label: "End it" }),
    });
  }

  const start: AdminAct = async ({ admin, arrival, found }, fields) => {
    const { email = "", route = "", reason = "", minutes = "" } = fields;
    try {
      const who = { email: admin, login: found.record.id, client: arrival.client.ip };
      await impersonations.start(who, { email, route, reason, minutes });
      return { done: "begun" };
    } catch (error) {
      // What was mistyped is said beside the form.
      if (error instanceof Refusal && error.failure.status === 400)
        return { error: say(ENGLISH, error.failure.message) };
      throw error;
    }
  };

  const end: AdminAct = async ({ admin }, { id = "" }) => {
    const one = (await impersonations.running()).find((other) => shortId(other.id) === id);
    const isEnded = one !== undefined && (await impersonations.end(one, `by ${admin}`));
    return isEnded ? { done: "ended" } : { error: "It was over already." };
  };

  return {
    id: SCREEN,
    label: "View as",
    notices: {
      begun: "It has begun. Keep this page open, and open the application from here.",
      ended: "It is over. What was open by it is closed within seconds.",
    },

    async show({ admin, found, query, now }) {
      const all = await impersonations.running();
      const mine = all.find((one) => one.admin === admin && one.login === found.record.id);
      const others = all.filter((one) => one !== mine);
      const rows = others.map((one) => [
        bdi(one.admin),
        bdi(one.email),
        bdi(titleOf(one)),
        bdi(one.reason),
        clockTime(ENGLISH, one.startedAt, now),
        leftOf(one.endsAt, now),
        actForm({
          ...{ act: "end", fields: { id: shortId(one.id) } },
          ...{ label: "End", name: `End that ${one.admin} views as ${one.email}` },
        }),
      ]);
      const choices = open.map(({ name, title }) =>
        option({ name, title, isChosen: name === query.get("route") ? "yes" : "" }),
      );
      return concat([
        ...(mine === undefined ? [] : [ownPart(mine, now)]),
        tableOf({
          caption: "Others who view as somebody",
          columns: ["Who", "As", "In", "Because", "Since", "Left", "End"],
          rows,
          empty: "Nobody does.",
          live: "running",
        }),
        form({
          ...{ email: query.get("email") ?? "", routes: concat(choices) },
          minutes: `${Math.round(options.impersonationTtl / MINUTE)}`,
        }),
      ]);
    },

    // To begin needs no word for it.
    acts: { "": start, start, end },
  };
}
