import type { Kind, RecordStore } from "../store/records.ts";

/** Which sessions began by which provider, for when that says that they end. */

/** Its id is that of the session, and it is forgotten when the session would end at the latest. */
type OidcSession = {
  readonly email: string;
  /** {@link keyOf} the provider's `sub`. */
  readonly subject: string;
  /** {@link keyOf} the provider's `sid`, where it has said one. */
  readonly sid?: string;
};

export const OIDC_SESSIONS: Kind<OidcSession> = { name: "oidc_session", by: ["subject", "sid"] };

export type Logins = {
  /** @throws {StoreUnavailable} */
  add(session: Session & { readonly expiresAt: number }, from: From): Promise<void>;
  /**
   * Those that a logout token is about: of a `sid`, the sessions that began in that session of the provider, and those of its
   * `sub` of which nobody can tell in which they began; without it, all of the subject's. Some may have ended since.
   * @throws {StoreUnavailable}
   */
  find(ended: Ended): Promise<Session[]>;
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

    async find({ provider, sub, sid }) {
      const all = async (where: Partial<OidcSession>) =>
        records.find({ where, most: Number.MAX_SAFE_INTEGER });
      const theirs = sub === undefined ? [] : await all({ subject: keyOf(provider, sub) });
      const found =
        sid === undefined
          ? theirs
          : [
              ...(await all({ sid: keyOf(provider, sid) })),
              ...theirs.filter(({ record }) => record.sid === undefined),
            ];
      return found.map(({ id, record }) => ({ id, email: record.email }));
    },
  };
}

/** Of one length, whatever a provider says, and no two providers share one. */
function keyOf(provider: string, name: string): string {
  return new Bun.CryptoHasher("sha256").update(`${provider} ${name}`).digest("base64url");
}
