import { type Elysia, type Static, t } from "elysia";
import { CURSOR, closed, NO_CONTENT, pageOf, TIME, takePage } from "../api/list.ts";
import { type ApiHouse, closeApi, openApi } from "../api/own.ts";
import { timeOf } from "../api/time.ts";
import { NOT_FOUND, Refusal } from "../edge/answer.ts";
import type { House } from "../house.ts";
import { nameOf, type Principal } from "../identity/principal.ts";
import { TUNNEL_NAME } from "../net/endpoint.ts";
import type { AuditKind } from "../observe/audit.ts";
import { MINUTE } from "../option/values.ts";
import { TUNNEL_CREATED, TUNNEL_REVOKED, TUNNEL_ROTATED } from "./audit.ts";
import type { TunnelBook } from "./book.ts";
import { LINKS, type LinkRecord } from "./record.ts";

/** Tunnels and who is connected for them. Making one makes a way to an application, so administrators alone may. */

const COUNT = t.Number({ minimum: 0, multipleOf: 1 });

const Connection = closed({
  since: TIME,
  from: t.String({ description: "IP address" }),
  version: t.String(),
  round_trip_ms: t.Union([t.Number({ minimum: 0 }), t.Null()]),
  streams: COUNT,
  bytes_sent: t.Number({ minimum: 0, multipleOf: 1, description: "to the application" }),
  bytes_received: COUNT,
});

const Listed = closed({
  name: t.String(),
  token: t.String({ description: "the public id of its token" }),
  created_at: TIME,
  created_by: t.String(),
  last_seen_at: t.Union([TIME, t.Null()]),
  connections: t.Array(Connection, {
    description: "some 15 seconds old, and gone 40 seconds after the last word",
  }),
});
export type ListedTunnel = Static<typeof Listed>;

const Made = closed({ name: t.String(), token: t.String({ description: "shown this once" }) });
export type MadeTunnel = Static<typeof Made>;

const NAME = t.String({
  pattern: TUNNEL_NAME.source,
  description: "up to 24 lower-case letters, digits and hyphens",
});
const BY_NAME = t.Object({ name: NAME });
const ADMINISTRATOR = { needs: "admin", recent: true } as const;
/** For which a connector has time to be given the new token. */
const OVERLAP_MS = 10 * MINUTE;
const MOST_LINKS = 1_000;

const NO_TUNNEL = new Refusal({ ...NOT_FOUND, message: "There is no such tunnel." });

export function tunnelApi(house: ApiHouse & Pick<House, "stores" | "auditFirst">, book: TunnelBook): Elysia {
  const links = house.stores.records(LINKS);

  async function list(): Promise<ListedTunnel[]> {
    const there = (await links.find({ most: MOST_LINKS })).map(({ record }) => record);
    return (await book.list()).map(({ name, token, createdAt, createdBy, seenAt }) => ({
      ...{ name, token, created_at: timeOf(createdAt), created_by: createdBy },
      last_seen_at: seenAt === null ? null : timeOf(seenAt),
      connections: there.filter(({ tunnel }) => tunnel === name).map(connectionOf),
    }));
  }

  const record = (kind: AuditKind<"of" | "actor">, name: string, principal: Principal) =>
    house.auditFirst(kind, { of: name, actor: nameOf(principal) });

  const app = openApi("tunnels", house)
    .get(
      "/tunnels",
      async ({ principal, query }) => takePage(await list(), ({ name }) => name, query.cursor, principal),
      {
        own: { needs: "admin" },
        query: closed({ cursor: CURSOR }),
        response: { 200: pageOf(Listed) },
        detail: { summary: "Tunnels, by name, and who is connected for them" },
      },
    )
    .post(
      "/tunnels",
      async ({ principal, body: { name }, set }) => {
        await record(TUNNEL_CREATED, name, principal);
        const token = await book.create(name, nameOf(principal));
        if (token === undefined)
          throw new Refusal({
            status: 409,
            error: "exists",
            title: "There is one",
            message: "There is such a tunnel.",
          });
        set.status = 201;
        return { name, token };
      },
      {
        own: ADMINISTRATOR,
        body: closed({ name: NAME }),
        response: { 201: Made },
        detail: { summary: "Make a tunnel, and the token of its connectors" },
      },
    )
    .post(
      "/tunnels/:name/rotate",
      async ({ principal, params: { name } }) => {
        if ((await book.get(name)) === undefined) throw NO_TUNNEL;
        await record(TUNNEL_ROTATED, name, principal);
        const token = await book.rotate(name, OVERLAP_MS);
        if (token === undefined) throw NO_TUNNEL;
        return { name, token };
      },
      {
        own: ADMINISTRATOR,
        params: BY_NAME,
        response: { 200: Made },
        detail: {
          summary: "Give a tunnel another token",
          description: "The one before goes on for 10 minutes.",
        },
      },
    )
    .delete(
      "/tunnels/:name",
      async ({ principal, params: { name }, set }) => {
        if ((await book.get(name)) === undefined) throw NO_TUNNEL;
        await record(TUNNEL_REVOKED, name, principal);
        if (!(await book.revoke(name))) throw NO_TUNNEL;
        set.status = 204;
      },
      {
        own: ADMINISTRATOR,
        params: BY_NAME,
        response: { 204: NO_CONTENT },
        detail: {
          summary: "End a tunnel and its token",
          description: "Who is connected for it is cut off within 5 seconds.",
        },
      },
    );
  return closeApi(app);
}

function connectionOf(one: LinkRecord): ListedTunnel["connections"][number] {
  const { since, from, version, roundTrip, streams, sent, received } = one;
  return {
    ...{ since: timeOf(since), from, version, streams },
    ...{ round_trip_ms: roundTrip === null ? null : Math.round(roundTrip * 10) / 10 },
    ...{ bytes_sent: sent, bytes_received: received },
  };
}
