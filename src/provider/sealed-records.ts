import { sameSecret } from "../secret/compare.ts";
import type { Keys } from "../secret/keys.ts";
import type { Awaitable, Kind, Query, RecordStore, Records, Seen, Write } from "../store/records.ts";

/**
 * Records that show that they are ours: whoever can write to the store must not be able to make a token for themselves, or to
 * give it somebody else's name. What remains: they can put one back as it was.
 */
export type SealedRecords<T> = {
  /** As `Records.add`; a record that is not ours does not count. */
  add(id: string, record: T, expiresAt: number, write?: Write): Promise<boolean>;
  /** Undefined too for what somebody else has written. */
  get(id: string): Promise<Seen<Sealed<T>> | undefined>;
  /** False if it was replaced or taken since it was seen. */
  replace(seen: Seen<Sealed<T>>, record: T, write?: Write): Awaitable<boolean>;
  /** Of all callers, one gets true. */
  take(id: string): Promise<boolean>;
  takeAll(field: keyof T & string, value: string): Promise<readonly Seen<Sealed<T>>[]>;
  find(query: Query<Sealed<T>>): Promise<readonly Seen<Sealed<T>>[]>;
  /** Seals under the present key what is under the one before. @returns how many. */
  renew(): Promise<number>;
};

export type Sealed<T> = T & { readonly seal: string };

export function createSealedRecords<T extends object>(
  store: RecordStore,
  keys: Keys,
  kind: Kind<Sealed<T>>,
): SealedRecords<T> {
  const records: Records<Sealed<T>> = store.records<Sealed<T>>(kind);
  const { current, previous } = keys.for(`record ${kind.name}`, "session");

  /** Of what is there, whatever order a back-end gives its fields in. */
  function sealOf(id: string, record: T, key: Uint8Array): string {
    const fields = Object.entries(record)
      .filter(([name, value]) => name !== "seal" && value !== undefined)
      .sort(([a], [b]) => (a < b ? -1 : 1));
    const text = JSON.stringify([kind.name, id, fields]);
    return new Bun.CryptoHasher("sha256", key).update(text).digest("base64url");
  }

  const sealed = (id: string, record: T): Sealed<T> => ({ ...record, seal: sealOf(id, record, current) });
  const isUnder = (key: Uint8Array | undefined, { id, record }: Seen<Sealed<T>>) =>
    key !== undefined && sameSecret(sealOf(id, record, key), String(record.seal));
  const isOurs = (seen: Seen<Sealed<T>>) => isUnder(current, seen) || isUnder(previous, seen);

  return {
    async add(id, record, expiresAt, write) {
      const add = () => records.add(id, sealed(id, record), expiresAt, write);
      if (await add()) return true;
      const seen = await records.get(id);
      if (seen === undefined || isOurs(seen)) return false;
      // What somebody else has written, or Runegate under a key that is gone, is in nobody's way.
      await records.take(id);
      return add();
    },
    async get(id) {
      const seen = await records.get(id);
      return seen !== undefined && isOurs(seen) ? seen : undefined;
    },
    replace: (seen, record, write) => records.replace(seen, sealed(seen.id, record), write),
    take: async (id) => (await records.take(id)) !== undefined,
    takeAll: async (field, value) => (await records.takeAll(field, value)).filter(isOurs),
    find: async (query) => (await records.find(query)).filter(isOurs),
    async renew() {
      let renewed = 0;
      // All: whoever is left out would be somebody else to every client once the key before is gone.
      for (const seen of await records.find({ most: Number.MAX_SAFE_INTEGER })) {
        if (isUnder(current, seen) || !isUnder(previous, seen)) continue;
        if (await records.replace(seen, sealed(seen.id, seen.record))) renewed++;
      }
      return renewed;
    },
  };
}
