import type { Logger } from "./log.ts";

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
