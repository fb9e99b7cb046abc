import type { Kind, RecordStore, Seen } from "../store/records.ts";

/** Which sessions began by which provider, for when that says that they end. */

/** Its id is that of the session, and it is forgotten when the session would end at the latest. */
type OidcSession = {
  readonly email: string;
  /** {@link keyOf} the provider's `sub`. */
  readonly subject: string;
  /** {@link keyOf} the provider's `sid`, where it has said one. */
  readonly sid?: string;
};

const OIDC_SESSIONS: Kind<OidcSession> = { name: "oidc_session", by: ["subject", "sid"] };

export type Logins = {
  /** @throws {StoreUnavailable} */
  add(session: Session & { readonly expiresAt: number }, from: From): Promise<void>;
  /**
   * Those that a logout token is about: of a `sid`, the sessions that began in that session of the provider; without it, all of
   * the subject's. Nobody gets them twice.
   * @throws {StoreUnavailable}
   */
  take(ended: Ended): Promise<Session[]>;
};

type Session = { readonly id: string; readonly email: string };

/** As a provider names somebody, and their session there. */
export type From = { readonly provider: string; readonly sub: string; readonly sid: string | undefined };
type Ended = Omit<From, "sub"> & { readonly sub: string | undefined };

export function createLogins(store: RecordStore): Logins {
  const records = store.records(OIDC_SESSIONS);

  return {
    async add({ id, email, expiresAt }, { provider, sub, sid }) {
      const record = {
        email,
        subject: keyOf(provider, sub),
        ...(sid === undefined ? {} : { sid: keyOf(provider, sid) }),
      };
      if (!(await records.add(id, record, expiresAt))) throw new Error("a session began twice");
    },

    async take({ provider, sub, sid }) {
      const subject = sub === undefined ? undefined : keyOf(provider, sub);
      if (sid === undefined) {
        return subject === undefined ? [] : (await records.takeAll("subject", subject)).map(sessionOf);
      }
      const ended = (await records.takeAll("sid", keyOf(provider, sid))).map(sessionOf);
      if (subject === undefined) return ended;
      // Of what began without a `sid` nobody can tell whether it was this one.
      const all = await records.find({ where: { subject }, most: Number.MAX_SAFE_INTEGER });
      for (const { id, record } of all) {
        if (record.sid !== undefined) continue;
        if ((await records.take(id)) !== undefined) ended.push({ id, email: record.email });
      }
      return ended;
    },
  };
}

const sessionOf = ({ id, record }: Seen<OidcSession>): Session => ({ id, email: record.email });

/** Of one length, whatever a provider says, and no two providers share one. */
function keyOf(provider: string, name: string): string {
  return new Bun.CryptoHasher("sha256").update(`${provider} ${name}`).digest("base64url");
}
