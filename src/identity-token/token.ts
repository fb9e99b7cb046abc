import { tellsByToken } from "../access/identity-headers.ts";
import type { Route } from "../access/route.ts";
import type { Clock, Random } from "../clock.ts";
import { groupsTold, nameOf, type Principal, type Proof, sameGroups } from "../identity/principal.ts";
import type { Keys } from "../secret/keys.ts";
import { createRecencyMap } from "../store/memory/recency-map.ts";
import type { IdentityKeys, SigningKey } from "./keys.ts";
import type { IdentityTokenOptions } from "./options.ts";

/** Signed tokens (RFC 7519) by which an application can verify who is asking. */
export type IdentityTokens = {
  /**
   * The token for one application about whoever is asking. Mostly it is at hand; it is signed anew when half its life is over.
   * @returns undefined where the application gets none.
   */
  identityToken(principal: Principal, route: Route): string | undefined;
  /** Lets go of those of a proof that has ended. Those that applications have are good until they run out. */
  forgetIdentity(proof: Proof): void;
};

export type IdentityTokenSettings = Pick<
  IdentityTokenOptions,
  "downstreamJwtTtl" | "downstreamJwtIssuer" | "downstreamJwtAudience"
> & {
  readonly baseUrl: string;
  readonly secrets: Keys;
  readonly keys: IdentityKeys;
  readonly clock: Clock;
  readonly random: Random;
};

type Kept = {
  readonly token: string;
  readonly groups: Principal["groups"];
  /** Wall clock, milliseconds: as the verifier reckons. */
  readonly madeAt: number;
};

/** No kind of ticket has it (`secret/ticket.ts`). */
export const IDENTITY_TYP = "JWT";

const MOST_TOKENS = 10_000;
const JTI_BYTES = 16;

/** How whoever is asking proved it (RFC 8176): how a session was begun, or what the proof is called. */
export function methodOf({ proof, method = "link" }: Principal): string {
  if (proof.kind !== "session") return proof.kind;
  return method === "link" ? "email" : method;
}

export function createIdentityTokens(settings: IdentityTokenSettings): IdentityTokens {
  const { baseUrl, downstreamJwtTtl: ttl, keys, clock, random } = settings;
  const issuer = settings.downstreamJwtIssuer ?? baseUrl;
  /** Of each proof, by route. */
  const kept = createRecencyMap<Map<Route, Kept>>();
  let count = 0;

  function sidOf({ kind, id }: Proof): string {
    // The id itself is the store's name for the session. Under no key, so that it stays the same when the session key changes.
    return new Bun.CryptoHasher("sha256").update(`runegate sid ${kind}:${id}`).digest("base64url");
  }

  function mint(principal: Principal, route: Route, now: number): string {
    const { subject, groups, proof, provenAt, actor } = principal;
    const issuedAt = seconds(now);
    return signed(keys.signing(), {
      iss: issuer,
      aud: route.audience ?? settings.downstreamJwtAudience ?? publicPlace(route, baseUrl),
      sub: nameOf(principal),
      ...("email" in subject ? { email: subject.email, email_verified: true } : {}),
      iat: issuedAt,
      nbf: issuedAt,
      exp: seconds(now + ttl),
      jti: Buffer.from(random.bytes(JTI_BYTES)).toString("base64url"),
      sid: sidOf(proof),
      auth_time: seconds(provenAt),
      amr: [methodOf(principal)],
      ...(groups.size === 0 ? {} : { groups: groupsTold(groups) }),
      // RFC 8693 §4.1.
      ...(actor === undefined ? {} : { act: { sub: actor } }),
      ...(proof.kind === "key" ? { key_id: proof.id } : {}),
    });
  }

  function forget(key: string): void {
    count -= kept.get(key)?.size ?? 0;
    kept.delete(key);
  }

  function renew(key: string, principal: Principal, route: Route): string {
    const now = clock.now();
    const token = mint(principal, route, now);
    let own = kept.get(key);
    if (own === undefined) {
      own = new Map();
      kept.set(key, own);
    }
    if (!own.has(route)) count++;
    own.set(route, { token, groups: principal.groups, madeAt: now });
    while (count > MOST_TOKENS) forget(kept.oldest()?.key ?? "");
    return token;
  }

  return {
    identityToken(principal, route) {
      if (!tellsByToken(route)) return undefined;
      const key = keyOf(principal.proof);
      const known = kept.get(key)?.get(route);
      if (known === undefined || !sameGroups(known.groups, principal.groups)) {
        return renew(key, principal, route);
      }
      const age = clock.now() - known.madeAt;
      if (age >= 0 && age < ttl / 2) return known.token;
      // This request has one that is good for long enough, and does not wait for the next.
      if (age < 0 || age >= (ttl * 3) / 4) return renew(key, principal, route);
      setImmediate(() => {
        if (kept.get(key)?.get(route) === known) renew(key, principal, route);
      });
      return known.token;
    },

    forgetIdentity: (proof) => forget(keyOf(proof)),
  };
}

function keyOf({ kind, id }: Proof): string {
  return `${kind}:${id}`;
}

/** A JWS in compact form (RFC 7515 §7.1). */
function signed({ alg, kid, sign }: SigningKey, claims: object): string {
  const encode = (json: object) => Buffer.from(JSON.stringify(json)).toString("base64url");
  const header = { alg, ...(kid === undefined ? {} : { kid }), typ: IDENTITY_TYP };
  const input = `${encode(header)}.${encode(claims)}`;
  return `${input}.${sign(input)}`;
}

/** Where the route's application is, as browsers see it; of a wildcard, the wildcard. */
export function publicPlace({ host, path }: Pick<Route, "host" | "path">, baseUrl: string): string {
  const { origin, protocol, port } = new URL(baseUrl);
  const site = host === undefined ? origin : `${protocol}//${host}${port === "" ? "" : `:${port}`}`;
  return path === "/" ? site : site + path;
}

function seconds(milliseconds: number): number {
  return Math.floor(milliseconds / 1000);
}
