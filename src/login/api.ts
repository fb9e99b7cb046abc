import { type Elysia, type Static, t } from "elysia";
import { isAllowed } from "../access/decision.ts";
import { CURSOR, closed, NO_CONTENT, pageOf, TIME, takePage } from "../api/list.ts";
import { type ApiHouse, actorOf, addressOf, closeApi, notAllowed, openApi } from "../api/own.ts";
import { timeOf } from "../api/time.ts";
import { badRequest, NOT_FOUND, Refusal } from "../edge/answer.ts";
import type { House } from "../house.ts";
import type { Address } from "../identity/address.ts";
import type { Principal } from "../identity/principal.ts";
import { ValueError } from "../option/value-error.ts";
import { duration, SECOND } from "../option/values.ts";
import { type ListedLink, LONGEST_LINK, MOST_USES } from "./shared-links.ts";

/** Login links for an operator to hand over, and those of them that are good more than once. */

const COUNT = t.Number({ minimum: 0, multipleOf: 1 });

const Wanted = closed({
  email: t.String({ maxLength: 1000 }),
  route: t.Optional(t.String({ description: "name of the application that it leads to", maxLength: 100 })),
  uses: t.Optional(
    t.Number({
      description: "how often it is good, if not once",
      minimum: 1,
      maximum: MOST_USES,
      multipleOf: 1,
    }),
  ),
  ttl: t.Optional(
    t.String({ description: "with `uses`, such as 8h", pattern: "^[0-9]{1,15} ?(ms|s|m|h|d)?$" }),
  ),
});
export type WantedLink = Static<typeof Wanted>;

const Made = closed({
  link: t.String({ format: "uri" }),
  id: t.Optional(t.String({ description: "of one with `uses`: names it, and opens nothing" })),
  expires_at: t.Optional(TIME),
});
export type MadeLink = Static<typeof Made>;

const Link = closed({
  id: t.String(),
  email: t.String(),
  route: t.Union([t.String(), t.Null()]),
  uses: COUNT,
  used: COUNT,
  created_at: TIME,
  expires_at: TIME,
});
export type SharedLinkItem = Static<typeof Link>;

type LinkHouse = ApiHouse & Pick<House, "policy" | "routes" | "login">;

export function loginApi(house: LinkHouse): Elysia {
  const { options, login } = house;
  const app = openApi("links", house)
    .post(
      "/links",
      async ({ body, set }): Promise<MadeLink> => {
        const address = addressOf(body.email);
        if (!house.policy.allows(address))
          throw notAllowed(`${address} may not sign in to the running instance.`);
        const next = body.route === undefined ? options.landingPath : urlOf(house, body.route, address);
        const { uses, ttl } = body;
        set.status = 201;
        if (uses === undefined && ttl === undefined) return { link: login.mintLink(address, next) };
        if (uses === undefined) throw badRequest("`ttl` is for links with `uses`.");
        if (!options.multiUseLinks) throw notAllowed(OFF);
        const lifetime = ttl === undefined ? options.magicLinkExpiry : lifetimeIn(ttl);
        const made = await login.mintSharedLink(address, next, { uses, route: body.route ?? "", lifetime });
        return { link: made.link, id: made.id, expires_at: timeOf(made.expiresAt) };
      },
      {
        own: { needs: "operator" },
        body: Wanted,
        response: { 201: Made },
        detail: {
          summary: "Make a login link",
          description:
            "As good as the one in a mail, and for whoever has it. It always asks for confirmation. With `uses`, each use is a sign-in of its own.",
        },
      },
    )
    .get(
      "/links",
      async ({ principal, query }) =>
        takePage((await login.sharedLinks.list()).map(listed), keyOf, query.cursor, principal),
      {
        own: { needs: "admin" },
        query: closed({ cursor: CURSOR }),
        response: { 200: pageOf(Link) },
        detail: { summary: "Links for several uses that have not ended, oldest first" },
      },
    )
    .delete(
      "/links/:id",
      async ({ principal, params, set }) => {
        if (!(await login.revokeLink(params.id, actorOf(principal)))) throw new Refusal(NO_SUCH_LINK);
        set.status = 204;
      },
      {
        own: { needs: "admin", recent: true },
        params: t.Object({ id: t.String({ pattern: "^[A-Za-z0-9_-]{22}$" }) }),
        response: { 204: NO_CONTENT },
        detail: { summary: "End a link for several uses", description: "Sessions that began with it go on." },
      },
    );
  return closeApi(app);
}

const OFF =
  "Links for several uses are off: set RUNEGATE_MULTI_USE_LINKS=true, and restart or reload Runegate.";

const NO_SUCH_LINK = { ...NOT_FOUND, message: "There is no such link." };

/** Where the application is, for somebody who may use it. @throws {Refusal} */
function urlOf({ routes, policy }: LinkHouse, name: string, email: Address): string {
  const route = routes.all.find((one) => one.name === name);
  if (route === undefined) throw badRequest(`There is no application ${name}.`);
  const url = routes.urlOf(route);
  if (url === undefined) throw badRequest(`${name} has no address of its own, but all of ${route.host}.`);
  if (!isAllowed(route, whoever(email, policy))) throw notAllowed(`${email} may not use ${name}.`);
  return url;
}

/** Signs in with the link. */
function whoever(email: Address, policy: LinkHouse["policy"]): Principal {
  const proof = { kind: "session", id: "link" };
  const subject = { email };
  return { subject, ...policy.standingOf(subject), proof, provenAt: 0 };
}

/** Milliseconds. @throws {Refusal} */
function lifetimeIn(text: string): number {
  try {
    return duration("m", SECOND, LONGEST_LINK)(text);
  } catch (error) {
    throw error instanceof ValueError ? badRequest(`ttl ${error.message}`) : error;
  }
}

function listed({ id, expiresAt, used, record }: ListedLink): SharedLinkItem {
  const { email, route, uses, createdAt } = record;
  const times = { created_at: timeOf(createdAt), expires_at: timeOf(expiresAt) };
  return { id, email, route: route === "" ? null : route, uses, used, ...times };
}

function keyOf({ created_at, id }: SharedLinkItem): string {
  return `${created_at} ${id}`;
}
