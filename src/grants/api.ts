import { type Elysia, type Static, t } from "elysia";
import { CURSOR, closed, NO_CONTENT, pageOf, TIME, takePage } from "../api/list.ts";
import { type ApiHouse, actorOf, closeApi, openApi } from "../api/own.ts";
import { timeOf } from "../api/time.ts";
import { badRequest, NOT_FOUND, Refusal } from "../edge/answer.ts";
import type { House } from "../house.ts";
import { addressIn } from "../identity/address.ts";
import type { Grant } from "./record.ts";
import { UNTIL, untilIn } from "./until.ts";

/** Letting people in and shutting them out, for administrators. */

const NAMES = t.Optional(t.Array(t.String({ maxLength: 64 }), { maxItems: 50 }));
const REASON = t.Optional(t.String({ maxLength: 500 }));

const Wanted = closed({
  email: t.String({ description: "or @domain, without a mail", maxLength: 1000 }),
  routes: NAMES,
  groups: NAMES,
  until: UNTIL,
  reason: REASON,
  force: t.Optional(t.Boolean({ description: "for a domain at which anybody gets a mailbox" })),
  mail: t.Optional(
    t.Boolean({ description: "whether a mail with a link to sign in by is sent; true unless said" }),
  ),
});
export type WantedUser = Static<typeof Wanted>;

const Change = closed({
  until: UNTIL,
  denied: t.Optional(
    t.Boolean({ description: "true shuts them out, whatever lets them in; false undoes that" }),
  ),
  reason: REASON,
});
export type UserChange = Static<typeof Change>;

const GrantItem = closed({
  id: t.String(),
  email: t.String({ description: "or @domain" }),
  effect: t.Union([t.Literal("allow"), t.Literal("deny")]),
  routes: t.Array(t.String()),
  groups: t.Array(t.String()),
  until: t.Union([TIME, t.Null()]),
  granted_by: t.String(),
  reason: t.String(),
  created_at: TIME,
});
export type ListedGrant = Static<typeof GrantItem>;

const Made = closed({ ...GrantItem.properties, mailed: t.Boolean() });
export type MadeGrant = Static<typeof Made>;

const Person = closed({
  email: t.String({ description: "or @domain" }),
  allowed: t.Boolean({ description: "whether they may sign in" }),
  grants: t.Array(GrantItem),
});
export type ListedPerson = Static<typeof Person>;

const Removed = closed({
  grants: t.Number(),
  sessions: t.Number(),
  keys: t.Number(),
  still_allowed: t.Boolean({ description: "configuration lets them in again" }),
});
export type RemovedUser = Static<typeof Removed>;

const SUB = t.Object({ sub: t.String({ maxLength: 1000 }) });
const own = { needs: "admin", recent: true } as const;

export function grantApi(house: ApiHouse & Pick<House, "people" | "policy">): Elysia {
  const { people, policy, clock } = house;

  function peopleOf(all: readonly Grant[]): ListedPerson[] {
    const byWho = Map.groupBy(all, ({ who }) => who);
    return [...new Set<string>([...policy.named, ...byWho.keys()])].map((email) => {
      const grants = (byWho.get(email) ?? []).map(listed);
      const address = addressIn(email);
      const allowed =
        address === undefined ? grants.some(({ effect }) => effect === "allow") : policy.allows(address);
      return { email, allowed, grants };
    });
  }

  const app = openApi("grants", house)
    .get(
      "/admin/users",
      async ({ query, principal }) =>
        takePage(peopleOf(await people.list()), ({ email }) => email, query.cursor, principal),
      {
        own: { needs: "admin" },
        query: closed({ cursor: CURSOR }),
        response: { 200: pageOf(Person) },
        detail: {
          summary: "Who is named by configuration, or was let in or shut out; and what they were given",
          description: "Whom a domain lets in is not named. `/users` has those who are signed in.",
        },
      },
    )
    .post(
      "/admin/users",
      async ({ body, principal, set }): Promise<MadeGrant> => {
        const { email: who, until, mail = !who.startsWith("@"), ...rest } = body;
        const wanted = { who, ...rest, until: untilIn(until, clock.now()) };
        set.status = 201;
        if (!mail) return { ...listed(await people.allow(wanted, actorOf(principal))), mailed: false };
        const { grant, isMailed } = await people.invite(wanted, actorOf(principal));
        return { ...listed(grant), mailed: isMailed };
      },
      {
        own,
        body: Wanted,
        response: { 201: Made },
        detail: {
          summary: "Let somebody in",
          description: "Without routes and groups, to the one application there is.",
        },
      },
    )
    .patch(
      "/admin/users/:sub",
      async ({ params, body, principal, set }) => {
        const by = actorOf(principal);
        // Only one of them would be done.
        if ((body.denied === undefined) === (body.until === undefined)) throw badRequest(SAY_WHAT);
        if (body.denied === true) await people.deny(params.sub, body.reason ?? "", by);
        else if (body.denied === false) {
          if (!(await people.lift(params.sub, actorOf(principal)))) throw new Refusal(NO_SUCH_USER);
        } else if ((await people.setEnd(params.sub, untilIn(body.until, clock.now()) ?? null, by)) === 0)
          throw new Refusal(NO_SUCH_USER);
        set.status = 204;
      },
      {
        own,
        params: SUB,
        body: Change,
        response: { 204: NO_CONTENT },
        detail: { summary: "Shut somebody out, undo that, or set the end of what they were given" },
      },
    )
    .delete(
      "/admin/users/:sub",
      async ({ params, principal }): Promise<RemovedUser> => {
        const { isStillAllowed, ...ended } = await people.remove(params.sub, actorOf(principal));
        return { ...ended, still_allowed: isStillAllowed };
      },
      {
        own,
        params: SUB,
        response: { 200: Removed },
        detail: { summary: "End what somebody was given, their sessions and keys" },
      },
    );
  return closeApi(app);
}

const SAY_WHAT = "Say either `denied` or `until`.";
const NO_SUCH_USER = { ...NOT_FOUND, message: "Nothing was given to them that has not ended." };
function listed({
  id,
  who,
  effect,
  routes,
  groups,
  until,
  grantedBy,
  reason,
  createdAt,
}: Grant): ListedGrant {
  return {
    ...{ id, email: who, effect, routes: [...routes], groups: [...groups] },
    ...{ until: until === null ? null : timeOf(until), granted_by: grantedBy, reason },
    created_at: timeOf(createdAt),
  };
}
