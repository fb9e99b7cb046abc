import type { KeyPair } from "../secret/keys.ts";
import { FOREVER, type Kind, type Seen } from "../store/records.ts";

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

/** For so long after its end, for that to be audited by whoever takes it first. */
const KEPT_AFTER_MS = 30 * 24 * 60 * 60_000;

export const GRANTS: Kind<GrantRecord> = {
  name: "grant",
  by: ["entry"],
  order: "createdAt",
  capacity: 10_000,
};

export function storedUntil({ until }: Pick<Grant, "until">): number {
  return until === null ? FOREVER : until + KEPT_AFTER_MS;
}

export function entryOf({ effect, who }: Pick<Grant, "effect" | "who">): string {
  return `${effect} ${who}`;
}

/** Seals over all that a grant says (HMAC-SHA256 under a key of its own). */
export function createGrantSeals({ current, previous }: KeyPair) {
  const macs = [current, previous].flatMap((key) =>
    key === undefined ? [] : [new Bun.CryptoHasher("sha256", key)],
  );
  const sealsOf = (grant: Grant) => macs.map((mac) => mac.copy().update(textOf(grant)).digest("base64url"));
  return {
    seal(grant: Grant): GrantRecord {
      const { id: _, ...record } = grant;
      return { ...record, entry: entryOf(grant), seal: sealsOf(grant)[0] ?? "" };
    },
    /** Undefined for one that somebody else has written, or changed. */
    open({ id, record: { seal, entry, ...record } }: Seen<GrantRecord>): Grant | undefined {
      const grant = { id, ...record };
      return entry === entryOf(grant) && sealsOf(grant).includes(seal) ? grant : undefined;
    },
  };
}

/** In an order of its own: stores may give fields back in another. */
function textOf(grant: Grant): string {
  const { id, who, effect, routes, groups, from, until, grantedBy, reason, createdAt, warned } = grant;
  return JSON.stringify([
    ...[id, who, effect, routes, groups, from, until, grantedBy, reason, createdAt, warned],
  ]);
}
