import { type Elysia, type Static, t } from "elysia";
import { CURSOR, closed, NO_CONTENT, pageOf, TIME, takePage } from "../api/list.ts";
import { type ApiHouse, actorOf, addressOf, closeApi, openApi } from "../api/own.ts";
import { timeOf } from "../api/time.ts";
import { NOT_FOUND, Refusal } from "../edge/answer.ts";
import { aboutMail } from "./audit.ts";
import type { MailVerbs } from "./verbs.ts";
import type { OutboxEntry } from "./waiting.ts";

/** Mail that waits to be sent, for operators and administrators. What it says is shown to nobody: it signs in. */

const Mail = closed({
  id: t.String({ description: "names it, as `mail` does in the audit" }),
  email: t.String(),
  kind: t.Union([t.String(), t.Null()], { description: "what it is for, such as login" }),
  queued_at: TIME,
  expires_at: TIME,
  next_attempt_at: TIME,
  attempts: t.Number({ minimum: 0, multipleOf: 1 }),
  last_error: t.Union([t.String(), t.Null()], { description: "why the last attempt failed" }),
});
export type ListedMail = Static<typeof Mail>;

const ID = t.Object({
  id: t.String({ description: "as listed, or its beginning", pattern: "^[0-9a-f]{4,32}$" }),
});

const Tested = t.Union([
  closed({
    sent: t.Literal(true),
    by: t.String(),
    answer: t.String({ description: "what the server said" }),
  }),
  closed({ sent: t.Literal(false), reason: t.String(), remedy: t.String() }),
]);

export type TestedMail = Static<typeof Tested>;

/** To act takes a sign-in of late, as on the pages. */
const ACT = { needs: "admin", recent: true } as const;

export function mailApi(house: ApiHouse, verbs: MailVerbs): Elysia {
  const app = openApi("mail", house)
    .get(
      "/admin/mail",
      async ({ principal, query }) =>
        takePage((await verbs.waiting()).map(listed), keyOf, query.cursor, principal),
      {
        own: { needs: "admin" },
        query: closed({ cursor: CURSOR }),
        response: { 200: pageOf(Mail) },
        detail: { summary: "Mail that waits, oldest first" },
      },
    )
    .post(
      "/admin/mail/:id/retry",
      async ({ params, principal, set }) => {
        const retried = await verbs.retry(params.id, actorOf(principal));
        if (retried !== "due") throw new Refusal(REFUSALS[retried]);
        set.status = 204;
      },
      {
        own: ACT,
        params: ID,
        response: { 204: NO_CONTENT },
        detail: {
          summary: "Try one now",
          description: "409 while it is being sent, so that nobody gets it twice.",
        },
      },
    )
    .delete(
      "/admin/mail/:id",
      async ({ params, principal, set }) => {
        const dropped = await verbs.drop(params.id, actorOf(principal));
        if (dropped !== "dropped") throw new Refusal(REFUSALS[dropped]);
        set.status = 204;
      },
      {
        own: ACT,
        params: ID,
        response: { 204: NO_CONTENT },
        detail: { summary: "Give one up", description: "One that is being sent may still arrive." },
      },
    )
    .post(
      "/admin/mail/test",
      async ({ body, principal }) => {
        const tested = await verbs.test(addressOf(body.email), actorOf(principal));
        if (tested === undefined) throw new Refusal(TOO_MANY_TESTS);
        return tested;
      },
      {
        own: ACT,
        body: closed({ email: t.String() }),
        response: { 200: Tested },
        detail: {
          summary: "Send a test mail",
          description: "At once, and answered with what the mail server said; five a minute.",
        },
      },
    );
  return closeApi(app);
}

function listed(entry: OutboxEntry): ListedMail {
  return {
    id: aboutMail(entry).mail,
    email: entry.to,
    kind: entry.kind ?? null,
    queued_at: timeOf(entry.queuedAt),
    expires_at: timeOf(entry.expiresAt),
    next_attempt_at: timeOf(entry.nextAttemptAt),
    attempts: entry.attempts,
    last_error: entry.lastError ?? null,
  };
}

function keyOf({ queued_at, id }: ListedMail): string {
  return `${queued_at} ${id}`;
}

const NO_SUCH_MAIL = { ...NOT_FOUND, message: "No such mail waits." };

const SEVERAL = {
  status: 409,
  error: "ambiguous",
  title: "Not clear",
  message: "That beginning names several mails: give more of it.",
} as const;

const BUSY = {
  status: 409,
  error: "busy",
  title: "Not now",
  message: "It is being sent at this moment.",
} as const;

const REFUSALS = { gone: NO_SUCH_MAIL, several: SEVERAL, busy: BUSY } as const;

const TOO_MANY_TESTS = {
  status: 429,
  error: "rate_limited",
  title: "Too many",
  message: "Five test mails a minute are enough: wait a little.",
} as const;
