import type { KeyPair } from "../secret/keys.ts";
import type { KeyRecord, Unsealed } from "./record.ts";

/**
 * Whoever can write to the store could give a key of their own to somebody else, or take its limits off. So each record is sealed
 * with what decides, and one with a broken seal opens nothing.
 */
export type KeySeals = {
  seal(id: string, record: Unsealed): Pick<KeyRecord, "seal">;
  /** Whether the record is as we wrote it, under the present key or the one before. */
  isWhole(id: string, record: KeyRecord): boolean;
  /** Whether it is under the present key. */
  isCurrent(id: string, record: KeyRecord): boolean;
};

export function createKeySeals(key: KeyPair): KeySeals {
  const keys = [key.current, key.previous].flatMap((one) => one ?? []);
  const macs = keys.map((one) => new Bun.CryptoHasher("sha256", one));
  const sealsOf = (id: string, record: Unsealed) => {
    const text = textOf(id, record);
    return macs.map((mac) => mac.copy().update(text).digest("base64url"));
  };
  return {
    seal: (id, record) => ({ seal: sealsOf(id, record)[0] ?? "" }),
    isCurrent: (id, record) => sealsOf(id, record)[0] === record.seal,
    isWhole: (id, record) => sealsOf(id, record).includes(record.seal),
  };
}

/** In an order of its own: stores may give fields back in another. */
function textOf(id: string, record: Unsealed): string {
  const { hash, previousHash, previousUntil, owner, description, createdAt, createdBy } = record;
  const { expiresAt, disabledAt, disabledBy, routes, methods, paths, networks, rate, warned } = record;
  return JSON.stringify([
    ...[id, hash, previousHash, previousUntil, owner, description, createdAt, createdBy],
    ...[expiresAt, disabledAt, disabledBy, routes, methods, paths, networks, rate, warned],
  ]);
}
