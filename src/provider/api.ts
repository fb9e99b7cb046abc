import { type Elysia, type Static, t } from "elysia";
import { CURSOR, closed, NO_CONTENT, pageOf, TIME, takePage } from "../api/list.ts";
import { type ApiHouse, closeApi, openApi } from "../api/own.ts";
import { timeOf } from "../api/time.ts";
import { NOT_FOUND, Refusal } from "../edge/answer.ts";
import type { House } from "../house.ts";
import { nameOf } from "../identity/principal.ts";
import type { ClientBook } from "./book.ts";
import { clientTitle } from "./client.ts";

/** Applications that sign people in with us, for administrators: which there are, who uses them, and ending that. */

const ID = t.String({ pattern: "^[A-Za-z0-9._-]{1,64}$" });

const Listed = closed({
  id: t.String(),
  title: t.String(),
  public: t.Boolean({ description: "it has no secret" }),
  redirect_uris: t.Array(t.String()),
  consent: t.Union([t.Literal("none"), t.Literal("first")]),
  device: t.Boolean(),
});

const Used = closed({
  email: t.String(),
  used_at: TIME,
  sessions: t.Number({ minimum: 0, multipleOf: 1 }),
});

const Rotated = closed({ signs_from: TIME });
export type RotatedClientKeys = Static<typeof Rotated>;

export function clientApi(house: ApiHouse & Pick<House, "clients">, book: () => Promise<ClientBook>): Elysia {
  const { clients } = house;
  const gone = () =>
    new Refusal({ ...NOT_FOUND, message: "There is no such client, or they do not use it." });
  const app = openApi("clients", house)
    .get(
      "/clients",
      ({ principal, query }) => {
        const all = clients.map((client) => ({
          ...{ id: client.id, title: clientTitle(client), public: client.secret === undefined },
          ...{ redirect_uris: [...client.redirectUris], consent: client.consent, device: client.device },
        }));
        return takePage(all, ({ id }) => id, query.cursor, principal);
      },
      {
        own: { needs: "admin" },
        query: closed({ cursor: CURSOR }),
        response: { 200: pageOf(Listed) },
        detail: { summary: "OpenID clients, by id" },
      },
    )
    .get(
      "/clients/:id/people",
      async ({ params, principal, query }) => {
        if (!clients.some(({ id }) => id === params.id)) throw gone();
        const all = (await (await book()).people(params.id)).map(({ email, at, sessions }) => ({
          ...{ email, used_at: timeOf(at), sessions },
        }));
        return takePage(all, ({ email }) => email, query.cursor, principal);
      },
      {
        own: { needs: "admin" },
        params: t.Object({ id: ID }),
        query: closed({ cursor: CURSOR }),
        response: { 200: pageOf(Used) },
        detail: { summary: "Who has signed in to a client, with sessions that are good" },
      },
    )
    .post(
      "/clients/keys",
      async ({ body, principal }): Promise<RotatedClientKeys> => ({
        signs_from: timeOf(await (await book()).rotateKeys(body.compromised, nameOf(principal))),
      }),
      {
        own: { needs: "operator" },
        body: closed({
          compromised: t.Boolean({ description: "remove those there are at once: what they signed is dead" }),
        }),
        response: { 200: Rotated },
        detail: { summary: "New keys to sign the tokens of OpenID clients with" },
      },
    )
    .delete(
      "/clients/:id/people/:email",
      async ({ params, principal }) => {
        const isThere = clients.some(({ id }) => id === params.id);
        const email = decodeURIComponent(params.email);
        if (!isThere || !(await (await book()).revoke(params.id, email, nameOf(principal)))) throw gone();
      },
      {
        own: { needs: "admin", recent: true },
        params: t.Object({ id: ID, email: t.String({ maxLength: 320 }) }),
        response: { 204: NO_CONTENT },
        detail: {
          summary: "End somebody's tokens at a client",
          description: "The client is told, if it can be, and what they agreed to is forgotten.",
        },
      },
    );
  return closeApi(app);
}
