import { sameSecret } from "../secret/compare.ts";
import type { KeyPair, Keys } from "../secret/keys.ts";
import type { Kind, RecordStore, Seen } from "../store/records.ts";

/** A screen that asks to be signed in. Kept under a keyed hash of its code, which the store does not have. */
export type Approval = {
  /** SHA-256 of the secret in the screen's cookie, base64url. */
  readonly browser: string;
  /** Already through `safeDestination`; checked again when it is used. */
  readonly next: string;
  /** Where the screen is, and what: for the person who approves. */
  readonly ip: string;
  readonly userAgent: string;
  /** Milliseconds since the Unix epoch. */
  readonly askedAt: number;
  readonly expiresAt: number;
  /** The one that the screen shows, and those that the person picks it from, separated by blanks. */
  readonly number: string;
  readonly numbers: string;
  /** `shown`: somebody has opened its page, so the screen shows the number. */
  readonly state: "waiting" | "shown" | Decision;
  /** Who decided, and the id of the session that they did it in. Empty before. */
  readonly email: string;
  readonly session: string;
  /** Whether the screen is to be kept signed in. */
  readonly keep: boolean;
  /** Shows that the record is ours. */
  readonly seal: string;
};

export type Decision = "approved" | "denied" | "wrong_number";

/** So many screens at once, whoever asks: whoever asks for more gets no page that signs in. */
export const APPROVALS: Kind<Approval> = { name: "approval", capacity: 10_000 };
export const APPROVAL_MS = 5 * 60_000;
/** For so long, the screen is told what came of it. */
export const KEPT_MS = 2 * APPROVAL_MS;

type Unsealed = Omit<Approval, "seal">;

/**
 * The records, sealed by a MAC (HMAC-SHA256) over code and content: whoever can write to the store must not be able to approve
 * anything in somebody's name. What remains: they can put one back as it was, for as long as it is good.
 */
export function createApprovals(store: RecordStore, keys: Keys) {
  const records = store.records(APPROVALS);
  const idKeys = keys.for("approval code", "session");
  const sealKeys = keys.for("approval record", "session");

  const mac = (key: Uint8Array, text: string) =>
    new Bun.CryptoHasher("sha256", key).update(text).digest("base64url");
  const idOf = (code: string) => mac(idKeys.current, code);
  /** Another machine may have made it under the other key. */
  const idsOf = (code: string) => under(idKeys).map((key) => mac(key, code));
  const under = ({ current, previous }: KeyPair) =>
    previous === undefined ? [current] : [current, previous];

  function seal(id: string, one: Unsealed, key = sealKeys.current): Approval {
    const fields = [one.browser, one.next, one.ip, one.userAgent, one.askedAt, one.expiresAt, one.number];
    const decided = [one.numbers, one.state, one.email, one.session, one.keep];
    return { ...one, seal: mac(key, JSON.stringify([id, ...fields, ...decided])) };
  }

  return {
    /** False if there is one of this code already. @throws {StoreFull} */
    add: async (code: string, one: Unsealed): Promise<boolean> =>
      records.add(idOf(code), seal(idOf(code), one), one.askedAt + KEPT_MS, "light"),

    /** Undefined too for what somebody else has written. */
    async get(code: string): Promise<Seen<Approval> | undefined> {
      for (const id of idsOf(code)) {
        const seen = await records.get(id);
        if (seen === undefined) continue;
        const isUnder = (key: Uint8Array) =>
          sameSecret(seal(id, seen.record, key).seal, String(seen.record.seal));
        return under(sealKeys).some(isUnder) ? seen : undefined;
      }
      return undefined;
    },

    /** False if it was changed or taken since it was seen. */
    change: async (seen: Seen<Approval>, to: Partial<Unsealed>): Promise<boolean> =>
      records.replace(seen, seal(seen.id, { ...seen.record, ...to }), "light"),

    /** Of all callers, one gets true. */
    async take(code: string): Promise<boolean> {
      for (const id of idsOf(code)) if ((await records.take(id, "light")) !== undefined) return true;
      return false;
    },
  };
}
