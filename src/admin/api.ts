import { type Elysia, type Static, t } from "elysia";
import { closed } from "../api/list.ts";
import { type ApiHouse, closeApi, openApi } from "../api/own.ts";
import { type Status, type StatusHouse, statusOf, totalOf } from "./status.ts";

/** How things are, for administrators. */

const COUNT = t.Number({ minimum: 0, multipleOf: 1 });
const TEXT = t.Union([t.String(), t.Null()]);

const Answer = closed({
  version: t.String(),
  store: closed({ kind: t.String(), problem: TEXT }),
  sessions: t.Union([COUNT, t.Null()], {
    description: "null, as is the mail, where the store cannot be asked",
  }),
  mail: t.Union([closed({ waiting: COUNT, failed: COUNT }), t.Null()]),
  applications: t.Array(
    closed({
      name: t.String(),
      closed: t.Union([t.String(), t.Null()], { description: "what visitors are told" }),
      targets: COUNT,
      up: t.Number({ minimum: 0, multipleOf: 1, description: "of the targets, as far as is known" }),
    }),
  ),
  last_day: closed({ requests: COUNT, logins: COUNT, refusals: COUNT }),
});
export type ShownStatus = Static<typeof Answer>;

export function adminApi(house: ApiHouse & StatusHouse): Elysia {
  const app = openApi("admin", house).get("/admin/status", async () => shownStatus(await statusOf(house)), {
    own: { needs: "admin" },
    response: { 200: Answer },
    detail: {
      summary: "How things are",
      description:
        "The last day is as far as this process and those beside it remember: a restart forgets it.",
    },
  });
  return closeApi(app);
}

function shownStatus({ version, store, sessions, mail, applications, day }: Status): ShownStatus {
  return {
    version,
    store: { kind: store.kind, problem: store.problem ?? null },
    sessions: sessions ?? null,
    mail: mail ?? null,
    applications: applications.map(({ closed, ...one }) => ({ ...one, closed: closed ?? null })),
    last_day: {
      requests: totalOf(day, "requests"),
      logins: totalOf(day, "logins"),
      refusals: totalOf(day, "refusals"),
    },
  };
}
