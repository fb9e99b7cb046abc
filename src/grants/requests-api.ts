import { type Elysia, type Static, t } from "elysia";
import { CURSOR, closed, pageOf, TIME, takePage } from "../api/list.ts";
import { type ApiHouse, closeApi, openApi } from "../api/own.ts";
import { timeOf } from "../api/time.ts";
import type { House } from "../house.ts";
import type { Asked } from "./request.ts";
import { UNTIL, untilIn } from "./until.ts";

/** Requests for access, for whoever decides about them. */

const RequestItem = closed({
  id: t.String(),
  email: t.String(),
  route: t.String(),
  reason: t.String(),
  ip: t.String(),
  state: t.Union([t.Literal("open"), t.Literal("granted"), t.Literal("refused")]),
  asked_at: TIME,
});
export type ListedRequest = Static<typeof RequestItem>;

const ID = t.Object({ id: t.String({ pattern: "^[A-Za-z0-9_.-]{1,64}$" }) });
const own = { needs: "user", recent: true } as const;

export function requestApi(house: ApiHouse & Pick<House, "accessRequests">): Elysia {
  const { accessRequests: requests, clock } = house;

  const app = openApi("requests", house)
    .get(
      "/admin/requests",
      async ({ query, principal }) =>
        takePage((await requests.list(principal)).map(listed), keyOf, query.cursor, principal),
      {
        own: { needs: "user" },
        query: closed({ cursor: CURSOR }),
        response: { 200: pageOf(RequestItem) },
        detail: { summary: "Requests for access that one decides about, oldest first" },
      },
    )
    .post(
      "/admin/requests/:id/approve",
      async ({ params, body, principal }) =>
        listed(await requests.approve(params.id, untilIn(body?.until, clock.now()) ?? null, principal)),
      {
        own,
        params: ID,
        body: t.Optional(closed({ until: UNTIL })),
        response: { 200: RequestItem },
        detail: {
          summary: "Let somebody in who has asked",
          description: "For good, unless `until` says otherwise. For those who decide about the application.",
        },
      },
    )
    .post(
      "/admin/requests/:id/refuse",
      async ({ params, principal }) => listed(await requests.refuse(params.id, principal)),
      {
        own,
        params: ID,
        response: { 200: RequestItem },
        detail: { summary: "Refuse it", description: "For those who decide about the application." },
      },
    );
  return closeApi(app);
}

function listed({ askedAt, id, email, route, reason, ip, state }: Asked): ListedRequest {
  return { id, email, route, reason, ip, state, asked_at: timeOf(askedAt) };
}

function keyOf({ asked_at, id }: ListedRequest): string {
  return `${asked_at} ${id}`;
}
