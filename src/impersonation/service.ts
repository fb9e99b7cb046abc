import { isAllowed } from "../access/decision.ts";
import { ADMINS } from "../access/people.ts";
import type { Policy } from "../access/policy.ts";
import type { Route } from "../access/route.ts";
import type { Routes } from "../access/routes.ts";
import type { Clock, Random } from "../clock.ts";
import { badRequest, NOT_ALLOWED, Refusal } from "../edge/answer.ts";
import { type Address, addressIn } from "../identity/address.ts";
import { nameOf, type Principal } from "../identity/principal.ts";
import type { Audit, AuditFirst } from "../observe/audit.ts";
import type { Logger } from "../observe/logger.ts";
import { messageOf } from "../observe/message-of.ts";
import { DAY, HOUR, MINUTE } from "../option/values.ts";
import type { Keys } from "../secret/keys.ts";
import { groupsIn } from "../session/record.ts";
import type { Sessions, Shown } from "../session/session.ts";
import type { RecordStore } from "../store/records.ts";
import {
  IMPERSONATED_REQUEST,
  IMPERSONATION_ENDED,
  IMPERSONATION_REFUSED,
  IMPERSONATION_STARTED,
} from "./audit.ts";
import type { ActingCookie } from "./cookie.ts";
import { createImpersonationSeals, IMPERSONATIONS, type Impersonation, VIEWS, type View } from "./record.ts";

/** Administrators who use one application as somebody else: for a short time, for a stated reason, where everybody can see it. */
export type Impersonations = {
  /** Whether there is an application for it. */
  readonly isUsed: boolean;
  /** Whether an application may be used so, by its address alone. */
  isOpen(route: Route): boolean;
  /**
   * Begins, and ends what the administrator had going on before. It is in the audit first.
   * @throws {Refusal} 400 for what makes no sense, 403 for what may not be. @throws {StoreUnavailable} and nothing begins.
   */
  start(admin: Admin, asked: Asked): Promise<Impersonation>;
  /** What goes on, the last first. @throws {StoreUnavailable} */
  running(): Promise<Impersonation[]>;
  /** What goes on by the strength of this session. @throws {StoreUnavailable} */
  of(admin: Address, login: string): Promise<Impersonation | undefined>;
  /**
   * What the cookies of a request for this host mean. `ended` is what they meant before.
   * @param binding where the administrator's session counts. @throws {StoreUnavailable}
   */
  shown(from: WithCookies, binding: Route["bind"] | undefined): Promise<Acting | "ended" | undefined>;
  /** Whoever acts by it, as they are now; undefined once it is over. @throws {StoreUnavailable} */
  alive(id: string, used: boolean): Promise<Principal | undefined>;
  onEnded(listener: (id: string) => void): void;
  /** @param because for the audit. @returns false where it was over. @throws {StoreUnavailable} */
  end(one: Impersonation, because: string): Promise<boolean>;
  note: NoteImpersonated;
  /** Once all that was noted is counted. Never rejects. */
  counted(): Promise<void>;
  /** How somebody was acted for, the last first. @throws {StoreUnavailable} */
  viewsOf(email: string): Promise<View[]>;
  /** Ends what is over. Never rejects. */
  sweep(): Promise<void>;
};

/** Who wants to, by the session that they signed in by. */
export type Admin = {
  readonly email: Address;
  readonly login: string;
  /** IP address. */
  readonly client: string;
};

/** As much of it as says who would act as whom. */
type About = Pick<Impersonation, "id" | "email" | "admin" | "startedAt">;

/** As it was written. */
export type Asked = Readonly<Partial<Record<"email" | "route" | "reason" | "minutes", string>>>;

export type Acting = { readonly one: Impersonation; readonly route: Route; readonly principal: Principal };

export type WithCookies = Shown & { readonly cookies: { valuesOf(name: string): readonly string[] } };

/** What was asked for by somebody in another's name, once it has been answered. */
export type NoteImpersonated = (request: Noted) => void;

type Noted = {
  readonly who: Principal;
  readonly method: string;
  readonly path: string;
  readonly status: number;
  /** Whether it was not passed on. */
  readonly isRefused: boolean;
  readonly client: string;
};

/** So many requests of one impersonation are told of each; the others are counted. */
const MOST_TOLD = 1_000;
const ID_BYTES = 32;
const LONGEST_MINUTES = HOUR / MINUTE;
const REASON = { least: 10, most: 500 };
const VIEWS_KEPT_MS = 90 * DAY;
const MOST_VIEWS = 20;
const MOST_RUNNING = 1_000;

export function createImpersonations(settings: {
  readonly impersonationTtl: number;
  readonly store: RecordStore;
  readonly keys: Keys;
  readonly routes: Pick<Routes, "all" | "urlOf">;
  readonly policy: Policy;
  readonly sessions: Pick<Sessions, "find" | "alive" | "list">;
  readonly sessionCookie: { read(shown: WithCookies): readonly string[] };
  readonly cookie: ActingCookie;
  readonly audit: Audit;
  readonly auditFirst: AuditFirst;
  /** Tells the person by mail, where that is wanted. */
  readonly tell: (one: Impersonation, route: Route) => Promise<void>;
  readonly log: Logger;
  readonly clock: Clock;
  readonly random: Random;
}): Impersonations {
  const { store, routes, policy, sessions, cookie, audit, auditFirst, log, clock } = settings;
  const records = store.records(IMPERSONATIONS);
  const views = store.records(VIEWS);
  const seals = createImpersonationSeals(settings.keys.for("impersonation record", "session"));
  const isOpen = (route: Route) => route.impersonation !== "deny" && routes.urlOf(route) !== undefined;
  const isUsed = routes.all.some(isOpen);
  const routeOf = (name: string) => routes.all.find((route) => route.name === name);
  /** Answered, and not counted yet: by impersonation. What comes while the store is written to is written together next time. */
  const answered = new Map<string, Noted[]>();
  let counting: Promise<void> | undefined;

  function principalOf(one: About, route: Route, operator?: Principal): Principal {
    const subject = { email: one.email };
    return {
      subject,
      ...policy.standingOf(subject),
      proof: { kind: "impersonation", id: one.id },
      actor: one.admin,
      provenAt: operator?.provenAt ?? one.startedAt,
      ...(operator?.rested === undefined ? {} : { rested: operator.rested }),
      ...(route.impersonation === "allow" ? {} : { readOnly: true }),
    };
  }

  /** Why an application may not be used as somebody, as they and it are now. */
  function whyNot(one: About, route: Route | undefined): string | undefined {
    if (route === undefined) return "no such application";
    if (!isOpen(route)) return "not for this application";
    if (one.email === one.admin) return "themselves";
    const who = principalOf(one, route);
    if (who.groups.has(ADMINS)) return "an administrator";
    return policy.allows(one.email) && isAllowed(route, who) ? undefined : "they may not use it";
  }

  /** Whether an OpenID provider has vouched for them as one, as far as they are signed in. */
  async function isVouchedAdmin(email: Address): Promise<boolean> {
    const all = await sessions.list(email);
    return all.some((one) => policy.standingOf({ email }, groupsIn(one)).groups.has(ADMINS));
  }

  /** @param operator who holds the session by which it began; undefined once that is over. */
  function overBecause(one: Impersonation, operator: Principal | undefined): string | undefined {
    if (clock.now() >= one.endsAt) return "time";
    if (operator === undefined) return "signed out";
    if (!operator.groups.has(ADMINS)) return "no administrator any more";
    const route = routeOf(one.route);
    // A WebSocket that was opened to change something would go on doing so.
    return whyNot(one, route) ?? (route?.impersonation === one.mode ? undefined : "other rules for it");
  }

  async function look(id: string): Promise<Impersonation | undefined> {
    const seen = await records.get(id);
    return seen && seals.open(seen);
  }

  /** As it goes on, or undefined; what is found to be over is ended, which nobody waits for. */
  function judge(one: Impersonation, operator: Principal | undefined): Acting | undefined {
    const route = routeOf(one.route);
    const because = overBecause(one, operator);
    if (because === undefined && route !== undefined)
      return { one, route, principal: principalOf(one, route, operator) };
    void end(one, because ?? "").catch(() => {});
    return undefined;
  }

  async function end(one: Impersonation, because: string): Promise<boolean> {
    if ((await records.take(one.id)) === undefined) return false;
    await counting;
    const endedAt = Math.min(clock.now(), one.endsAt);
    // It is over whatever else can be written.
    const view = await changeView(one.id, (known) => ({ ...known, endedAt })).catch(() => undefined);
    audit(IMPERSONATION_ENDED, {
      ...{ subject: one.email, actor: one.admin, route: one.route, reason: because },
      seconds: `${Math.round((endedAt - one.startedAt) / 1000)}`,
      ...{ requests: view && `${view.requests}`, refused: view && `${view.refused}` },
    });
    return true;
  }

  /** @returns as it is then; undefined if there is none. */
  async function changeView(id: string, change: (view: View) => View): Promise<View | undefined> {
    for (;;) {
      const seen = await views.get(id);
      if (seen === undefined) return undefined;
      const changed = change(seen.record);
      if (await views.replace(seen, changed, "light")) return changed;
    }
  }

  async function countAll(): Promise<void> {
    for (const [id, some] of answered) {
      answered.delete(id);
      const refused = some.filter(({ isRefused }) => isRefused).length;
      const add = (view: View): View => ({
        ...view,
        requests: view.requests + some.length,
        refused: view.refused + refused,
      });
      // A store that is away keeps nobody from telling.
      const view = await changeView(id, add).catch(() => undefined);
      const before = (view?.requests ?? some.length) - some.length;
      for (const one of some.slice(0, Math.max(0, MOST_TOLD - before))) tell(one, view?.route);
    }
    counting = undefined;
  }

  function tell({ who, method, path, status, client }: Noted, route: string | undefined): void {
    audit(IMPERSONATED_REQUEST, {
      ...{ subject: nameOf(who), actor: who.actor },
      ...{ route, method, path, status: `${status}`, client },
    });
  }

  async function running(admin?: Address): Promise<Impersonation[]> {
    const found = await records.find({ ...(admin ? { where: { admin } } : {}), most: MOST_RUNNING });
    return found.flatMap((seen) => seals.open(seen) ?? []).sort(lastFirst);
  }

  /** @throws {Refusal} */
  function understood(admin: Admin, asked: Asked): Omit<Impersonation, "mode"> {
    const { route = "", reason = "", minutes } = asked;
    const words = reason.trim();
    if (words.length < REASON.least || words.length > REASON.most || /[\p{Cc}\u2028\u2029]/u.test(words)) {
      throw badRequest(`Say why in ${REASON.least} to ${REASON.most} characters, on one line.`);
    }
    const email = addressIn(asked.email ?? "");
    if (email === undefined) throw badRequest("That is no address.");
    const longest = minutes === undefined || minutes === "" ? settings.impersonationTtl : lengthOf(minutes);
    const startedAt = clock.now();
    return {
      id: Buffer.from(settings.random.bytes(ID_BYTES)).toString("base64url"),
      ...{ email, admin: admin.email, login: admin.login },
      ...{ route, reason: words, startedAt, endsAt: startedAt + longest },
    };
  }

  return {
    isUsed,
    isOpen,

    async start(admin, asked) {
      const wanted = understood(admin, asked);
      const route = routeOf(wanted.route);
      const facts = {
        ...{ subject: wanted.email, actor: admin.email, route: wanted.route.slice(0, 64) },
        client: admin.client,
      };
      const own = (await sessions.list(admin.email)).find(({ id }) => id === admin.login);
      const why =
        own === undefined
          ? "not signed in"
          : (whyNot(wanted, route) ??
            ((await isVouchedAdmin(wanted.email)) ? "an administrator" : undefined));
      if (why !== undefined || own === undefined || route === undefined) {
        audit(IMPERSONATION_REFUSED, { ...facts, reason: why, host: undefined });
        const { action: _, ...refused } = NOT_ALLOWED;
        throw new Refusal({ ...refused, message: `You may not view that as ${wanted.email}: ${why}.` });
      }
      const [before] = await running(admin.email);
      const one = {
        ...wanted,
        mode: route.impersonation,
        // Later than what it takes the place of, also where no time has passed since.
        startedAt: Math.max(wanted.startedAt, (before?.startedAt ?? 0) + 1),
        endsAt: Math.min(wanted.endsAt, own.expiresAt),
      };
      await auditFirst(IMPERSONATION_STARTED, { ...facts, reason: one.reason, session: one.login });
      const { email, reason, startedAt, endsAt } = one;
      const view = { email, admin: one.admin, route: one.route, reason, startedAt, endedAt: endsAt };
      await views.add(one.id, { ...view, requests: 0, refused: 0 }, endsAt + VIEWS_KEPT_MS);
      await records.add(one.id, seals.seal(one), endsAt + DAY);
      // One alone, also where two are begun at once: the same one of them stays, whoever looks.
      const [last, ...others] = await running(admin.email);
      for (const other of others) await end(other, "another was begun");
      if (last?.id === one.id)
        await settings.tell(one, route).catch((error: unknown) => {
          log.warn("could not write to somebody that they are viewed as", { reason: messageOf(error) });
        });
      return one;
    },

    running: () => running(),

    async of(admin, login) {
      if (!isUsed) return undefined;
      const now = clock.now();
      return (await running(admin)).find((one) => one.login === login && now < one.endsAt);
    },

    async shown(from, binding) {
      const [id, ...others] = cookie.read(from);
      if (id === undefined) return undefined;
      const one = others.length === 0 ? await look(id) : undefined;
      if (one === undefined) return "ended";
      const found = await sessions.find(settings.sessionCookie.read(from), from, binding);
      if (found?.record.id === one.login) return judge(one, found.principal) ?? "ended";
      // The cookie alone is worth nothing, and ends nothing unless that session is over.
      judge(one, await sessions.alive(one.login, false));
      return "ended";
    },

    async alive(id, used) {
      const one = await look(id);
      return one && judge(one, await sessions.alive(one.login, used))?.principal;
    },

    onEnded: (listener) => records.onTaken(listener),
    end,

    note(request) {
      answered.getOrInsertComputed(request.who.proof.id, () => []).push(request);
      counting ??= countAll();
    },

    counted: () => counting ?? Promise.resolve(),

    async viewsOf(email) {
      const all = await views.find({ where: { email }, most: MOST_RUNNING });
      const recent = all.map(({ record }) => record).sort((a, b) => b.startedAt - a.startedAt);
      return recent.slice(0, MOST_VIEWS);
    },

    async sweep() {
      try {
        for (const one of await running()) {
          judge(one, await sessions.alive(one.login, false));
          // A provider may have said so since it began.
          if (await isVouchedAdmin(one.email)) await end(one, "an administrator");
        }
      } catch (error) {
        log.warn("could not look who acts as somebody else", { reason: messageOf(error) });
      }
    },
  };
}

function lastFirst(a: Impersonation, b: Impersonation): number {
  return b.startedAt - a.startedAt || (a.id < b.id ? -1 : 1);
}

/** Milliseconds. @throws {Refusal} */
function lengthOf(minutes: string): number {
  const number = Number(minutes);
  if (/^[0-9]{1,3}$/.test(minutes) && number >= 1 && number <= LONGEST_MINUTES) return number * MINUTE;
  throw badRequest(`It lasts from 1 to ${LONGEST_MINUTES} minutes.`);
}
