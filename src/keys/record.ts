import { FOREVER, type Kind } from "../store/records.ts";

/** An API key, as the store has it. Times are milliseconds since the epoch. Nothing in it opens anything. */
export type KeyRecord = {
  /** A hash of the secret (`hash.ts`). */
  readonly hash: string;
  /** That of the secret before the last rotation, and until when it is good. */
  readonly previousHash: string | null;
  readonly previousUntil: number;
  /** An address, or `service:` and the name of a service account. */
  readonly owner: string;
  readonly description: string | null;
  readonly createdAt: number;
  readonly createdBy: string;
  /** {@link FOREVER} for one without an end. */
  readonly expiresAt: number;
  readonly disabledAt: number | null;
  readonly disabledBy: string | null;
  /** Names of the applications it opens, as far as its owner may; `*` is all of them. */
  readonly routes: readonly string[];
  /** Null: no limit. */
  readonly methods: readonly string[] | null;
  /** Each a path or, with `/*` at its end, what lies below it. */
  readonly paths: readonly string[] | null;
  /** In CIDR notation. */
  readonly networks: readonly string[] | null;
  /** Requests a minute. */
  readonly rate: number | null;
  /** Whether its owner has been told that it ends soon. */
  readonly warned: boolean;
  /** Shows that all of the above is ours (`seal.ts`). */
  readonly seal: string;
  /** Written at most once a minute; the network it came from, not the address. */
  readonly usedAt: number | null;
  readonly usedFrom: string | null;
};

/** What the seal is of. */
export type Unsealed = Omit<KeyRecord, "seal" | "usedAt" | "usedFrom">;

/** The store keeps them for good: one that is over is still listed for a while (`upkeep.ts`). */
export const KEYS: Kind<KeyRecord> = { name: "api_key", by: ["owner"], order: "expiresAt", cached: true };

/** A key as rooms and programs know it. */
export type ApiKey = Omit<KeyRecord, "hash" | "previousHash" | "seal"> & {
  /** Public. */
  readonly id: string;
};

export function keyOf(id: string, record: KeyRecord): ApiKey {
  const { hash: _, previousHash: __, seal: ___, ...shown } = record;
  return { id, ...shown };
}

/** Undefined for one that never ends. */
export function endOf({ expiresAt }: Pick<KeyRecord, "expiresAt">): number | undefined {
  return expiresAt === FOREVER ? undefined : expiresAt;
}
