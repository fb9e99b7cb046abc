import type { KeyPair } from "../secret/keys.ts";
import type { Kind, Seen } from "../store/records.ts";
import { createSeals } from "./seal.ts";

/** What an administrator has given somebody, or a whole domain, besides what configuration says; or a denial, which wins over both. */
export type GrantRecord = {
  /** A canonical address, or `@` and a domain. */
  readonly who: string;
  readonly effect: "allow" | "deny";
  /** Both, to be taken by: {@link entryOf}. */
  readonly entry: string;
  /** Names of applications. */
  readonly routes: readonly string[];
  /** Never `admins`. */
  readonly groups: readonly string[];
  /** All times are milliseconds since the Unix epoch. */
  readonly from: number;
  /** Null for one without an end. */
  readonly until: number | null;
  readonly grantedBy: string;
  readonly reason: string;
  readonly createdAt: number;
  /** Whether its holder was told that it ends soon. */
  readonly warned: boolean;
  /** Whoever can write to the store must not be able to let somebody in. */
  readonly seal: string;
};

export type Grant = Omit<GrantRecord, "seal" | "entry"> & { readonly id: string };

/** Kept until somebody takes them; those that have ended, so that one takes and audits each. */
export const GRANTS: Kind<GrantRecord> = {
  name: "grant",
  by: ["entry"],
  order: "createdAt",
  capacity: 10_000,
};

export function entryOf({ effect, who }: Pick<Grant, "effect" | "who">): string {
  return `${effect} ${who}`;
}

/** A grant as it is kept, and back. */
export function createGrantSeals(keys: KeyPair) {
  const seals = createSeals<Omit<Grant, "id">>(keys, (grant) => {
    const { who, effect, routes, groups, from, until, grantedBy, reason, createdAt, warned } = grant;
    return [who, effect, routes, groups, from, until, grantedBy, reason, createdAt, warned];
  });
  return {
    seal({ id, ...grant }: Grant): GrantRecord {
      return { ...grant, entry: entryOf(grant), seal: seals.seal(id, grant) };
    },
    /** Undefined for one that somebody else has written, or changed. */
    open({ id, record: { seal, entry, ...grant } }: Seen<GrantRecord>): Grant | undefined {
      return entry === entryOf(grant) && seals.isWhole(id, grant, seal) ? { id, ...grant } : undefined;
    },
    /** Whether it is under the present key. */
    isCurrent: ({ id, record: { seal, entry: _, ...grant } }: Seen<GrantRecord>) =>
      seals.isCurrent(id, grant, seal),
  };
}
