import { promisify } from "node:util";
import type { Clock, Random } from "../clock.ts";
import { type PublicJwk, publish, type SigningKey } from "../identity-token/keys.ts";
import { DAY, SECOND } from "../option/values.ts";
import type { Keys } from "../secret/keys.ts";
import { nodeCrypto } from "../secret/node-crypto.ts";
import { NONCE_BYTES, seal, unseal } from "../secret/sealed.ts";
import type { Kind, RecordStore } from "../store/records.ts";
import { LONGEST_TOKEN } from "./client.ts";

/** What tokens are signed with. The keys are made here, kept sealed in the store, and shared by all who share it. */
export type ProviderKeys = {
  /** The key of the moment. @throws {StoreUnavailable} */
  signing(alg: Algorithm): Promise<SigningKey>;
  /** All that tokens which are about may be signed with, and those to come (RFC 7517 §5). @throws {StoreUnavailable} */
  published(): Promise<readonly PublicJwk[]>;
  /**
   * Those that are published, and those that no longer are: applications show old ID tokens as hints.
   * @throws {StoreUnavailable}
   */
  known(): Promise<readonly PublicJwk[]>;
  /**
   * New keys before their time. They are published at once.
   * @param compromised whether others may have those there are: these are gone then, with all that they signed, and the new
   * ones sign at once. Otherwise they sign once everybody knows them; where such are on their way already, none are made.
   * @returns when the new ones sign, in milliseconds since the Unix epoch. @throws {StoreUnavailable}
   */
  rotate(compromised: boolean): Promise<number>;
  /** @returns how many were sealed anew under the present session key. */
  renew(): Promise<number>;
};

export type Algorithm = "RS256" | "ES256";
const ALGORITHMS: readonly Algorithm[] = ["RS256", "ES256"];

type KeptKey = {
  readonly alg: Algorithm;
  /** Milliseconds since the Unix epoch, from when it signs. */
  readonly signsFrom: number;
  /** A JWK, sealed. */
  readonly content: string;
};

export const KEYS: Kind<KeptKey> = { name: "provider_key", order: "signsFrom" };

/** For so long a key signs. */
export const SIGNS_MS = 90 * DAY;
/** A new one is published for so long before it signs: longer than anybody keeps what was published. */
export const AHEAD_MS = 2 * DAY;
/** An old one is published for so long after it has signed last. */
export const AFTER_MS = LONGEST_TOKEN + DAY;
const KEPT_MS = 4 * SIGNS_MS;
/** What the store has is looked at this often: so late do others hear that a key is gone. */
const LOOK_EVERY_MS = 5 * SECOND;
const MOST = 1000;

type Known = { readonly id: string; readonly alg: Algorithm; readonly signsFrom: number } & ReturnType<
  typeof publish
>;

export function createProviderKeys(settings: {
  readonly store: RecordStore;
  readonly keys: Keys;
  readonly clock: Clock;
  readonly random: Random;
}): ProviderKeys {
  const { store, clock, random } = settings;
  const records = store.records(KEYS);
  const sealing = settings.keys.for("provider key", "session");
  let known: readonly Known[] = [];
  /** Of those that cannot be read too: another session key sealed them. */
  let generations = new Map<string, number>();
  let lookedAt = Number.NEGATIVE_INFINITY;
  let looking: Promise<void> | undefined;

  const boundOf = (id: string, alg: string, signsFrom: number) => JSON.stringify([id, alg, signsFrom]);
  const contentOf = (id: string, alg: string, signsFrom: number, jwk: string) =>
    seal(sealing.current, random.bytes(NONCE_BYTES), Buffer.from(jwk), boundOf(id, alg, signsFrom)).toString(
      "base64url",
    );

  function open(id: string, { alg, signsFrom, content }: KeptKey): { jwk: string; old: boolean } | undefined {
    const [bytes, bound] = [Buffer.from(String(content), "base64url"), boundOf(id, alg, signsFrom)];
    const now = unseal(sealing.current, bytes, bound);
    const plain = now ?? (sealing.previous && unseal(sealing.previous, bytes, bound));
    return plain === undefined ? undefined : { jwk: plain.toString(), old: now === undefined };
  }

  async function read(): Promise<void> {
    const found = await records.find({ most: MOST });
    generations = new Map();
    for (const { id, record } of found)
      generations.set(record.alg, Math.max(generations.get(record.alg) ?? 0, Number(id.split(" ")[1])));
    known = found.flatMap(({ id, record }) => {
      const same = known.find((one) => one.id === id && one.signsFrom === record.signsFrom);
      if (same !== undefined) return [same];
      const opened = open(id, record);
      if (opened === undefined) return [];
      const { alg, signsFrom } = record;
      return [{ id, alg, signsFrom, ...publish({ alg, jwk: JSON.parse(opened.jwk) }) }];
    });
  }

  const of = (alg: Algorithm) => known.filter((one) => one.alg === alg);
  const newest = (alg: Algorithm) => of(alg).at(-1);
  /** The last that signs already; before there is one, the first to come. */
  const signing = (alg: Algorithm) =>
    of(alg).findLast(({ signsFrom }) => signsFrom <= clock.now()) ?? of(alg)[0];

  /** Makes the next one in time, and the first one where there is none. Of several processes, the key of one is taken. */
  async function prepare(alg: Algorithm): Promise<boolean> {
    const now = clock.now();
    const last = newest(alg);
    if (last !== undefined && now < last.signsFrom + SIGNS_MS - AHEAD_MS) return false;
    await add(alg, last === undefined ? now : Math.max(last.signsFrom + SIGNS_MS, now + AHEAD_MS));
    return true;
  }

  async function add(alg: Algorithm, signsFrom: number): Promise<void> {
    const generation = (generations.get(alg) ?? 0) + 1;
    const id = `${alg} ${generation}`;
    const content = contentOf(id, alg, signsFrom, JSON.stringify(await make(alg)));
    await records.add(id, { alg, signsFrom, content }, signsFrom + KEPT_MS);
  }

  async function look(): Promise<void> {
    await read();
    const made = await Promise.all(ALGORITHMS.map(prepare));
    if (made.includes(true)) await read();
    lookedAt = clock.monotonic();
  }

  function fresh(): Promise<void> | undefined {
    if (known.length > 0 && clock.monotonic() - lookedAt < LOOK_EVERY_MS) return undefined;
    looking ??= look().finally(() => {
      looking = undefined;
    });
    return looking;
  }

  return {
    async signing(alg) {
      await fresh();
      const key = signing(alg);
      if (key === undefined) throw new Error("there is no key to sign with");
      return key.signing;
    },

    async published() {
      await fresh();
      const now = clock.now();
      return ALGORITHMS.flatMap((alg) => {
        const all = of(alg);
        // One that another has taken over from goes once what it signed has run out.
        return all.filter((_, at) => now < (all[at + 1]?.signsFrom ?? now) + AFTER_MS);
      }).map(({ jwk }) => jwk);
    },

    async known() {
      await fresh();
      return known.map(({ jwk }) => jwk);
    },

    async rotate(compromised) {
      await read();
      const now = clock.now();
      const all = await records.find({ most: MOST });
      const times = await Promise.all(
        ALGORITHMS.map(async (alg) => {
          const last = newest(alg);
          if (!compromised && last !== undefined && last.signsFrom > now) return last.signsFrom;
          const signsFrom = compromised || last === undefined ? now : now + AHEAD_MS;
          await add(alg, signsFrom);
          return signsFrom;
        }),
      );
      // Only now: there is one to sign with at any time.
      if (compromised) await Promise.all(all.map(({ id }) => records.take(id)));
      await read();
      return Math.max(...times);
    },

    async renew() {
      let renewed = 0;
      for (const seen of await records.find({ most: MOST })) {
        const { alg, signsFrom } = seen.record;
        const opened = open(seen.id, seen.record);
        if (opened?.old !== true) continue;
        const content = contentOf(seen.id, alg, signsFrom, opened.jwk);
        if (await records.replace(seen, { ...seen.record, content })) renewed++;
      }
      return renewed;
    },
  };
}

const RSA_BITS = 2048;

/** Not at once: an RSA key takes a while to find, and nobody else should wait for it. */
async function make(alg: Algorithm): Promise<object> {
  const { generateKeyPair } = nodeCrypto();
  const { privateKey } =
    alg === "RS256"
      ? await promisify(generateKeyPair)("rsa", { modulusLength: RSA_BITS })
      : await promisify(generateKeyPair)("ec", { namedCurve: "P-256" });
  return privateKey.export({ format: "jwk" });
}
