import type { Clock } from "../clock.ts";
import type { Logger } from "./logger.ts";

/**
 * What an operator must be able to reconstruct afterwards: who asked, who got in, who was refused and exactly why.
 * `email` is the canonical address, `client` the client's IP address, `session` the store's id of the session, of which
 * the log gets the beginning (it is a hash of the cookie, so it opens nothing).
 */
export type AuditEvent =
  | {
      readonly event: "login_requested";
      readonly email: string;
      readonly client: string;
      readonly outcome:
        | "queued"
        | "not_allowed"
        | "rate_limited"
        | "cooldown"
        | "queue_full"
        | "store_unavailable";
    }
  /** What was typed is no address; it is not logged, since it may be anything. */
  | { readonly event: "login_refused"; readonly client: string; readonly reason: string }
  | { readonly event: "link_printed"; readonly email: string; readonly by: string }
  | { readonly event: "mail_given_up"; readonly email: string; readonly reason: string }
  | {
      readonly event: "redeemed";
      readonly email: string;
      readonly client: string;
      readonly by: "link" | "code";
      readonly session: string;
    }
  | {
      readonly event: "redemption_refused";
      readonly client: string;
      readonly reason: string;
      readonly email?: string | undefined;
    }
  | {
      readonly event: "access_refused";
      readonly client: string;
      readonly reason: string;
      /** Without the query. */
      readonly path: string;
    }
  | { readonly event: "logged_out"; readonly email: string; readonly session: string }
  | {
      readonly event: "session_revoked";
      readonly email: string;
      readonly session: string;
      /** Who or what ended it. */
      readonly by: string;
    };

export type Audit = (event: AuditEvent) => void;

/** One line an event, with the message `audit`: a warning if somebody did not get what they asked for. */
export function createAudit(log: Logger): Audit {
  return (event) => {
    const fields = "session" in event ? { ...event, session: event.session.slice(0, 8) } : event;
    if (isRefusal(event)) log.warn("audit", fields);
    else log.info("audit", fields);
  };
}

export type FoldingAudit = {
  readonly audit: Audit;
  /** Writes what has been counted and not been told of yet. */
  flush(): void;
};

/** For so long, repetitions of a refusal are counted before they are told of. */
const FOLD_MS = 60_000;
/** Refusals whose repetitions are counted for each client; those of all further clients are counted together. */
const MOST_FOLDED = 100;

/**
 * The same, but for refusals that anybody may cause as often as they can send requests, which would fill any disk: of one kind
 * and client, the first is a line at once, and those of the minute after it are one more, with their number in `repeated`. That
 * one names what they have in common; without a client, it counts those of all who are not told of by themselves.
 */
export function createFoldingAudit(log: Logger, clock: Clock): FoldingAudit {
  type Folded = { readonly common: object; readonly until: number; repeated: number };
  const audit = createAudit(log);
  /** Oldest first. */
  const folded = new Map<string, Folded>();
  let timer: ReturnType<typeof setTimeout> | undefined;

  function tellUntil(now: number): void {
    for (const [key, { common, until, repeated }] of folded) {
      if (until > now) break;
      folded.delete(key);
      if (repeated > 0) log.warn("audit", { ...common, repeated });
    }
    clearTimeout(timer);
    if (folded.size === 0) return;
    timer = setTimeout(() => tellUntil(clock.monotonic()), FOLD_MS);
    timer.unref();
  }

  return {
    audit(event) {
      const now = clock.monotonic();
      const [oldest] = folded.values();
      if (oldest !== undefined && oldest.until <= now) tellUntil(now);
      const refusal = floodableOf(event);
      if (refusal === undefined) return audit(event);
      const { kind, whose } = refusal;
      const ofAll = JSON.stringify(kind);
      const own = ofAll + JSON.stringify(whose);
      const isRoom = folded.size < MOST_FOLDED;
      const known = folded.get(own) ?? (isRoom ? undefined : folded.get(ofAll));
      if (known !== undefined) {
        known.repeated++;
        return;
      }
      const common = isRoom ? { ...kind, ...whose } : kind;
      folded.set(isRoom ? own : ofAll, { common, until: now + FOLD_MS, repeated: 0 });
      if (folded.size === 1) tellUntil(now);
      audit(event);
    },
    flush: () => tellUntil(Number.POSITIVE_INFINITY),
  };
}

/** A refusal that nothing limits the number of: what it is, and whose. Undefined for every other event. */
function floodableOf(event: AuditEvent): { readonly kind: object; readonly whose: object } | undefined {
  switch (event.event) {
    case "login_requested": {
      const { client, outcome } = event;
      if (outcome !== "rate_limited" && outcome !== "cooldown") return undefined;
      return { kind: { event: event.event, outcome }, whose: { client } };
    }
    case "redemption_refused": {
      const { email, client, reason } = event;
      if (email === undefined) return { kind: { event: event.event, reason }, whose: { client } };
      // With an address, somebody had a link that was signed for it. Looking at a spent one is no attempt, and has no limit.
      return reason === "spent"
        ? { kind: { event: event.event, reason, email }, whose: { client } }
        : undefined;
    }
    case "login_refused":
      return { kind: { event: event.event, reason: event.reason }, whose: { client: event.client } };
    case "access_refused": {
      const { client, path } = event;
      return { kind: { event: event.event, reason: event.reason }, whose: { client, path } };
    }
    default:
      return undefined;
  }
}

function isRefusal(event: AuditEvent): boolean {
  switch (event.event) {
    case "login_requested":
      return event.outcome !== "queued";
    case "login_refused":
    case "mail_given_up":
    case "redemption_refused":
    case "access_refused":
      return true;
    case "link_printed":
    case "redeemed":
    case "logged_out":
    case "session_revoked":
      return false;
  }
}
