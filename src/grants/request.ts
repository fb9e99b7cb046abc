import type { Address } from "../identity/address.ts";
import { DAY } from "../option/values.ts";
import type { Keys } from "../secret/keys.ts";
import type { Kind, RecordStore, Seen } from "../store/records.ts";
import { createSeals } from "./seal.ts";

/** Somebody who may not use an application and has asked to. One of a person and an application, the last one. */
export type AccessRequest = {
  readonly email: string;
  /** The name of the application. */
  readonly route: string;
  readonly reason: string;
  /** The address of the client that it came from. */
  readonly ip: string;
  /** Milliseconds since the Unix epoch. */
  readonly askedAt: number;
  readonly state: RequestState;
  /** Who decided; empty before. */
  readonly decidedBy: string;
  /** Addresses of those who decide that had a mail about it. */
  readonly told: readonly string[];
};

export type RequestState = "open" | "granted" | "refused";

/** With the name of this time that it was asked, by which it is decided on. */
export type Asked = AccessRequest & { readonly id: string };

type RequestRecord = AccessRequest & {
  /** Whoever can write to the store must not be able to have somebody else let in than who was looked at. */
  readonly seal: string;
};

export const REQUESTS: Kind<RequestRecord> = {
  name: "access_request",
  by: ["state", "email"],
  order: "askedAt",
  capacity: 10_000,
};

/** After that nobody will decide any more, nor look at what was decided. */
const KEPT_MS = 30 * DAY;

/** The records, those that somebody else has written left out. All throw {StoreUnavailable}. */
export function createRequestBook(store: RecordStore, keys: Keys) {
  const records = store.records(REQUESTS);
  const key = keys.for("access request", "session");
  const seals = createSeals<AccessRequest>(key, (one) => [
    ...[one.email, one.route, one.reason, one.ip, one.askedAt, one.state, one.decidedBy, one.told],
  ]);
  const sealed = (id: string, one: AccessRequest): RequestRecord => ({ ...one, seal: seals.seal(id, one) });

  function genuine(seen: Seen<RequestRecord> | undefined): Seen<AccessRequest> | undefined {
    if (seen === undefined) return undefined;
    const { seal, ...record } = seen.record;
    return seals.isWhole(seen.id, record, seal) ? { ...seen, record } : undefined;
  }

  return {
    get: async (id: string) => genuine(await records.get(id)),

    /** Of all callers who ask at once, for the same, one gets true; what was decided before gives way. */
    async ask(one: AccessRequest): Promise<boolean> {
      const id = requestId(one);
      const before = await records.get(id);
      if (before !== undefined && genuine(before)?.record.state === "open") return false;
      if (before !== undefined && (await records.take(id)) === undefined) return false;
      return records.add(id, sealed(id, one), one.askedAt + KEPT_MS);
    },

    /** False if it was changed since it was seen. */
    change: async (seen: Seen<AccessRequest>, to: Partial<AccessRequest>): Promise<boolean> => {
      const { id, version, expiresAt, record } = seen;
      const before = { id, version, expiresAt, record: sealed(id, record) };
      return records.replace(before, sealed(id, { ...record, ...to }));
    },

    /** Oldest first. */
    async open(most = Number.MAX_SAFE_INTEGER): Promise<Seen<AccessRequest>[]> {
      const all = await records.find({ where: { state: "open" }, most });
      return all.flatMap((seen) => genuine(seen) ?? []);
    },

    /** Seals under the present key what is under the one before. @returns how many. */
    async renewSeals(): Promise<number> {
      let renewed = 0;
      if (key.previous === undefined) return renewed;
      for (const seen of await records.find({ most: Number.MAX_SAFE_INTEGER })) {
        const { seal, ...record } = seen.record;
        const isDue = seals.isWhole(seen.id, record, seal) && !seals.isCurrent(seen.id, record, seal);
        if (isDue && (await records.replace(seen, sealed(seen.id, record)))) renewed++;
      }
      return renewed;
    },

    /** All of somebody's. */
    forget: async (email: Address) => void (await records.takeAll("email", email)),
  };
}

export type RequestBook = ReturnType<typeof createRequestBook>;

/** The same for whoever asks again. */
export function requestId({ email, route }: Pick<AccessRequest, "email" | "route">): string {
  return new Bun.CryptoHasher("sha256").update(`${route} ${email}`).digest("base64url").slice(0, 22);
}
