import type { Policy } from "../access/policy.ts";
import type { Options } from "../config/types.ts";
import { type Address, AddressError, parseAddress } from "../identity/address.ts";
import type { Audit } from "../observe/audit.ts";
import type { SessionRecord } from "../session/record.ts";
import type { Sessions } from "../session/session.ts";

/** What an operator may do from the command line, in the running instance or on its store. */
export type Operator = {
  /** Oldest first. */
  sessions(): Promise<ListedSession[]>;
  /** By address. */
  users(): Promise<ListedUser[]>;
  /** @returns how many sessions were ended. @throws {OperatorError} */
  revoke(request: RevokeRequest): Promise<number>;
};

/** `id` is the start of the store's id: enough to name it, not enough to be it. */
export type ListedSession = {
  readonly id: string;
  readonly email: string;
  readonly created_at: string;
  readonly seen_at: string;
  readonly expires_at: string;
  readonly ip: string;
  readonly user_agent: string;
};

/** An address that is allowed by name or is signed in. */
export type ListedUser = {
  readonly email: string;
  /** False for one that signed in and has been taken off the list since. */
  readonly allowed: boolean;
  readonly sessions: number;
  /** Null for one that is not signed in. */
  readonly seen_at: string | null;
};

export type RevokeRequest =
  | { readonly all: true }
  | { readonly email: string }
  /** As listed; must name exactly one session. */
  | { readonly id: string };

/** What was asked for cannot be done; the message says why. */
export class OperatorError extends Error {
  readonly code = "bad_request";
}

export type OperatorSettings = {
  readonly sessions: Sessions;
  readonly policy: Policy;
  readonly options: Pick<Options, "allowedEmails">;
  readonly audit: Audit;
};

export const SHORT_ID = 12;

export function createOperator({ sessions, policy, options, audit }: OperatorSettings): Operator {
  async function end(records: readonly SessionRecord[]): Promise<number> {
    let ended = 0;
    for (const { id, email } of records) {
      if (!(await sessions.end(id))) continue;
      ended++;
      audit({ event: "session_revoked", email, session: id, by: "operator" });
    }
    return ended;
  }

  return {
    sessions: async () => (await sessions.list()).map(listed),

    async users() {
      const users = new Map<string, { sessions: number; seenAt: number | undefined }>();
      for (const email of options.allowedEmails) users.set(email, { sessions: 0, seenAt: undefined });
      for (const { email, seenAt } of await sessions.list()) {
        const before = users.get(email);
        users.set(email, {
          sessions: (before?.sessions ?? 0) + 1,
          seenAt: Math.max(seenAt, before?.seenAt ?? seenAt),
        });
      }
      return [...users]
        .sort(([a], [b]) => (a < b ? -1 : 1))
        .map(([email, user]) => ({
          email,
          allowed: policy.allows(email as Address),
          sessions: user.sessions,
          seen_at: user.seenAt === undefined ? null : iso(user.seenAt),
        }));
    },

    async revoke(request) {
      if ("email" in request) {
        const email = asAddress(request.email);
        const ended = await sessions.endAll(email);
        for (const session of ended) audit({ event: "session_revoked", email, session, by: "operator" });
        return ended.length;
      }
      if ("all" in request && request.all === true) return end(await sessions.list());
      if (!("id" in request) || request.id === "") throw new OperatorError("Say which session.");
      const named = (await sessions.list()).filter(({ id }) => id.startsWith(request.id));
      if (named.length > 1) {
        throw new OperatorError("That beginning names several sessions: give more of it.");
      }
      return end(named);
    },
  };
}

/** @throws {OperatorError} */
export function asAddress(text: string): Address {
  try {
    return parseAddress(text);
  } catch (error) {
    throw error instanceof AddressError ? new OperatorError(error.message) : error;
  }
}

function listed(record: SessionRecord): ListedSession {
  return {
    id: record.id.slice(0, SHORT_ID),
    email: record.email,
    created_at: iso(record.createdAt),
    seen_at: iso(record.seenAt),
    expires_at: iso(record.expiresAt),
    ip: record.ip,
    user_agent: record.userAgent,
  };
}

function iso(milliseconds: number): string {
  return new Date(milliseconds).toISOString();
}
