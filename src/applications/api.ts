import { type Elysia, type Static, t } from "elysia";
import type { Route } from "../access/route.ts";
import { CURSOR, closed, NO_CONTENT, pageOf, takePage } from "../api/list.ts";
import { type ApiHouse, actorOf, closeApi, openApi } from "../api/own.ts";
import { NOT_FOUND, noContent, Refusal } from "../edge/answer.ts";
import type { House } from "../house.ts";
import { describeTarget } from "../net/endpoint.ts";
import { createMaintenance } from "./maintenance.ts";

/** Applications, for administrators: which there are, and closing one for a while. */

const Application = closed({
  name: t.String(),
  host: t.Union([t.String(), t.Null()], { description: "null for whatever host asks" }),
  path: t.String(),
  targets: t.Array(t.String(), { description: "none where another proxy passes requests on" }),
  closed: t.Union([t.String(), t.Null()], {
    description: "what is said while it is closed for maintenance",
  }),
});
export type ListedApplication = Static<typeof Application>;

const NAME = t.Object({ name: t.String({ pattern: "^[a-z0-9-]{1,32}$" }) });
const Closing = closed({
  message: t.Optional(t.String({ minLength: 1, maxLength: 500, description: "for whoever comes meanwhile" })),
});

export function applicationsApi(house: ApiHouse & Pick<House, "routes" | "closures" | "auditFirst">): Elysia {
  const { routes, closures } = house;
  const maintenance = createMaintenance(house);

  /** @throws {Refusal} */
  function named(name: string): Route {
    const route = maintenance.named(name);
    if (route === undefined) throw new Refusal(NOT_FOUND);
    return route;
  }

  const app = openApi("applications", house)
    .get(
      "/routes",
      async ({ query, principal }) => {
        await closures.look();
        const all = routes.all.map((route) => ({
          name: route.name,
          host: route.host ?? null,
          path: route.path,
          targets: route.targets.map(({ address, basePath }) => describeTarget(address) + basePath),
          closed: closures.textOf(route) ?? null,
        }));
        return takePage(all, ({ name }) => name, query.cursor, principal);
      },
      {
        own: { needs: "admin" },
        query: closed({ cursor: CURSOR }),
        response: { 200: pageOf(Application) },
        detail: { summary: "Applications, by name" },
      },
    )
    .put(
      "/routes/:name/closed",
      async ({ params, body, principal }) => {
        await maintenance.close(named(params.name), actorOf(principal), body?.message);
        return noContent();
      },
      {
        own: { needs: "admin", recent: true },
        params: NAME,
        body: t.Optional(Closing),
        response: { 204: NO_CONTENT },
        detail: { summary: "Close an application for maintenance; administrators go through" },
      },
    )
    .delete(
      "/routes/:name/closed",
      async ({ params, principal }) => {
        const opened = await maintenance.open(named(params.name), actorOf(principal));
        if (!opened) throw new Refusal(NOT_FOUND);
        return noContent();
      },
      {
        own: { needs: "admin", recent: true },
        params: NAME,
        response: { 204: NO_CONTENT },
        detail: { summary: "Open it again" },
      },
    );
  return closeApi(app);
}
