import { isAllowed } from "../access/decision.ts";
import { ADMINS, includes } from "../access/people.ts";
import type { Policy } from "../access/policy.ts";
import type { Route } from "../access/route.ts";
import type { Routes } from "../access/routes.ts";
import type { Clock } from "../clock.ts";
import { badRequest, type Failure, NOT_ALLOWED, NOT_FOUND, Refusal } from "../edge/answer.ts";
import type { Client } from "../edge/client.ts";
import type { Address } from "../identity/address.ts";
import { nameOf, type Principal } from "../identity/principal.ts";
import { limitRefusal } from "../limits/answer.ts";
import type { Limiter } from "../limits/limiter.ts";
import type { MailContent } from "../mail/mailer.ts";
import type { Outbox } from "../mail/outbox.ts";
import type { Audit, AuditFirst } from "../observe/audit.ts";
import type { Logger } from "../observe/logger.ts";
import { messageOf } from "../observe/message-of.ts";
import { DAY, HOUR } from "../option/values.ts";
import { said } from "../pages/language.ts";
import type { Look } from "../pages/look.ts";
import { REQUESTS_PATH } from "../pages/paths.ts";
import type { Limits } from "../store/limits.ts";
import type { Seen } from "../store/records.ts";
import { ACCESS_DENIED, ACCESS_GRANTED, ACCESS_REQUESTED } from "./audit.ts";
import type { GrantBook } from "./book.ts";
import { askedMail, grantedMail, refusedMail } from "./mails.ts";
import { endText } from "./people.ts";
import { readReason } from "./reason.ts";
import { type AccessRequest, type Asked, type RequestBook, requestId } from "./request.ts";

/** Somebody who has signed in asks for an application that they may not use, and whoever decides about it lets them in or not. */
export type AccessRequests = {
  /** Whether they may not use it, and may ask to. */
  mayAsk(route: Route, who: Principal): boolean;
  /** The last request of a person for an application. @throws {StoreUnavailable} */
  standing(email: Address, route: Route): Promise<Asked | undefined>;
  /** Asking again while there is an open one changes nothing. @throws {Refusal} @throws {StoreUnavailable} */
  ask(route: Route, who: Asker, reason: string, client: Client): Promise<void>;
  /** Whether they decide about any application. */
  decidesAny(who: Principal): boolean;
  /** Open ones that they decide about, oldest first. @throws {StoreUnavailable} */
  list(who: Principal): Promise<Asked[]>;
  /**
   * Lets somebody in and tells them. What was approved before stays as it is.
   * @param until milliseconds since the Unix epoch; null for no end.
   * @throws {Refusal} @throws {StoreUnavailable}
   */
  approve(id: string, until: number | null, by: Principal): Promise<Asked>;
  refuse(id: string, by: Principal): Promise<Asked>;
  /** Seals under the present key what is under the one before. @throws {StoreUnavailable} */
  renewSeals(): Promise<number>;
  /** Mails those who decide, each once an hour at most, about what they have not heard of. Never rejects. */
  tell(): Promise<void>;
};

export type Asker = Principal & { readonly subject: { readonly email: Address } };

export type RequestSettings = {
  readonly requests: RequestBook;
  readonly book: GrantBook;
  readonly options: { readonly landingPath: string };
  readonly policy: Policy;
  readonly routes: Pick<Routes, "all" | "urlOf" | "home">;
  readonly limiter: Pick<Limiter, "accessRequest">;
  readonly limits: Limits;
  readonly outbox: Pick<Outbox, "queue">;
  readonly lookTo: (email: string) => Promise<Look>;
  readonly audit: Audit;
  readonly auditFirst: AuditFirst;
  readonly clock: Clock;
  readonly log: Logger;
};

const MOST_OPEN = 50;

export function createAccessRequests(settings: RequestSettings): AccessRequests {
  const { requests, book, policy, routes, outbox, lookTo, audit, auditFirst, clock, log } = settings;
  let asking: Promise<unknown> = Promise.resolve();

  const routeOf = (name: string) => routes.all.find((one) => one.name === name);
  const linkTo = (route: Route) =>
    routes.urlOf(route) ?? new URL(settings.options.landingPath, routes.home.origin).href;

  const mayAsk: AccessRequests["mayAsk"] = (route, who) =>
    book.isOpen &&
    route.requestAccess &&
    who.proof.kind === "session" &&
    who.actor === undefined &&
    "email" in who.subject &&
    // What is denied to them no grant would open.
    (route.deny === undefined || !includes(route.deny, who)) &&
    !isAllowed(route, who);

  const isOperator = (who: Principal) => who.proof.kind === "operator";
  const actorOf = (who: Principal) => (isOperator(who) ? "operator" : nameOf(who));

  const decides = (route: Route, who: Principal) =>
    isOperator(who) ||
    (route.approvers === undefined ? who.groups.has(ADMINS) : includes(route.approvers, who));

  /** Those of them who have a mailbox that configuration names. */
  function approversOf({ approvers }: Route): ReadonlySet<Address> {
    const groups = [...(approvers?.groups ?? [ADMINS])];
    return new Set([
      ...(approvers?.addresses ?? []),
      ...groups.flatMap((name) => [...policy.membersOf(name)]),
    ]);
  }

  /** One after the other: how many are open is looked at before one is added. */
  function inTurn<T>(work: () => Promise<T>): Promise<T> {
    const done = asking.then(work);
    asking = done.catch(() => {});
    return done;
  }

  async function add(one: AccessRequest, client: Client): Promise<boolean> {
    const before = await requests.get(requestId(one));
    if (before?.record.state === "open") return false;
    if ((await requests.open(MOST_OPEN)).length >= MOST_OPEN) throw new Refusal(TOO_MANY);
    const rate = await settings.limiter.accessRequest(one.email as Address, client);
    if (!rate.allowed)
      throw new Refusal({ ...limitRefusal("IP", rate.retryAfterMs), message: TOO_MANY.message });
    return requests.ask(one);
  }

  /** @throws {Refusal} 404, or 403 for whoever does not decide about it. */
  async function found(asking: string, who: Principal): Promise<{ seen: Seen<AccessRequest>; route: Route }> {
    const [id = ""] = asking.split(".");
    const seen = await requests.get(id);
    const route = seen && routeOf(seen.record.route);
    if (seen === undefined || route === undefined || askingOf(seen) !== asking)
      throw new Refusal(NO_SUCH_REQUEST);
    if (!decides(route, who)) throw new Refusal(NOT_YOURS);
    return { seen, route };
  }

  /**
   * Names one time that it was asked: whoever has looked at what was said then decides about no other. The grant has it, too, so that
   * there is one, whoever approves it, and however often.
   */
  const askingOf = ({ id, record }: Seen<AccessRequest>) => `${id}.${record.askedAt}`;
  const asked = (seen: Seen<AccessRequest>): Asked => ({ ...seen.record, id: askingOf(seen) });

  async function letIn(seen: Seen<AccessRequest>, until: number | null, by: string): Promise<void> {
    const { email, route, reason } = seen.record;
    const now = clock.now();
    await book.add({
      ...{ id: askingOf(seen), who: email, effect: "allow", routes: [route], groups: [] },
      ...{ from: now, until, grantedBy: by, reason, createdAt: now, warned: false },
    });
  }

  /** Who decides first has decided. @returns undefined where somebody else has */
  async function decide({ id, record }: Seen<AccessRequest>, state: "granted" | "refused", by: string) {
    for (;;) {
      const seen = await requests.get(id);
      if (seen?.record.state !== "open" || seen.record.askedAt !== record.askedAt) return undefined;
      // Else it was noted meanwhile who had a mail about it.
      if (await requests.change(seen, { state, decidedBy: by }))
        return { ...asked(seen), state, decidedBy: by };
    }
  }

  async function mail(to: string, kind: string, content: (look: Look) => MailContent) {
    const about = { to, kind, expiresAt: clock.now() + DAY, cooldownKey: undefined, first: true };
    await outbox.queue({ ...about, content: content(await lookTo(to)) });
  }

  async function tellAll(): Promise<void> {
    const open = await requests.open();
    const untold = new Map<Address, Seen<AccessRequest>[]>();
    for (const seen of open) {
      const route = routeOf(seen.record.route);
      for (const one of route === undefined ? [] : approversOf(route)) {
        if (seen.record.told.includes(one)) continue;
        untold.set(one, [...(untold.get(one) ?? []), seen]);
      }
    }
    const told = new Map<string, Address[]>();
    for (const [to, theirs] of untold) {
      const due = await settings.limits.hit(`access-told:${to}`, { limit: 1, windowMs: HOUR });
      if (!due.allowed) continue;
      const count = open.filter(({ record }) => approversOfName(record.route).has(to)).length;
      const at = Math.max(...theirs.map(({ record }) => record.askedAt));
      const url = routes.home.origin + REQUESTS_PATH;
      await mail(to, "access-asked", (look) => askedMail(look, { count, at, url }));
      for (const { id } of theirs) told.set(id, [...(told.get(id) ?? []), to]);
    }
    for (const seen of open) {
      const more = told.get(seen.id);
      // Where it was decided meanwhile, nobody has to hear of it any more.
      if (more !== undefined) await requests.change(seen, { told: [...seen.record.told, ...more] });
    }
  }

  function approversOfName(name: string): ReadonlySet<Address> {
    const route = routeOf(name);
    return route === undefined ? new Set() : approversOf(route);
  }

  async function tell(): Promise<void> {
    try {
      if (book.isOpen) await inTurn(tellAll);
    } catch (error) {
      log.warn("could not tell of requests for access, will try again", { reason: messageOf(error) });
    }
  }

  return {
    ...{ mayAsk, tell, renewSeals: requests.renewSeals },

    async standing(email, { name }) {
      const seen = await requests.get(requestId({ email, route: name }));
      return seen && asked(seen);
    },

    async ask(route, who, written, client) {
      if (!route.requestAccess || !book.isOpen) throw new Refusal(NOT_FOUND);
      if (!mayAsk(route, who)) throw new Refusal(NOT_ALLOWED);
      const { email } = who.subject;
      const reason = readReason(written);
      const one: AccessRequest = {
        ...{ email, route: route.name, reason, ip: client.ip, askedAt: clock.now() },
        ...{ state: "open", decidedBy: "", told: [] },
      };
      if (!(await inTurn(() => add(one, client)))) return;
      const asked = { subject: email, client: client.ip, route: route.name, reason };
      audit(ACCESS_REQUESTED, { ...asked, session: who.proof.id });
      await tell();
    },

    decidesAny: (who) => routes.all.some((route) => route.requestAccess && decides(route, who)),

    async list(who) {
      if (!book.isOpen) return [];
      const theirs = (await requests.open()).filter(({ record }) => {
        const route = routeOf(record.route);
        return route !== undefined && decides(route, who);
      });
      return theirs.map(asked);
    },

    async approve(id, until, by) {
      if (until !== null && until <= clock.now()) throw badRequest("It would have ended already.");
      const { seen, route } = await found(id, by);
      const { state, email } = seen.record;
      if (state === "granted") return asked(seen);
      if (state === "refused") throw new Refusal(DECIDED);
      const actor = actorOf(by);
      const facts = { subject: email, actor, route: route.name, reason: seen.record.reason };
      const end = endText(until);
      await auditFirst(ACCESS_GRANTED, { ...facts, until: end });
      await letIn(seen, until, actor);
      const decided = await decide(seen, "granted", actor);
      if (decided === undefined) {
        const now = await requests.get(seen.id);
        if (now?.record.state === "granted") return asked(now);
        await book.take(askingOf(seen));
        throw new Refusal(DECIDED);
      }
      await mail(email, "access-granted", (look) =>
        grantedMail(look, { what: route.title, at: clock.now(), until, url: linkTo(route) }),
      );
      return decided;
    },

    async refuse(id, by) {
      const { seen, route } = await found(id, by);
      const { state, email } = seen.record;
      if (state === "granted") throw new Refusal(DECIDED);
      if (state === "refused") {
        // Of one that broke off before this.
        await book.take(askingOf(seen));
        return asked(seen);
      }
      const actor = actorOf(by);
      await auditFirst(ACCESS_DENIED, { subject: email, actor, route: route.name, reason: undefined });
      const decided = await decide(seen, "refused", actor);
      if (decided === undefined) throw new Refusal(DECIDED);
      // Of an approval that broke off before this.
      await book.take(askingOf(seen));
      await mail(email, "access-refused", (look) =>
        refusedMail(look, { what: route.title, at: clock.now() }),
      );
      return decided;
    },
  };
}

const TOO_MANY: Failure = {
  status: 429,
  error: "too_many_requests",
  title: said("ask.title"),
  message: said("ask.tooMany"),
};
const NO_SUCH_REQUEST: Failure = { ...NOT_FOUND, message: said("decide.gone") };
const NOT_YOURS: Failure = { ...NOT_ALLOWED, message: said("decide.notYours") };
const DECIDED: Failure = {
  status: 409,
  error: "decided",
  title: said("decide.title"),
  message: said("decide.over"),
};
