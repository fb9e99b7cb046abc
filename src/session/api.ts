import { type Elysia, type Static, t } from "elysia";
import { CURSOR, closed, NO_CONTENT, pageOf, pageSizeFor, TIME, takePage } from "../api/list.ts";
import {
  type ApiHouse,
  actorOf,
  addressOf,
  closeApi,
  isAdmin,
  isOperator,
  mustBeRecent,
  notAllowed,
  openApi,
} from "../api/own.ts";
import { timeOf } from "../api/time.ts";
import { badRequest, NOT_FOUND, Refusal } from "../edge/answer.ts";
import type { House } from "../house.ts";
import type { Address } from "../identity/address.ts";
import type { Principal } from "../identity/principal.ts";
import { type SessionRecord, shortId, vouchedGroupsIn } from "./record.ts";
import { revoke, revokeAll } from "./revoke.ts";

/** Sessions and whose they are: one's own, and for an administrator those of others too, which must be asked for by name. */

/** `t.Integer` would also take a text. */
const COUNT = t.Number({ minimum: 0, multipleOf: 1 });

const Who = closed({
  email: t.Union([t.String(), t.Null()], { description: "null for the operator" }),
  proof: t.Object({ kind: t.String(), id: t.String() }, { description: "how they proved who they are" }),
  created_at: t.Union([TIME, t.Null()]),
  expires_at: t.Union([TIME, t.Null()]),
  idle_expires_at: t.Union([TIME, t.Null()]),
});

const Session = closed({
  id: t.String({ description: "names it, and opens nothing" }),
  email: t.String(),
  created_at: TIME,
  seen_at: TIME,
  expires_at: TIME,
  ip: t.String(),
  user_agent: t.String(),
});
export type ListedSession = Static<typeof Session>;

const User = closed({
  email: t.String(),
  allowed: t.Boolean({ description: "false for one that signed in and has been taken off the list since" }),
  sessions: COUNT,
  seen_at: t.Union([TIME, t.Null()], { description: "null for one that is not signed in" }),
});
export type ListedUser = Static<typeof User>;

const Revoked = closed({ revoked: COUNT });

const ID = t.String({ description: "as listed, or its beginning", pattern: "^[A-Za-z0-9_-]{1,64}$" });
const EMAIL = t.Optional(t.String({ description: "of one address only", maxLength: 1000 }));
const ALL = t.Optional(
  t.Literal("true", {
    description: "every one of one's own, the one that is used included; the operator's are everybody's",
  }),
);
const EVERYONE = t.Optional(t.Literal("true", { description: "everybody's, for administrators" }));

export type SessionHouse = ApiHouse &
  Pick<House, "policy" | "people" | "sessions" | "sessionCookie" | "audit" | "auditFirst">;

export function sessionApi(house: SessionHouse): Elysia {
  const { options, policy, people, sessions, sessionCookie, clock } = house;

  const actor = (principal: Principal) => (email: string) =>
    email === ownAddress(principal) ? "user" : actorOf(principal);

  const end = (records: readonly SessionRecord[], principal: Principal) =>
    revoke(house, records, actor(principal));

  async function usersOf(records: readonly SessionRecord[]): Promise<ListedUser[]> {
    const signedIn = Map.groupBy(records, ({ email }) => email);
    const given = (await people.list()).flatMap(({ who }) => (who.startsWith("@") ? [] : [who]));
    const addresses = new Set([...options.allowedEmails, ...given, ...signedIn.keys()]);
    return [...addresses].map((email) => {
      const own = signedIn.get(email) ?? [];
      return {
        email,
        allowed:
          policy.allows(email as Address) ||
          own.some((record) => policy.allows(email as Address, vouchedGroupsIn(record))),
        sessions: own.length,
        seen_at:
          own.length === 0 ? null : timeOf(own.reduce((last, { seenAt }) => Math.max(last, seenAt), 0)),
      };
    });
  }

  const app = openApi("sessions", house)
    .get(
      "/session",
      async ({ arrival, principal }) => {
        const { kind, id } = principal.proof;
        const { subject } = principal;
        const cookies = sessionCookie.read(arrival);
        const found = kind === "session" ? await sessions.find(cookies, arrival) : undefined;
        return {
          email: "email" in subject ? subject.email : null,
          proof: { kind, id: shortId(id) },
          created_at: isOperator(principal) ? null : timeOf(found?.record.createdAt ?? principal.provenAt),
          expires_at: found === undefined ? null : timeOf(found.record.expiresAt),
          idle_expires_at: found === undefined ? null : timeOf(found.idleExpiresAt),
        };
      },
      {
        own: { needs: "user", anywhere: true },
        response: { 200: Who },
        detail: { summary: "Who is asking" },
      },
    )
    .get(
      "/sessions",
      async ({ principal, query }) => {
        const { email, everyone } = query;
        const isAll = everyone !== undefined || (email === undefined && isOperator(principal));
        if (isAll && !isAdmin(principal)) throw notAllowed(NOT_YOURS);
        if (!isAll) {
          const records = await sessions.list(ownerOf(principal, email));
          return takePage(records.map(listed), keyOf, query.cursor, principal);
        }
        const part = await sessions.part(pageSizeFor(principal), query.cursor);
        if (part === undefined) throw badRequest("That is no cursor of this list.");
        return { items: part.items.map(listed), next: part.next ?? null };
      },
      {
        own: { needs: "user", anywhere: true },
        query: closed({ email: EMAIL, everyone: EVERYONE, cursor: CURSOR }),
        response: { 200: pageOf(Session) },
        detail: {
          summary: "Sessions",
          description:
            "One's own, oldest first. For the operator, all; of those, the ones that may last longest first.",
        },
      },
    )
    .delete(
      "/sessions",
      async ({ arrival, principal, query }) => {
        const { email } = query;
        const isAll = query.all !== undefined;
        if (isOperator(principal)) {
          if (isAll === (email !== undefined)) throw badRequest(ALL_OR_ONE);
          if (isAll) return { revoked: await end(await sessions.list(), principal) };
        }
        const owner = ownerOf(principal, email);
        const isOthers = owner !== ownAddress(principal);
        if (isOthers) mustBeRecent(principal, arrival, clock.now(), options.adminMaxAge);
        if (isAll || isOthers) return { revoked: await revokeAll(house, owner, actor(principal)) };
        const others = (await sessions.list(owner)).filter(({ id }) => id !== principal.proof.id);
        return { revoked: await end(others, principal) };
      },
      {
        own: { needs: "user", anywhere: true },
        query: closed({ email: EMAIL, all: ALL }),
        response: { 200: Revoked },
        detail: {
          summary: "End sessions",
          description:
            "All of one's own but the one that is used. An administrator may say of which address; the operator must, or `all`.",
        },
      },
    )
    .delete(
      "/sessions/:id",
      async ({ arrival, principal, params, set }) => {
        const all = await sessions.list(isAdmin(principal) ? undefined : ownerOf(principal));
        const named = all.filter(({ id }) => id.startsWith(params.id));
        if (named.length > 1) throw new Refusal(SEVERAL);
        if (named.some(({ email }) => email !== ownAddress(principal))) {
          mustBeRecent(principal, arrival, clock.now(), options.adminMaxAge);
        }
        if ((await end(named, principal)) === 0) throw new Refusal(NO_SUCH_SESSION);
        set.status = 204;
      },
      {
        own: { needs: "user", anywhere: true },
        params: t.Object({ id: ID }),
        response: { 204: NO_CONTENT },
        detail: { summary: "End one session" },
      },
    )
    .get(
      "/users",
      async ({ principal, query }) => {
        return takePage(await usersOf(await sessions.list()), ({ email }) => email, query.cursor, principal);
      },
      {
        own: { needs: "admin" },
        query: closed({ cursor: CURSOR }),
        response: { 200: pageOf(User) },
        detail: { summary: "Addresses that are allowed by name, let in, shut out or signed in, by address" },
      },
    );
  return closeApi(app);
}

const ALL_OR_ONE = "Say which: `email` or `all=true`.";

const NO_SUCH_SESSION = { ...NOT_FOUND, message: "There is no such session." };

const SEVERAL = {
  status: 409,
  error: "ambiguous",
  title: "Not clear",
  message: "That beginning names several sessions: give more of it.",
} as const;

const NOT_YOURS = "These are not your sessions.";

function ownAddress({ subject }: Principal): Address | undefined {
  return "email" in subject ? subject.email : undefined;
}

/**
 * Whose sessions are asked for: one's own, and of administrators whoever's they name.
 * @throws {Refusal} if they are not the caller's.
 */
function ownerOf(principal: Principal, email?: string): Address {
  const own = ownAddress(principal);
  const owner = email === undefined ? own : addressOf(email);
  if (owner === undefined || (owner !== own && !isAdmin(principal))) throw notAllowed(NOT_YOURS);
  return owner;
}

function listed(record: SessionRecord): ListedSession {
  return {
    id: shortId(record.id),
    email: record.email,
    created_at: timeOf(record.createdAt),
    seen_at: timeOf(record.seenAt),
    expires_at: timeOf(record.expiresAt),
    ip: record.ip,
    user_agent: record.userAgent,
  };
}

function keyOf({ created_at, id }: ListedSession): string {
  return `${created_at} ${id}`;
}
