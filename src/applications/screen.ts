import type { People } from "../access/people.ts";
import type { Route } from "../access/route.ts";
import type { AdminScreen } from "../admin/screen.ts";
import { ROUTE_CLOSED, ROUTE_OPENED } from "../applications/audit.ts";
import type { House } from "../house.ts";
import { describeTarget } from "../net/endpoint.ts";
import { actForm, bdi, tableOf, withNote } from "../pages/tables.ts";
import type { Value } from "../pages/template.ts";

const CLOSED = "It is being worked on. Come back a little later.";

/** The applications behind it: where they are, who may use them, closing one for maintenance. */
export function applicationScreen({
  routes,
  closures,
  auditFirst,
}: Pick<House, "routes" | "closures" | "auditFirst">): AdminScreen {
  const named = (name: string) => routes.all.find((route) => route.name === name);

  function rowOf(route: Route): Value[] {
    const { name, title, targets, allow, maintenance } = route;
    const text = closures.textOf(route);
    const isOpen = text === undefined;
    const act = isOpen ? "close" : "open";
    const words = isOpen ? "Close" : "Open";
    return [
      title === name ? bdi(name) : withNote(bdi(title), name),
      bdi(routes.urlOf(route) ?? `${route.host ?? "any host"}${route.path}`),
      targets.length === 0
        ? "another proxy"
        : bdi(targets.map(({ address, basePath }) => describeTarget(address) + basePath).join(", ")),
      bdi(peopleIn(allow)),
      isOpen ? "open" : withNote("closed", text),
      maintenance === undefined
        ? actForm({ act, fields: { name }, label: words, name: `${words} ${title}` })
        : "closed by the file",
    ];
  }

  return {
    id: "routes",
    label: "Applications",
    notices: { closed: "Closed for maintenance. Administrators go through.", opened: "Open again." },

    async show() {
      await closures.look();
      return tableOf({
        caption: "Applications",
        columns: ["Name", "Address", "Target", "Who may", "State", "Maintenance"],
        rows: routes.all.map(rowOf),
        empty: "There are none.",
      });
    },

    acts: {
      async close({ admin }, { name = "" }) {
        const route = named(name);
        if (route === undefined) return { error: UNKNOWN };
        if (closures.textOf(route) !== undefined) return { error: "It was closed already." };
        await auditFirst(ROUTE_CLOSED, { route: name, actor: admin });
        return (await closures.close(route, CLOSED))
          ? { done: "closed" }
          : { error: "It was closed already." };
      },
      async open({ admin }, { name = "" }) {
        const route = named(name);
        if (route === undefined) return { error: UNKNOWN };
        if (closures.textOf(route) === undefined) return { error: "It was open already." };
        await auditFirst(ROUTE_OPENED, { route: name, actor: admin });
        return (await closures.open(route)) ? { done: "opened" } : { error: "It was open already." };
      },
    },
  };
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
