import { isAllowed } from "../access/decision.ts";
import type { Policy } from "../access/policy.ts";
import type { Route } from "../access/route.ts";
import type { Clock } from "../clock.ts";
import type { Principal, Subject } from "../identity/principal.ts";
import { DAY } from "../option/values.ts";
import { said } from "../pages/language.ts";
import { FOREVER } from "../store/records.ts";
import type { KeyOptions } from "./options.ts";
import type { ServiceAccounts } from "./owner.ts";
import type { ApiKey, Unsealed } from "./record.ts";
import { ADMINS_ONLY, bad, type KeyRefusal, refusal } from "./refusal.ts";
import { type Caller, type KeyChange, readDescription } from "./wanted.ts";

/** What keys there may be: for whom, for which applications, and until when. */

export type KeyRules = ReturnType<typeof createKeyRules>;

type Settings = Pick<KeyOptions, "apiKeyMaxTtl" | "apiKeyIdle"> & {
  readonly policy: Policy;
  readonly routes: readonly Route[];
  readonly accounts: ServiceAccounts;
  readonly clock: Pick<Clock, "now">;
};

const DEFAULT_LIFE = 90 * DAY;

export function createKeyRules(settings: Settings) {
  const { policy, routes, accounts, clock, apiKeyMaxTtl: longest, apiKeyIdle: idle } = settings;

  function isKnown(subject: Subject): boolean {
    return "service" in subject ? accounts.has(subject.service) : policy.allows(subject.email);
  }

  /** Names of the applications that take keys and are open to somebody. */
  function routesOf(subject: Subject): string[] {
    const proven = { proof: { kind: "key", id: "" }, provenAt: clock.now() } as const;
    const who: Principal = { subject, ...policy.standingOf(subject), ...proven };
    return routes.filter((route) => isAllowed(route, who)).map(({ name }) => name);
  }

  /** The routes that a new key opens; all that there are, unless some are wanted. */
  function readRoutes(
    wanted: readonly string[] | undefined,
    subject: Subject,
    by: Caller,
  ): string[] | KeyRefusal {
    if (wanted?.includes("*")) return by.isAdmin ? ["*"] : bad(said("keyRefused.allRoutes"));
    const open = routesOf(subject);
    const closed = wanted?.find((name) => !open.includes(name));
    if (closed !== undefined) return bad(said("keyRefused.route", { route: closed }));
    if (open.length === 0) return bad(said("keyRefused.noRoutes"));
    const chosen = [...new Set(wanted ?? open)];
    return chosen.length > 0 ? chosen : bad(said("keyRefused.noneChosen"));
  }

  /** When a key ends, that is asked to. */
  function readEnd(wanted: number | "never", by: Caller): number | KeyRefusal {
    const now = clock.now();
    if (wanted === "never") {
      if (longest > 0) return bad(said("keyRefused.hasEnd"));
      return by.isAdmin ? FOREVER : bad(said("keyRefused.noEnd"));
    }
    if (!Number.isFinite(wanted) || wanted <= now || wanted >= FOREVER) return bad(said("keyRefused.past"));
    if (longest > 0 && wanted - now > longest) return bad(said("keyRefused.tooLong"));
    return wanted;
  }

  /** When a new key ends. @param life milliseconds; some time, if nobody says. */
  function readLife(life: number | "never" | undefined, by: Caller): number | KeyRefusal {
    if (life === "never") return readEnd(life, by);
    const usual = longest > 0 ? Math.min(DEFAULT_LIFE, longest) : DEFAULT_LIFE;
    return readEnd(clock.now() + (life ?? usual), by);
  }

  /** @returns what a record is to be. An owner may only shorten a life, and enables only what they disabled. */
  function changed(record: Unsealed, change: KeyChange, by: Caller): Unsealed | KeyRefusal {
    let next = record;
    if (change.description !== undefined) {
      const description = readDescription(change.description);
      if (description === undefined) return bad(said("keyRefused.description"));
      next = { ...next, description };
    }
    if (change.disabled === true && record.disabledAt === null)
      next = { ...next, disabledAt: clock.now(), disabledBy: by.name };
    if (change.disabled === false && record.disabledAt !== null) {
      if (!by.isAdmin && record.disabledBy !== by.name) return ADMINS_ONLY;
      next = { ...next, disabledAt: null, disabledBy: null };
    }
    if (change.expiresAt === undefined) return next;
    const expiresAt = readEnd(change.expiresAt, by);
    if (typeof expiresAt !== "number") return expiresAt;
    if (!by.isAdmin && expiresAt > record.expiresAt)
      return refusal("not_allowed", said("keyRefused.laterEnd"));
    return { ...next, expiresAt, warned: false };
  }

  /** Whether a key has ended by itself. */
  function isOver({ expiresAt, usedAt, createdAt }: ApiKey, now: number): boolean {
    return now >= expiresAt || (idle > 0 && now - (usedAt ?? createdAt) >= idle);
  }

  return { isKnown, routesOf, readRoutes, readLife, changed, isOver };
}
