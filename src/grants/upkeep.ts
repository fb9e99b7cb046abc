import type { Routes } from "../access/routes.ts";
import type { Clock } from "../clock.ts";
import type { Outbox } from "../mail/outbox.ts";
import type { Audit } from "../observe/audit.ts";
import type { Logger } from "../observe/logger.ts";
import { messageOf } from "../observe/message-of.ts";
import { DAY, MINUTE } from "../option/values.ts";
import type { Look } from "../pages/look.ts";
import { GRANT_EXPIRED } from "./audit.ts";
import type { GrantBook } from "./book.ts";
import { endsSoonMail } from "./mails.ts";
import { isDomain } from "./people.ts";
import type { Grant } from "./record.ts";
import type { AccessRequests } from "./requests.ts";

/**
 * Tells people three days before what they were given ends, the audit when it has, and those who decide of requests that came while
 * they had heard of others.
 */

const SOON = 3 * DAY;
/** Whoever got it for so short a time knows. */
const SHORT = SOON + DAY;
const EVERY_MS = MINUTE;

export type GrantUpkeep = {
  /** Never rejects. */
  run(): Promise<void>;
  start(): void;
  stop(): void;
};

export function createGrantUpkeep(settings: {
  readonly book: GrantBook;
  readonly options: { readonly baseUrl: string };
  readonly accessRequests: Pick<AccessRequests, "tell">;
  readonly routes: Pick<Routes, "all">;
  readonly outbox: Pick<Outbox, "queue">;
  readonly lookTo: (email: string) => Promise<Look>;
  readonly audit: Audit;
  readonly clock: Clock;
  readonly log: Logger;
}): GrantUpkeep {
  const { book, routes, outbox, audit, clock, log } = settings;
  let timer: ReturnType<typeof setInterval> | undefined;

  const titleOf = (name: string) => routes.all.find((route) => route.name === name)?.title ?? name;

  async function lookAfter(grant: Grant, now: number): Promise<void> {
    const { id, who, until, from, warned } = grant;
    if (until === null) return;
    const what = [...grant.routes.map(titleOf), ...grant.groups].join(", ");
    if (until <= now) {
      // Of several processes one gets it.
      if (await book.take(id)) audit(GRANT_EXPIRED, { subject: who, route: what });
      return;
    }
    if (warned || isDomain(who) || until - now > SOON || until - from <= SHORT) return;
    // Of several processes one tells them.
    if (!(await book.change(id, (now) => (now.warned ? undefined : { warned: true })))) return;
    const url = settings.options.baseUrl;
    const content = endsSoonMail(await settings.lookTo(who), { what, at: until, url });
    const terms = { expiresAt: until, cooldownKey: undefined, first: true };
    await outbox.queue({ to: who, kind: "access-ends", content, ...terms });
  }

  async function run(): Promise<void> {
    await settings.accessRequests.tell();
    try {
      for (const grant of await book.list()) await lookAfter(grant, clock.now());
    } catch (error) {
      log.warn("could not look after what people were given, will try again", { reason: messageOf(error) });
    }
  }

  return {
    run,
    start() {
      timer ??= setInterval(() => void run(), EVERY_MS);
      timer.unref();
    },
    stop() {
      clearInterval(timer);
      timer = undefined;
    },
  };
}
