import { type Elysia, t } from "elysia";
import { CURSOR, closed, NO_CONTENT, pageOf, TIME, takePage } from "../api/list.ts";
import { type ApiHouse, actorOf, closeApi, notAllowed, openApi } from "../api/own.ts";
import { timeOf } from "../api/time.ts";
import { NOT_FOUND, Refusal } from "../edge/answer.ts";
import type { House } from "../house.ts";
import type { Principal } from "../identity/principal.ts";
import { shortId } from "../session/record.ts";
import type { Impersonation } from "./record.ts";
import { openUrl } from "./screen.ts";

const Running = closed({
  id: t.String({ description: "names it, and opens nothing" }),
  email: t.String({ description: "as whom" }),
  admin: t.String({ description: "who" }),
  route: t.String(),
  reason: t.String(),
  started_at: TIME,
  ends_at: TIME,
});

const Wanted = closed({
  email: t.String({ maxLength: 1000 }),
  route: t.String({ description: "name of an application", maxLength: 64 }),
  reason: t.String({ description: "10 to 500 characters", maxLength: 2000 }),
  minutes: t.Optional(t.Number({ description: "1 to 60" })),
});

const ID = t.String({ description: "as listed, or its beginning", pattern: "^[A-Za-z0-9_-]{1,64}$" });

/** Who acts as somebody else. One begins as a person, in the browser where one is signed in: by no key, bearer or command line. */
export function impersonationApi(house: ApiHouse & Pick<House, "impersonations" | "routes">): Elysia {
  const { impersonations, routes } = house;

  const app = openApi("impersonation", house)
    .post(
      "/admin/impersonate",
      async ({ arrival, principal, body, set }) => {
        const admin = adminOf(principal, arrival.client.ip);
        const { minutes, ...words } = body;
        const asked = { ...words, ...(minutes === undefined ? {} : { minutes: `${minutes}` }) };
        const one = await impersonations.start(admin, asked);
        set.status = 201;
        return { ...listed(one), url: openUrl(routes, one) };
      },
      {
        own: { needs: "admin", recent: true },
        body: Wanted,
        response: {
          201: closed({ ...Running.properties, url: t.String({ description: "to open in this browser" }) }),
        },
        detail: { summary: "Begin to use an application as somebody else" },
      },
    )
    .get(
      "/admin/impersonations",
      async ({ principal, query }) =>
        takePage(
          (await impersonations.running()).map(listed),
          ({ started_at, id }) => `${started_at} ${id}`,
          query.cursor,
          principal,
        ),
      {
        own: { needs: "admin" },
        query: closed({ cursor: CURSOR }),
        response: { 200: pageOf(Running) },
        detail: { summary: "Who uses an application as somebody else, oldest first" },
      },
    )
    .delete(
      "/admin/impersonations/:id",
      async ({ params, principal }) => {
        const named = (await impersonations.running()).filter(({ id }) => shortId(id).startsWith(params.id));
        const [one] = named;
        if (
          named.length !== 1 ||
          one === undefined ||
          !(await impersonations.end(one, `by ${actorOf(principal)}`))
        )
          throw new Refusal(NOT_FOUND);
      },
      {
        own: { needs: "admin", recent: true },
        params: t.Object({ id: ID }),
        response: { 204: NO_CONTENT },
        detail: { summary: "End one" },
      },
    );
  return closeApi(app);
}

/** @throws {Refusal} */
function adminOf({ subject, proof }: Principal, client: string) {
  if (proof.kind !== "session" || !("email" in subject)) throw notAllowed("Sign in as a person for this.");
  return { email: subject.email, login: proof.id, client };
}

function listed({ id, email, admin, route, reason, startedAt, endsAt }: Impersonation) {
  return {
    ...{ id: shortId(id), email, admin, route, reason },
    ...{ started_at: timeOf(startedAt), ends_at: timeOf(endsAt) },
  };
}
