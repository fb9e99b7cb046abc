import type { KeyPair } from "../secret/keys.ts";

/** Whoever can write to the store must not be able to let somebody in. */
export type Seals<T> = {
  /** By the present key. */
  seal(id: string, record: T): string;
  isWhole(id: string, record: T, seal: string): boolean;
  isCurrent(id: string, record: T, seal: string): boolean;
};

/**
 * Seals over all that a record says (HMAC-SHA256 under a key of its own).
 * @param valuesOf in an order of its own: stores may give fields back in another.
 */
export function createSeals<T>(
  { current, previous }: KeyPair,
  valuesOf: (record: T) => readonly unknown[],
): Seals<T> {
  const macs = [current, previous].flatMap((key) =>
    key === undefined ? [] : [new Bun.CryptoHasher("sha256", key)],
  );
  const sealsOf = (id: string, record: T) => {
    const text = JSON.stringify([id, ...valuesOf(record)]);
    return macs.map((mac) => mac.copy().update(text).digest("base64url"));
  };
  return {
    seal: (id, record) => sealsOf(id, record)[0] ?? "",
    isWhole: (id, record, seal) => sealsOf(id, record).includes(seal),
    isCurrent: (id, record, seal) => sealsOf(id, record)[0] === seal,
  };
}
