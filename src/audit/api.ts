import { type Elysia, type Static, t } from "elysia";
import { CURSOR, closed, pageOf, TIME } from "../api/list.ts";
import { type ApiHouse, actorOf, addressOf, closeApi, openApi } from "../api/own.ts";
import { badRequest, NOT_FOUND, Refusal } from "../edge/answer.ts";
import type { House } from "../house.ts";
import { exportAudit, NDJSON } from "./export.ts";
import { type AuditFilter, MOST_ITEMS } from "./find.ts";

/** The audit for administrators: a page of it, one event, or all of it as a stream of lines. */

const OR_NULL = t.Union([t.String(), t.Null()]);

const Entry = closed({
  v: t.Literal(1),
  id: t.String({ description: "a ULID" }),
  time: TIME,
  event: t.String(),
  outcome: t.Union([t.Literal("ok"), t.Literal("refused"), t.Literal("failed")]),
  reason: OR_NULL,
  actor: closed({
    kind: t.String({ description: "visitor, user, admin, cli, key, service or system" }),
    email: t.Optional(t.String()),
    service: t.Optional(t.String()),
    key: t.Optional(t.String()),
    session: t.Optional(t.String({ description: "the beginning of its id" })),
  }),
  subject: t.Union([closed({ email: t.String() }), closed({ service: t.String() }), t.Null()]),
  route: OR_NULL,
  host: OR_NULL,
  client: t.Union([closed({ ip: t.String(), agent: OR_NULL }), t.Null()]),
  request: OR_NULL,
  details: t.Record(t.String(), t.String()),
  chain: closed({
    writer: t.String({ description: "the process that wrote it" }),
    seq: t.Number({ minimum: 1, multipleOf: 1 }),
    prev: t.String({ description: "hash of the writer's event before" }),
    hash: t.String({ description: "SHA-256 of `prev` and the event's canonical JSON without `chain`" }),
  }),
});
export type ListedEvent = Static<typeof Entry>;

const TEXT = t.Optional(t.String({ maxLength: 200 }));
const Search = closed({
  since: t.Optional(t.String({ format: "date-time", maxLength: 40 })),
  until: t.Optional(t.String({ format: "date-time", maxLength: 40 })),
  event: TEXT,
  outcome: TEXT,
  email: t.Optional(t.String({ maxLength: 1000, description: "of whoever did it, or to whom it was done" })),
  route: TEXT,
  client: t.Optional(t.String({ maxLength: 200, description: "an IP address" })),
  limit: t.Optional(t.String({ pattern: "^[0-9]{1,3}$", description: `at most ${MOST_ITEMS}` })),
  cursor: CURSOR,
});

export type AuditHouse = ApiHouse & Pick<House, "auditTrail" | "auditFirst">;

export function auditApi(house: AuditHouse): Elysia {
  const { auditTrail } = house;

  const app = openApi("audit", house)
    .get(
      "/admin/audit",
      async ({ arrival, principal, query }) => {
        const { limit, cursor, ...wanted } = query;
        const filter = filterOf(wanted);
        if (!arrival.headers.accept?.includes(NDJSON)) {
          const page = await auditTrail.find(filter, {
            cursor,
            limit: limit === undefined ? 50 : Number(limit),
          });
          return { items: [...page.items], next: page.next ?? null };
        }
        const words = new URLSearchParams(wanted).toString();
        // A response goes as it is, whatever the schema says.
        return exportAudit(house, filter, {
          ...{ by: actorOf(principal), client: arrival.client.ip, words },
        }) as never;
      },
      {
        own: { needs: "admin", recent: true },
        query: Search,
        response: { 200: pageOf(Entry) },
        detail: {
          summary: "Events of the audit, newest first",
          description:
            "Which they are: deploy/AUDIT.md. A page may have fewer events than asked for, or none, and a `next` all the same: " +
            `so many are looked at for one page and no more. With \`Accept: ${NDJSON}\`, all that fit, oldest first, each a line.`,
        },
      },
    )
    .get(
      "/admin/audit/:id",
      async ({ params }) => {
        const entry = await auditTrail.get(params.id);
        if (entry === undefined) throw new Refusal(NOT_FOUND);
        return entry;
      },
      {
        own: { needs: "admin", recent: true },
        params: t.Object({ id: t.String({ pattern: "^[0-9A-Z]{26}$" }) }),
        response: { 200: Entry },
        detail: { summary: "One event" },
      },
    );
  return closeApi(app);
}

/** @throws {Refusal} */
function filterOf({
  since,
  until,
  email,
  ...others
}: Omit<Static<typeof Search>, "limit" | "cursor">): AuditFilter {
  return {
    ...others,
    ...(since === undefined ? {} : { since: timeIn(since) }),
    ...(until === undefined ? {} : { until: timeIn(until) }),
    ...(email === undefined ? {} : { email: addressOf(email) }),
  };
}

function timeIn(text: string): number {
  const time = Date.parse(text);
  if (Number.isNaN(time)) throw badRequest("That is no time.");
  return time;
}
