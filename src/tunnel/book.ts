import type { Clock, Random } from "../clock.ts";
import { CONNECTOR_PREFIX, newId, newSecret, parseKey, writeKey } from "../keys/format.ts";
import { fits, hashOf } from "../keys/hash.ts";
import { TUNNEL_NAME } from "../net/endpoint.ts";
import type { KeyPair, Keys } from "../secret/keys.ts";
import { FOREVER, type RecordStore, type Seen, StoreUnavailable } from "../store/records.ts";
import { TUNNELS, type TunnelRecord } from "./record.ts";

/** Tunnels and their tokens: one token a tunnel, good for that alone. */
export type TunnelBook = {
  /** By name. */
  list(): Promise<Tunnel[]>;
  get(name: string): Promise<Tunnel | undefined>;
  /** @returns the token, this once; undefined where there is such a tunnel. */
  create(name: string, by: string): Promise<string | undefined>;
  /** @param overlap milliseconds for which the token before goes on. @returns the new one; undefined for no such tunnel. */
  rotate(name: string, overlap: number): Promise<string | undefined>;
  /** False where there is none. */
  revoke(name: string): Promise<boolean>;
  /** What a token is worth for a tunnel. @returns whether it is still, to be asked again and again; or why it is worth nothing. */
  verify(
    name: string,
    token: string,
  ): Promise<{ holds(): Promise<boolean> } | "malformed" | "unknown" | "wrong_token">;
  /** A connector of it is there, or was until now. May be lost. */
  see(name: string): Promise<void>;
  renewSeals(): Promise<number>;
  onRevoked(listener: (name: string) => void): void;
};

export type Tunnel = Pick<TunnelRecord, "token" | "createdAt" | "createdBy" | "seenAt"> & {
  readonly name: string;
};

type Unsealed = Omit<TunnelRecord, "seal" | "seenAt">;

const CHANGE_TRIES = 10;

export function createTunnelBook(house: {
  readonly store: RecordStore;
  readonly keys: Keys;
  readonly clock: Clock;
  readonly random: Random;
}): TunnelBook {
  const { clock, random } = house;
  const records = house.store.records(TUNNELS);
  const seals = createSeals(house.keys.for("tunnel record", "session"));
  const draw = () => ({ id: newId(random), secret: newSecret(random) });

  function open(seen: Seen<TunnelRecord> | undefined): Seen<TunnelRecord> | undefined {
    return seen !== undefined && seals.of(seen.id, seen.record).includes(seen.record.seal) ? seen : undefined;
  }

  const sealed = (name: string, record: Unsealed, seenAt: number | null): TunnelRecord => ({
    ...record,
    seal: seals.of(name, record)[0] ?? "",
    seenAt,
  });

  async function change(name: string, make: (record: TunnelRecord) => Unsealed): Promise<boolean> {
    for (let tries = 0; tries < CHANGE_TRIES; tries++) {
      const one = open(await records.get(name));
      if (one === undefined) return false;
      if (await records.replace(one, sealed(name, make(one.record), one.record.seenAt))) return true;
    }
    throw new StoreUnavailable("a tunnel changes all the time");
  }

  return {
    async list() {
      const all = await records.find({ most: Number.MAX_SAFE_INTEGER });
      return all.flatMap((seen) => (open(seen) === undefined ? [] : [shown(seen)]));
    },
    async get(name) {
      const seen = open(await records.get(name));
      return seen && shown(seen);
    },
    async create(name, by) {
      const parts = draw();
      const record = {
        ...{ token: parts.id, hash: hashOf(parts), previousHash: null, previousUntil: 0 },
        ...{ createdAt: clock.now(), createdBy: by },
      };
      const added = await records.add(name, sealed(name, record, null), FOREVER);
      return added ? writeKey(parts, CONNECTOR_PREFIX) : undefined;
    },
    async rotate(name, overlap) {
      const { secret } = draw();
      let id = "";
      const done = await change(name, (record) => {
        id = record.token;
        const { hash: previousHash } = record;
        return {
          ...record,
          hash: hashOf({ id, secret }),
          previousHash,
          previousUntil: clock.now() + overlap,
        };
      });
      return done ? writeKey({ id, secret }, CONNECTOR_PREFIX) : undefined;
    },
    revoke: async (name) => (await records.take(name)) !== undefined,
    async verify(name, token) {
      const parts = parseKey(token, CONNECTOR_PREFIX);
      if (parts === undefined) return "malformed";
      const hash = hashOf(parts);
      const isGood = (seen: Seen<TunnelRecord> | undefined) =>
        fits(hash, seen?.record, clock.now()) && seen?.record.token === parts.id;
      if (!TUNNEL_NAME.test(name)) return "unknown";
      const seen = open(await records.get(name));
      if (!isGood(seen)) return seen === undefined ? "unknown" : "wrong_token";
      return { holds: async () => isGood(open(await records.get(name))) };
    },
    async see(name) {
      const seen = await records.get(name);
      if (seen !== undefined) await records.replace(seen, { ...seen.record, seenAt: clock.now() }, "light");
    },
    async renewSeals() {
      let renewed = 0;
      for (const { id, record } of await records.find({ most: Number.MAX_SAFE_INTEGER })) {
        if (record.seal !== seals.of(id, record)[0] && (await change(id, (one) => one))) renewed++;
      }
      return renewed;
    },
    onRevoked: (listener) => records.onTaken(listener),
  };
}

function shown({ id, record }: Seen<TunnelRecord>): Tunnel {
  const { token, createdAt, createdBy, seenAt } = record;
  return { name: id, token, createdAt, createdBy, seenAt };
}

/** As with API keys: whoever can write to the store cannot put a token of theirs in place of one of ours. */
function createSeals({ current, previous }: KeyPair) {
  const macs = [current, previous].flatMap((key) =>
    key === undefined ? [] : new Bun.CryptoHasher("sha256", key),
  );
  return {
    of(name: string, { token, hash, previousHash, previousUntil, createdAt, createdBy }: Unsealed): string[] {
      const text = JSON.stringify([name, token, hash, previousHash, previousUntil, createdAt, createdBy]);
      return macs.map((mac) => mac.copy().update(text).digest("base64url"));
    },
  };
}
