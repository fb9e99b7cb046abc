import type { Clock } from "../clock.ts";
import type { Address } from "../identity/address.ts";
import type { KeyPair } from "../secret/keys.ts";
import type { Kind, RecordStore, Seen } from "../store/records.ts";
import { DEVICE_MS } from "./cookie.ts";

/** A browser that an address was signed in with. The store has keyed hashes only, so that it makes no cookie. */
export type DeviceRecord = {
  /** Canonical address. */
  readonly email: string;
  /** Keyed hash of the cookie: all that one browser was used for. */
  readonly device: string;
  /** When it last signed in. */
  readonly seenAt: number;
  /** The browser's name for itself. */
  readonly userAgent: string;
  /** In which language it was answered then; not in records of earlier versions. */
  readonly language?: string;
};

export const DEVICES: Kind<DeviceRecord> = { name: "device", by: ["email", "device"], order: "seenAt" };
/** Of one address; whatever signs in after these takes the place of the one that did so longest ago. */
export const MOST_DEVICES = 20;

export type DeviceBook = {
  /** Notes that a browser has signed in. @returns which it was to the address before, and its id. @throws {StoreUnavailable} */
  note(cookie: string, email: Address, facts: Pick<DeviceRecord, "userAgent" | "language">): Promise<Noted>;
  /** Newest first. @throws {StoreUnavailable} */
  list(email: Address): Promise<Seen<DeviceRecord>[]>;
  /** The one that a browser signed in with last. @throws {StoreUnavailable} */
  lastOf(cookie: string): Promise<DeviceRecord | undefined>;
  /** What the store has of a browser's cookie. */
  markOf(cookie: string): string;
  /** @throws {StoreUnavailable} */
  forget(id: string): Promise<boolean>;
};

/** `first`: the address has no other, as far as is known. `language`: that of the other which signed in last. */
export type Noted = {
  readonly id: string;
  readonly was: "known" | "new" | "first";
  readonly language: string | undefined;
};

export function createDeviceBook(store: RecordStore, keys: KeyPair, clock: Clock): DeviceBook {
  const records = store.records(DEVICES);
  const hash = (key: Uint8Array, text: string) =>
    new Bun.CryptoHasher("sha256", key).update(text).digest("base64url");
  /** Those under the key before are taken over when they are met. */
  const hashes = (text: string) =>
    [keys.current, keys.previous].flatMap((key) => (key === undefined ? [] : [hash(key, text)]));

  const list = async (email: Address) =>
    records.find({ where: { email }, newestFirst: true, most: MOST_DEVICES + 1 });

  return {
    async note(cookie, email, facts) {
      const before = await list(email);
      const ids = hashes(`${cookie} ${email}`);
      const taken = await Promise.all(ids.map(async (id) => records.take(id)));
      const isKnown = taken.some((one) => one !== undefined);
      const now = clock.now();
      const [id = ""] = ids;
      const device = hash(keys.current, cookie);
      await records.add(id, { email, device, seenAt: now, ...facts }, now + DEVICE_MS);
      const others = before.filter((one) => !ids.includes(one.id));
      await Promise.all(others.slice(MOST_DEVICES - 1).map(async (one) => records.take(one.id)));
      const [last] = others;
      return {
        id,
        language: last?.record.language,
        was: isKnown ? "known" : others.length === 0 ? "first" : "new",
      };
    },

    list,
    markOf: (cookie) => hash(keys.current, cookie),

    async lastOf(cookie) {
      const found = await Promise.all(
        hashes(cookie).map(async (device) => records.find({ where: { device }, newestFirst: true, most: 1 })),
      );
      return found.flat()[0]?.record;
    },

    forget: async (id) => (await records.take(id)) !== undefined,
  };
}
