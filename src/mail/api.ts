import { type Elysia, type Static, t } from "elysia";
import { CURSOR, closed, NO_CONTENT, pageOf, TIME, takePage } from "../api/list.ts";
import { type ApiHouse, closeApi, openApi } from "../api/own.ts";
import { timeOf } from "../api/time.ts";
import { NOT_FOUND, Refusal } from "../edge/answer.ts";
import type { House } from "../house.ts";
import { aboutMail, MAIL_GIVEN_UP } from "./audit.ts";
import type { OutboxEntry } from "./waiting.ts";

/** Mail that waits to be sent, for the operator. What it says is shown to nobody: it signs in. */

const Mail = closed({
  id: t.String({ description: "names it, as `mail` does in the audit" }),
  email: t.String(),
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

export type MailApiHouse = ApiHouse & Pick<House, "outbox" | "audit">;

export function mailApi(house: MailApiHouse): Elysia {
  const { outbox, audit } = house;

  /** @throws {Refusal} if there is not exactly one. */
  async function named(beginning: string): Promise<OutboxEntry> {
    const [one, ...others] = (await outbox.waiting()).filter(({ id }) => id.startsWith(beginning));
    if (others.length > 0) throw new Refusal(SEVERAL);
    if (one === undefined) throw new Refusal(NO_SUCH_MAIL);
    return one;
  }

  const app = openApi("mail", house)
    .get(
      "/mail",
      async ({ principal, query }) =>
        takePage((await outbox.waiting()).map(listed), keyOf, query.cursor, principal),
      {
        own: { needs: "operator" },
        query: closed({ cursor: CURSOR }),
        response: { 200: pageOf(Mail) },
        detail: { summary: "Mail that waits, oldest first" },
      },
    )
    .post(
      "/mail/:id/retry",
      async ({ params, set }) => {
        const retried = await outbox.retry((await named(params.id)).id);
        if (retried === "busy") throw new Refusal(BUSY);
        if (retried === "gone") throw new Refusal(NO_SUCH_MAIL);
        set.status = 204;
      },
      {
        own: { needs: "operator" },
        params: ID,
        response: { 204: NO_CONTENT },
        detail: {
          summary: "Try one now",
          description: "409 while it is being sent, so that nobody gets it twice.",
        },
      },
    )
    .delete(
      "/mail/:id",
      async ({ params, set }) => {
        const entry = await named(params.id);
        if (!(await outbox.drop(entry.id))) throw new Refusal(NO_SUCH_MAIL);
        audit(MAIL_GIVEN_UP, { ...aboutMail(entry), reason: "deleted", actor: "operator" });
        set.status = 204;
      },
      {
        own: { needs: "operator" },
        params: ID,
        response: { 204: NO_CONTENT },
        detail: { summary: "Give one up", description: "One that is being sent may still arrive." },
      },
    );
  return closeApi(app);
}

function listed(entry: OutboxEntry): ListedMail {
  return {
    id: aboutMail(entry).mail,
    email: entry.to,
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
