import { isMethod, type Method, NO_GROUPS } from "../identity/principal.ts";
import { FOREVER, type Kind, type Seen } from "../store/records.ts";

/** One signed-in browser. `id` is a keyed hash of the cookie, so a stolen store opens no session. */
export type SessionRecord = {
  readonly id: string;
  /** Canonical address (`identity/address.ts`). */
  readonly email: string;
  readonly createdAt: number;
  /** When they last showed who they are: earlier where a provider knew them from before; 0 where it does not say since when. */
  readonly provenAt: number;
  /** The absolute end, whatever the use. */
  readonly expiresAt: number;
  /** Last use; written at most once a minute. */
  readonly seenAt: number;
  /**
   * The longest time between two uses, in milliseconds, where that is long enough for some application to ask for a new
   * sign-in; else 0.
   */
  readonly rested: number;
  /** How it was begun. */
  readonly method: Method;
  /**
   * Names with commas between them: what an OpenID provider vouched for, and after a semicolon what hooks have added. Those that
   * configuration lists are not kept.
   */
  readonly groups: string;
  /** Whether it is for as long as the browser is open: its cookies are not kept on a disk. */
  readonly brief: boolean;
  /** Where it was made from, in short, for sessions that count nowhere else (`binding.ts`); else empty. */
  readonly bound: string;
  /** Where it was made from, for the list an operator reads. */
  readonly ip: string;
  readonly userAgent: string;
  /** Shows that the record is ours (`seal.ts`). Empty in records of an older version. */
  readonly seal: string;
};

/** As the store keeps it, which knows id and end by itself. */
export type KeptSession = Omit<
  SessionRecord,
  "id" | "expiresAt" | "provenAt" | "rested" | "method" | "groups" | "brief" | "bound"
> & {
  /** All absent in records of an older version. */
  readonly provenAt?: number;
  readonly rested?: number;
  readonly method?: SessionRecord["method"];
  readonly groups?: string;
  readonly brief?: boolean;
  readonly bound?: string;
};

export const SESSIONS: Kind<KeptSession> = { name: "session", by: ["email"], cached: true };

/** Undefined for what has another form: somebody else has written it. */
export function readSession({ id, expiresAt, record }: Seen<KeptSession>): SessionRecord | undefined {
  const {
    email,
    createdAt,
    provenAt = createdAt,
    seenAt,
    rested = 0,
    method = "link",
    groups = "",
    brief = false,
    bound = "",
    ip,
    userAgent,
    seal,
  } = record;
  if (!isTime(createdAt) || !isTime(seenAt) || !isTime(expiresAt) || !isTime(rested) || !isTime(provenAt))
    return undefined;
  if (typeof email !== "string" || typeof seal !== "string") return undefined;
  if (!isMethod(method) || typeof groups !== "string") return undefined;
  if (typeof ip !== "string" || typeof userAgent !== "string") return undefined;
  if (typeof brief !== "boolean" || typeof bound !== "string") return undefined;
  const facts = {
    createdAt,
    provenAt,
    expiresAt,
    seenAt,
    rested,
    method,
    groups,
    brief,
    bound,
    ip,
    userAgent,
  };
  return { id, email, ...facts, seal };
}

/** All that {@link SessionRecord.groups} has: what somebody may use goes by them. */
export function groupsIn({ groups }: Pick<SessionRecord, "groups">): ReadonlySet<string> {
  return groups === "" ? NO_GROUPS : new Set(groups.split(/[,;]/).filter((name) => name !== ""));
}

/** Those by which somebody may be signed in at all. A hook is asked about who may sign in anyway, and lets in nobody else. */
export function vouchedGroupsIn({ groups }: Pick<SessionRecord, "groups">): ReadonlySet<string> {
  return groupsIn({ groups: groups.replace(/;.*/, "") });
}

/** As they are kept. @param added by hooks */
export function groupsKept(vouched: ReadonlySet<string>, added: ReadonlySet<string>): string {
  const inOrder = (names: ReadonlySet<string>) => [...names].sort().join(",");
  return inOrder(vouched) + (added.size === 0 ? "" : `;${inOrder(added)}`);
}

export function keptOf({ id: _, expiresAt: __, ...kept }: SessionRecord): KeptSession {
  return kept;
}

/** Enough of the store's id to name a session, not enough to be it. */
export function shortId(id: string): string {
  return id.slice(0, 12);
}

/** One that a `Date` can say. */
function isTime(value: number): boolean {
  return Number.isInteger(value) && Math.abs(value) <= FOREVER;
}
