import type { People } from "../access/people.ts";
import type { Route } from "../access/route.ts";
import { tryRequest, urlIn, VERDICT_WORDS } from "../access/trial.ts";
import type { AdminScreen } from "../admin/screen.ts";
import type { House } from "../house.ts";
import { addressIn } from "../identity/address.ts";
import { describeTarget } from "../net/endpoint.ts";
import { actForm, bdi, searchForm, statusOf, tableOf, withNote } from "../pages/tables.ts";
import { concat, type Html, type Value } from "../pages/template.ts";
import { createMaintenance } from "./maintenance.ts";
import { type TargetsUp, targetsUp } from "./up.ts";

/** The applications behind it: where they are, who may use them, whether they are up; closing one; trying a URL. */
export function applicationScreen(
  house: Pick<House, "routes" | "closures" | "policy" | "options" | "auditFirst" | "metrics">,
): AdminScreen {
  const { routes, closures, policy, options } = house;
  const maintenance = createMaintenance(house);

  function rowOf(route: Route, up: TargetsUp): Value[] {
    const { name, title, targets, allow } = route;
    const text = closures.textOf(route);
    return [
      title === name ? bdi(name) : withNote(bdi(title), bdi(name)),
      bdi(routes.urlOf(route) ?? `${route.host ?? "any host"}${route.path}`),
      targets.length === 0
        ? "another proxy"
        : bdi(targets.map(({ address, basePath }) => describeTarget(address) + basePath).join(", ")),
      bdi(peopleIn(allow)),
      healthOf(route, up.get(route.name) ?? []),
      text === undefined ? "open" : withNote(statusOf("closed", "warning"), bdi(text)),
      buttonFor(route, text),
    ];
  }

  function buttonFor({ name, title, maintenance }: Route, text: string | undefined): Value {
    if (maintenance !== undefined) return "closed by routes.toml";
    if (text !== undefined)
      return actForm({ act: "open", fields: { name }, label: "Open", name: `Open ${title}` });
    const confirm = `Close ${title} for everybody but administrators?`;
    return actForm({ act: "close", fields: { name }, label: "Close", name: `Close ${title}`, confirm });
  }

  function trial(query: URLSearchParams, now: number): Html {
    const [written, as] = ["url", "as"].map((name) => query.get(name)?.trim() ?? "") as [string, string];
    const form = searchForm(
      [
        {
          name: "url",
          label: "May this be opened?",
          value: written,
          hint: "https://app.example.org/reports",
        },
        { name: "as", label: "By whom (empty: not signed in)", value: as, hint: "ada@example.org" },
      ],
      written === "" ? undefined : answer(written, as, now),
      "Try",
    );
    return form;
  }

  function answer(written: string, as: string, now: number): string {
    const url = urlIn(written);
    const email = as === "" ? undefined : addressIn(as);
    if (url === undefined) return "That is no URL: it begins with https:// (or wss:// for a WebSocket).";
    if (as !== "" && email === undefined) return "That is no address.";
    const house = { routes, policy, rootPaths: options.rootPaths, closedBecause: closures.textOf, now };
    const { route, verdict, why } = tryRequest(house, { url, email, method: "GET" });
    return route === null ? why : `${route}: ${VERDICT_WORDS[verdict]}. ${why}`;
  }

  return {
    id: "routes",
    label: "Applications",
    notices: { closed: "Closed for maintenance. Administrators go through.", opened: "Open again." },

    async show({ query, now }) {
      const [up] = await Promise.all([targetsUp(house), closures.look()]);
      return concat([
        tableOf({
          caption: "Applications",
          columns: ["Name", "Address", "Target", "Who may", "Health", "State", "Maintenance"],
          rows: routes.all.map((route) => rowOf(route, up)),
          empty: "There are none.",
          live: "applications",
        }),
        trial(query, now),
      ]);
    },

    acts: {
      async close({ admin }, { name = "" }) {
        const route = maintenance.named(name);
        if (route === undefined) return { error: UNKNOWN };
        return (await maintenance.close(route, admin))
          ? { done: "closed" }
          : { error: "It was closed already." };
      },
      async open({ admin }, { name = "" }) {
        const route = maintenance.named(name);
        if (route === undefined) return { error: UNKNOWN };
        return (await maintenance.open(route, admin))
          ? { done: "opened" }
          : { error: "It was open already." };
      },
    },
  };
}

/** Without health checks, a target that has not just failed is taken to be up. */
function healthOf({ health, targets }: Route, up: readonly boolean[]): Value {
  const good = up.filter(Boolean).length;
  if (targets.length === 0) return "not known here";
  if (good < up.length)
    return statusOf(good === 0 ? "down" : `${good} of ${up.length} up`, good === 0 ? "bad" : "warning");
  return health === undefined ? "not checked" : statusOf("up", "good");
}

const UNKNOWN = "There is no such application.";

function peopleIn(people: People | undefined): string {
  if (people === undefined) return "everybody who may sign in";
  const { addresses, domains, groups, services, anyone, everybody } = people;
  const named = [
    ...Array.from(groups, (name) => `group:${name}`),
    ...addresses,
    ...Array.from(domains, (domain) => `@${domain}`),
    ...Array.from(services, (name) => `service:${name}`),
  ];
  return [everybody ? "everybody" : [], anyone ? "anyone who may sign in" : [], named].flat(2).join(", ");
}
