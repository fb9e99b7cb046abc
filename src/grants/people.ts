import { ADMINS } from "../access/people.ts";
import type { Policy } from "../access/policy.ts";
import type { Routes } from "../access/routes.ts";
import type { Clock, Random } from "../clock.ts";
import { badRequest, Refusal } from "../edge/answer.ts";
import { type Address, AddressError, parseAddress, parseDomain } from "../identity/address.ts";
import type { ApiKeys } from "../keys/service.ts";
import type { LoginService } from "../login/service.ts";
import type { Outbox } from "../mail/outbox.ts";
import type { Audit, AuditFirst } from "../observe/audit.ts";
import { DAY } from "../option/values.ts";
import type { Look } from "../pages/look.ts";
import { revokeAll } from "../session/revoke.ts";
import type { Sessions } from "../session/session.ts";
import { ACCESS_DENIED, ACCESS_GRANTED, USER_INVITED, USER_REMOVED } from "./audit.ts";
import type { GrantBook } from "./book.ts";
import { invitedMail } from "./mails.ts";
import { readReason } from "./reason.ts";
import type { Grant } from "./record.ts";
import type { RequestBook } from "./request.ts";

/** People whom administrators let in and shut out while it runs. Every act is audited before it is done. */
export type PeopleService = {
  /** Whether there are any (`RUNEGATE_DYNAMIC_USERS`); without it, nothing counts and all else is refused. */
  readonly isOpen: boolean;
  /** Grants and denials, oldest first, those that have ended lately included. @throws {StoreUnavailable} */
  list(): Promise<Grant[]>;
  /**
   * Lets somebody, or a domain, in. Lifts a denial.
   * @param by who does, for the audit and the list. @throws {Refusal} with what is wrong, {StoreUnavailable}
   */
  allow(wanted: WantedGrant, by: string): Promise<Grant>;
  /** The same, with a mail that has a link to sign in by. False where the outbox was full. */
  invite(wanted: WantedGrant, by: string): Promise<{ grant: Grant; isMailed: boolean }>;
  /**
   * Shuts somebody, or a domain, out, whatever lets them in, and signs them out; somebody by their sub-addresses, too. What they
   * have asked for is not decided any more. No administrator.
   */
  deny(who: string, reason: string, by: string): Promise<void>;
  /** Ends a denial, and gives nothing else. @returns false where there was none */
  lift(who: string, by: string): Promise<boolean>;
  /** Sets the end of everything that somebody was given; null for none. @returns how many grants there were */
  setEnd(who: string, until: number | null, by: string): Promise<number>;
  /** Ends what somebody was given and has asked for, their sessions, their keys, and what is open on any of it. Can be done again. */
  remove(who: string, by: string): Promise<Removed>;
};

export type WantedGrant = {
  /** An address or `@domain`, as somebody wrote it. */
  readonly who: string;
  /** By default the one that there is; of several, or groups, some have to be named. */
  readonly routes?: readonly string[] | undefined;
  readonly groups?: readonly string[] | undefined;
  /** Milliseconds since the Unix epoch; null for no end. */
  readonly until?: number | null | undefined;
  readonly reason?: string | undefined;
  /** For a domain at which anybody gets a mailbox. */
  readonly force?: boolean | undefined;
};

export type Removed = {
  readonly grants: number;
  readonly sessions: number;
  readonly keys: number;
  /** Configuration lets them in again. */
  readonly isStillAllowed: boolean;
};

export type PeopleSettings = {
  readonly book: GrantBook;
  readonly options: { readonly landingPath: string };
  readonly policy: Policy;
  readonly routes: Pick<Routes, "all" | "urlOf">;
  /** Names of those that configuration has. */
  readonly groups: ReadonlySet<string>;
  readonly requests: Pick<RequestBook, "forget">;
  readonly sessions: Sessions;
  readonly apiKeys: Pick<ApiKeys, "revokeAll">;
  readonly login: Pick<LoginService, "invitationLink">;
  readonly outbox: Pick<Outbox, "queue">;
  readonly lookTo: (email: string) => Promise<Look>;
  readonly audit: Audit;
  readonly auditFirst: AuditFirst;
  readonly clock: Clock;
  readonly random: Random;
};

const INVITATION = 14 * DAY;

export function createPeople(settings: PeopleSettings): PeopleService {
  const { book, policy, routes, groups, sessions, apiKeys, audit, auditFirst, clock, random } = settings;

  function mustBeOpen(): void {
    if (!book.isOpen) throw new Refusal(OFF);
  }

  function readRoutes({ routes: named, groups: inGroups = [] }: WantedGrant): readonly string[] {
    const all = routes.all.map(({ name }) => name);
    const unknown = named?.find((name) => !all.includes(name));
    if (unknown !== undefined) throw badRequest(`There is no application ${unknown}.`);
    if (named !== undefined && named.length > 0) return [...new Set(named)];
    if (inGroups.length > 0) return [];
    if (all.length === 1) return all;
    throw badRequest(`Say which applications, or a group: ${all.join(", ")}.`);
  }

  function readGroups(named: readonly string[] = []): readonly string[] {
    if (named.includes(ADMINS))
      throw badRequest(
        "Administrators are named in configuration alone: by RUNEGATE_ADMINS, or in routes.toml.",
      );
    const unknown = named.find((name) => !groups.has(name));
    if (unknown !== undefined) throw badRequest(`There is no group ${unknown} in routes.toml.`);
    return [...new Set(named)];
  }

  function read(wanted: WantedGrant, by: string): Grant {
    mustBeOpen();
    const who = readWho(wanted.who, wanted.force === true);
    const { until = null, reason = "" } = wanted;
    const now = clock.now();
    if (until !== null && until <= now) throw badRequest("It would have ended already.");
    return {
      ...{ id: Buffer.from(random.bytes(9)).toString("base64url"), who, effect: "allow" },
      ...{ routes: readRoutes(wanted), groups: readGroups(wanted.groups) },
      ...{ from: now, until, grantedBy: by, reason: readReason(reason), createdAt: now, warned: false },
    };
  }

  const factsOf = ({ who, routes: names, groups: inGroups, reason, until }: Grant, by: string) => ({
    ...{ subject: who, actor: by, reason: reason || undefined, until: endText(until) },
    route: [...names, ...inGroups.map((name) => `group:${name}`)].join(","),
  });

  /** A denial goes last: should the store go away in between, it still counts. */
  async function keep(grant: Grant): Promise<Grant> {
    await book.add(grant);
    await book.takeAll({ effect: "deny", who: grant.who });
    return grant;
  }

  /** With what is open on the strength of them. */
  async function signOut(email: Address, by: string) {
    return {
      sessions: await revokeAll({ sessions, audit, auditFirst }, email, () => by),
      keys: await apiKeys.revokeAll(email, { name: by, isAdmin: true }),
    };
  }

  return {
    isOpen: book.isOpen,
    list: async () => (book.isOpen ? book.list() : []),

    async allow(wanted, by) {
      const grant = read(wanted, by);
      await auditFirst(ACCESS_GRANTED, factsOf(grant, by));
      return keep(grant);
    },

    async invite(wanted, by) {
      const grant = read(wanted, by);
      if (isDomain(grant.who)) throw badRequest("A whole domain has no mailbox: use allow.");
      const to = grant.who as Address;
      await auditFirst(USER_INVITED, factsOf(grant, by));
      await keep(grant);
      const route = routes.all.find(({ name }) => name === grant.routes[0]);
      const next = route === undefined ? undefined : routes.urlOf(route);
      const url = settings.login.invitationLink(to, next ?? settings.options.landingPath, INVITATION);
      const content = invitedMail(await settings.lookTo(to), { email: to, url, at: clock.now() });
      const expiresAt = clock.now() + DAY;
      const isMailed = await settings.outbox.queue({
        to,
        kind: "invited",
        content,
        expiresAt,
        cooldownKey: undefined,
        first: true,
      });
      return { grant, isMailed };
    },

    async deny(written, reason, by) {
      mustBeOpen();
      const who = readWho(written, true);
      // A denial shuts out whoever has it from undoing it.
      if (!isDomain(who) && policy.standingOf({ email: who as Address }).groups.has(ADMINS))
        throw badRequest(
          "An administrator is taken out of configuration first: of RUNEGATE_ADMINS, or of routes.toml.",
        );
      const text = readReason(reason);
      await auditFirst(ACCESS_DENIED, { subject: who, actor: by, route: undefined, reason: text });
      const now = clock.now();
      const before = (await book.list()).filter((one) => one.who === who && one.effect === "deny");
      // There is one at every moment, also where the store goes away in between.
      await book.add({
        ...{
          id: Buffer.from(random.bytes(9)).toString("base64url"),
          who,
          effect: "deny",
          routes: [],
          groups: [],
        },
        ...{ from: now, until: null, grantedBy: by, reason: text, createdAt: now, warned: false },
      });
      for (const { id } of before) await book.take(id);
      if (isDomain(who)) return;
      await settings.requests.forget(who as Address);
      await signOut(who as Address, by);
    },

    async lift(written, by) {
      mustBeOpen();
      const who = readWho(written, true);
      await auditFirst(ACCESS_GRANTED, {
        subject: who,
        actor: by,
        route: undefined,
        reason: "denial lifted",
        until: undefined,
      });
      return (await book.takeAll({ effect: "deny", who })) > 0;
    },

    async setEnd(written, until, by) {
      mustBeOpen();
      const who = readWho(written, true);
      if (until !== null && until <= clock.now()) throw badRequest("It would have ended already.");
      const theirs = (await book.list()).filter((one) => one.who === who && one.effect === "allow");
      const going = theirs.filter((one) => one.until === null || one.until > clock.now());
      let changed = 0;
      for (const grant of going) {
        await auditFirst(ACCESS_GRANTED, factsOf({ ...grant, until }, by));
        if (await book.change(grant.id, () => ({ until, warned: false }))) changed++;
      }
      return changed;
    },

    async remove(written, by) {
      mustBeOpen();
      const who = readWho(written, true);
      await auditFirst(USER_REMOVED, { subject: who, actor: by });
      // First what lets them in: should the store go away meanwhile, nothing that is left opens anything.
      const grants = await book.takeAll({ effect: "allow", who });
      if (isDomain(who)) return { grants, sessions: 0, keys: 0, isStillAllowed: false };
      const email = who as Address;
      await settings.requests.forget(email);
      return { grants, ...(await signOut(email, by)), isStillAllowed: policy.allows(email) };
    },
  };
}

/** For the audit. @param until milliseconds since the Unix epoch; null for no end */
export function endText(until: number | null): string | undefined {
  return until === null ? undefined : new Date(until).toISOString();
}

const OFF = {
  status: 403,
  error: "not_allowed",
  title: "Off",
  message:
    "People are only in configuration here: set RUNEGATE_DYNAMIC_USERS=true, and reload or restart Runegate.",
} as const;

/** At these anybody gets a mailbox. */
const PUBLIC_DOMAINS = new Set(
  (
    "gmail.com googlemail.com outlook.com hotmail.com live.com msn.com yahoo.com ymail.com icloud.com me.com mac.com aol.com " +
    "gmx.de gmx.net gmx.com gmx.at gmx.ch web.de t-online.de freenet.de mail.com proton.me protonmail.com pm.me tutanota.com " +
    "tuta.com mail.ru bk.ru inbox.ru list.ru yandex.ru yandex.com ya.ru rambler.ru qq.com 163.com 126.com sina.com foxmail.com " +
    "naver.com daum.net hanmail.net orange.fr free.fr laposte.net wanadoo.fr libero.it virgilio.it seznam.cz wp.pl o2.pl " +
    "onet.pl interia.pl ukr.net zoho.com fastmail.com hey.com yahoo.co.uk yahoo.co.jp hotmail.co.uk btinternet.com comcast.net"
  ).split(" "),
);

export function isDomain(who: string): boolean {
  return who.startsWith("@");
}

/** @param any whether a domain may be one at which anybody gets a mailbox. @throws {Refusal} */
function readWho(written: string, any: boolean): string {
  try {
    if (!isDomain(written)) return parseAddress(written);
    const domain = parseDomain(written.slice(1));
    if (any || !PUBLIC_DOMAINS.has(domain)) return `@${domain}`;
  } catch (error) {
    throw error instanceof AddressError ? badRequest(error.message) : error;
  }
  throw badRequest(
    `Anybody gets a mailbox at ${written.slice(1)}, and would be let in. \`runegate users allow @… --force\` does that.`,
  );
}
