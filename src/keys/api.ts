import { type Elysia, type Static, t } from "elysia";
import { CURSOR, closed, NO_CONTENT, pageOf, TIME, takePage } from "../api/list.ts";
import { type ApiHouse, closeApi, isAdmin, openApi } from "../api/own.ts";
import { timeOf } from "../api/time.ts";
import { badRequest, type Failure, NOT_FOUND, NOT_UNDERSTOOD, noContent, Refusal } from "../edge/answer.ts";
import type { House } from "../house.ts";
import { nameOf, type Principal } from "../identity/principal.ts";
import { ValueError } from "../option/value-error.ts";
import { duration } from "../option/values.ts";
import { said } from "../pages/language.ts";
import { ownerOf } from "./owner.ts";
import { type ApiKey, endOf } from "./record.ts";
import type { KeyRefusal } from "./refusal.ts";
import type { ApiKeys, Created } from "./service.ts";
import { DEFAULT_OVERLAP, LONGEST_OVERLAP } from "./service.ts";
import type { Caller, NewKey } from "./wanted.ts";

/**
 * API keys over HTTP, which calls them tokens: everybody's own for a user, all of them for an administrator. What
 * rusty-valkey-forward-auth has is answered in its shapes.
 */

const OPTIONAL_TEXT = t.Union([t.String(), t.Null()]);
/** Not empty: whoever lists nothing by mistake must not get what has no limits. */
const NAMES = t.Array(t.String({ maxLength: 500 }), { minItems: 1, maxItems: 50 });
const LIMIT = t.Union([t.Array(t.String()), t.Null()]);
const TOKEN = {
  id: t.String({ description: "names it, and opens nothing" }),
  sub: t.String({ description: "its owner: an address, or service: and a name" }),
  description: OPTIONAL_TEXT,
  created_at: TIME,
  created_by: t.String(),
  expires_at: t.Union([TIME, t.Null()], { description: "null for one that does not end" }),
  last_used_at: t.Union([TIME, t.Null()]),
  last_used_from: t.Union([t.String(), t.Null()], { description: "the network it came from" }),
  status: t.Union([t.Literal("active"), t.Literal("expired"), t.Literal("disabled"), t.Literal("unused")]),
  routes: t.Array(t.String(), { description: "applications it opens; * is all that its owner may use" }),
  methods: LIMIT,
  paths: LIMIT,
  networks: LIMIT,
  rate: t.Union([t.Number(), t.Null()], { description: "requests a minute" }),
};
const Token = closed(TOKEN);
export type ListedToken = Static<typeof Token>;
const NewToken = closed({ token: t.String({ description: "the key itself, said this once" }), ...TOKEN });
export type MadeToken = Static<typeof NewToken>;

const DURATION = t.String({ pattern: "^[0-9]{1,15} ?(ms|s|m|h|d)?$" });
const Wanted = closed({
  description: t.Optional(OPTIONAL_TEXT),
  expires_in: t.Optional(t.Union([DURATION, t.Literal("never")], { description: "such as 90d" })),
  routes: t.Optional(NAMES),
  methods: t.Optional(NAMES),
  paths: t.Optional(NAMES),
  networks: t.Optional(NAMES),
  rate: t.Optional(t.Number({ minimum: 1, maximum: 10_000, multipleOf: 1 })),
});
export type WantedToken = Static<typeof Wanted>;
const Changes = closed({
  description: t.Optional(OPTIONAL_TEXT),
  disabled: t.Optional(t.Boolean()),
  expires_at: t.Optional(t.Union([TIME, t.Null()])),
});
const Rotation = closed({ overlap: t.Optional(DURATION) });

const ID = t.String({ maxLength: 100 });
const SUB = t.String({ maxLength: 1000 });
const OF_ME = t.Object({ id: ID });
const OF_USER = t.Object({ sub: SUB });
const OF_THEIRS = t.Object({ sub: SUB, id: ID });

const PERSON = { needs: "user" } as const;
const ADMINISTRATOR = { needs: "admin" } as const;
const RECENT = { recent: true } as const;

export type KeyHouse = ApiHouse & Pick<House, "apiKeys">;

export function keyApi(house: KeyHouse): Elysia {
  const work = createWork(house.apiKeys);
  const app = openApi("tokens", house)
    .get("/me/tokens", ({ principal }) => work.list(nameOf(principal)), {
      own: PERSON,
      response: { 200: t.Array(Token) },
      detail: { summary: "One's own API keys, oldest first" },
    })
    .post(
      "/me/tokens",
      async ({ principal, body, set }) => {
        set.status = 201;
        return work.create(nameOf(principal), body ?? {}, callerOf(principal, false));
      },
      {
        own: { ...PERSON, ...RECENT },
        body: t.Optional(Wanted),
        response: { 201: NewToken },
        detail: { summary: "Make an API key", description: NEW },
      },
    )
    .delete(
      "/me/tokens/:id",
      ({ principal, params }) => work.revoke(params.id, callerOf(principal, false), nameOf(principal)),
      {
        own: PERSON,
        params: OF_ME,
        response: { 204: NO_CONTENT },
        detail: { summary: "End one of one's own API keys" },
      },
    )
    .patch(
      "/me/tokens/:id",
      ({ principal, params, body }) =>
        work.change(params.id, body, callerOf(principal, false), nameOf(principal)),
      {
        own: PERSON,
        params: OF_ME,
        body: Changes,
        response: { 200: Token },
        detail: { summary: "Describe, disable or shorten one of one's own API keys" },
      },
    )
    .post(
      "/me/tokens/:id/rotate",
      ({ principal, params, body }) =>
        work.rotate(params.id, body?.overlap, callerOf(principal, false), nameOf(principal)),
      {
        own: { ...PERSON, ...RECENT },
        params: OF_ME,
        body: t.Optional(Rotation),
        response: { 200: NewToken },
        detail: { summary: "Give one of one's own API keys a new secret", description: OVERLAP },
      },
    )
    .get("/users/:sub/tokens", ({ params }) => work.list(ownerOf(params.sub)), {
      own: ADMINISTRATOR,
      params: OF_USER,
      response: { 200: t.Array(Token) },
      detail: { summary: "Somebody's API keys, oldest first" },
    })
    .post(
      "/users/:sub/tokens",
      async ({ principal, params, body, set }) => {
        set.status = 201;
        return work.create(ownerOf(params.sub), body ?? {}, callerOf(principal, true));
      },
      {
        own: { ...ADMINISTRATOR, ...RECENT },
        params: OF_USER,
        body: t.Optional(Wanted),
        response: { 201: NewToken },
        detail: { summary: "Make an API key for somebody, or for a service account", description: NEW },
      },
    )
    .delete(
      "/users/:sub/tokens/:id",
      ({ principal, params }) => work.revoke(params.id, callerOf(principal, true), ownerOf(params.sub)),
      {
        own: { ...ADMINISTRATOR, ...RECENT },
        params: OF_THEIRS,
        response: { 204: NO_CONTENT },
        detail: { summary: "End an API key of somebody's" },
      },
    )
    .patch(
      "/users/:sub/tokens/:id",
      ({ principal, params, body }) =>
        work.change(params.id, body, callerOf(principal, true), ownerOf(params.sub)),
      {
        own: { ...ADMINISTRATOR, ...RECENT },
        params: OF_THEIRS,
        body: Changes,
        response: { 200: Token },
        detail: { summary: "Change an API key of somebody's" },
      },
    )
    .post(
      "/users/:sub/tokens/:id/rotate",
      ({ principal, params, body }) =>
        work.rotate(params.id, body?.overlap, callerOf(principal, true), ownerOf(params.sub)),
      {
        own: { ...ADMINISTRATOR, ...RECENT },
        params: OF_THEIRS,
        body: t.Optional(Rotation),
        response: { 200: NewToken },
        detail: { summary: "Give an API key of somebody's a new secret", description: OVERLAP },
      },
    )
    .get(
      "/tokens",
      async ({ principal, query }) => {
        const all = await work.list(query.owner === undefined ? undefined : ownerOf(query.owner));
        const wanted = query.unused === undefined ? all : all.filter(({ status }) => status === "unused");
        return takePage(wanted, ({ created_at, id }) => `${created_at} ${id}`, query.cursor, principal);
      },
      {
        own: ADMINISTRATOR,
        query: closed({
          owner: t.Optional(SUB),
          unused: t.Optional(t.Literal("true", { description: "those not used for 90 days only" })),
          cursor: CURSOR,
        }),
        response: { 200: pageOf(Token) },
        detail: { summary: "API keys, oldest first" },
      },
    );
  return closeApi(app);
}

const NEW =
  "The key is in this answer and nowhere else. Without `routes` it opens all applications that take keys and are open to its " +
  "owner now. By session this takes a sign-in of the last 15 minutes.";
const OVERLAP =
  "The secret before goes on for the `overlap`, 24h unless said, at most 30d; the one before that ends at once.";

/** @param asAdmin only where an administrator acts on somebody's keys: one's own are changed as anybody's. */
function callerOf(principal: Principal, asAdmin: boolean): Caller {
  return { name: nameOf(principal), isAdmin: asAdmin && isAdmin(principal) };
}

/** What every route of both kinds does. */
function createWork(apiKeys: ApiKeys) {
  function listed(key: ApiKey): ListedToken {
    const end = endOf(key);
    return {
      id: key.id,
      sub: key.owner,
      description: key.description,
      created_at: timeOf(key.createdAt),
      created_by: key.createdBy,
      expires_at: end === undefined ? null : timeOf(end),
      last_used_at: key.usedAt === null ? null : timeOf(key.usedAt),
      last_used_from: key.usedFrom,
      status: apiKeys.statusOf(key),
      routes: [...key.routes],
      methods: key.methods && [...key.methods],
      paths: key.paths && [...key.paths],
      networks: key.networks && [...key.networks],
      rate: key.rate,
    };
  }

  function made(answer: Created | KeyRefusal): MadeToken {
    const { token, key } = unlessRefused(answer);
    return { token, ...listed(key) };
  }

  return {
    list: async (owner?: string) => (await apiKeys.list(owner)).map(listed),

    async create(owner: string, { expires_in, ...wanted }: WantedToken, by: Caller): Promise<MadeToken> {
      const expiresIn: NewKey["expiresIn"] =
        expires_in === undefined || expires_in === "never"
          ? expires_in
          : milliseconds(expires_in, Number.MAX_SAFE_INTEGER);
      return made(await apiKeys.create({ ...wanted, owner, expiresIn }, by));
    },

    async revoke(id: string, by: Caller, owner: string): Promise<Response> {
      if ((await apiKeys.revoke(id, by, owner)) === undefined) throw new Refusal(NO_TOKEN);
      return noContent();
    },

    async change(id: string, change: Static<typeof Changes>, by: Caller, owner: string) {
      const { expires_at, ...rest } = change;
      const end =
        expires_at === null ? "never" : expires_at === undefined ? undefined : Date.parse(expires_at);
      return listed(unlessRefused(await apiKeys.update(id, { ...rest, expiresAt: end }, by, owner)));
    },

    async rotate(id: string, overlap: string | undefined, by: Caller, owner: string): Promise<MadeToken> {
      const wanted = overlap === undefined ? DEFAULT_OVERLAP : milliseconds(overlap, LONGEST_OVERLAP);
      return made(await apiKeys.rotate(id, wanted, by, owner));
    },
  };
}

const NO_TOKEN: Failure = { ...NOT_FOUND, message: "token not found" };

const FAILURES: Readonly<Record<KeyRefusal["refused"], Omit<Failure, "message">>> = {
  not_found: NO_TOKEN,
  too_many_keys: { status: 409, error: "too_many_keys", title: said("keyRefused.tooManyTitle") },
  bad_request: { status: 400, error: "bad_request", title: NOT_UNDERSTOOD },
  not_allowed: { status: 403, error: "not_allowed", title: said("notAllowed.title") },
};

/** @throws {Refusal} */
export function unlessRefused<T extends object>(answer: T | KeyRefusal): T {
  if (!("refused" in answer)) return answer;
  throw new Refusal({ ...FAILURES[answer.refused], message: answer.message });
}

/** @throws {Refusal} */
export function milliseconds(text: string, most: number): number {
  try {
    return duration("s", 0, most)(text);
  } catch (error) {
    throw error instanceof ValueError ? badRequest(`A duration ${error.problem}. ${error.remedy}`) : error;
  }
}
