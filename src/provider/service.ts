import { isAllowed } from "../access/decision.ts";
import { includes } from "../access/people.ts";
import type { House } from "../house.ts";
import type { Address } from "../identity/address.ts";
import { groupsTold, type Principal } from "../identity/principal.ts";
import { methodOf } from "../identity-token/token.ts";
import { DAY } from "../option/values.ts";
import { sameSecret } from "../secret/compare.ts";
import { FOREVER } from "../store/records.ts";
import { OAuthError } from "./answers.ts";
import { CLIENT_SIGN_IN, CLIENT_TOKEN_REUSED } from "./audit.ts";
import type { Client } from "./client.ts";
import { CODE_KEPT_MS, CODE_MS, createProviderRecords, type Family, useOf } from "./records.ts";
import { type Relayed, UNSEEN_MS } from "./relay.ts";
import { type AuthorizeRequest, SCOPES } from "./request.ts";
import { createProviderKeys } from "./signing-keys.ts";
import { type Claims, createProviderTokens, halfHash, seconds } from "./tokens.ts";

/** Codes and tokens, who may have them, and what they say. No HTTP in here. */

export type ProviderService = ReturnType<typeof createProviderService>;

/** Somebody at a client, by a session that is good. */
export type Standing = {
  readonly client: Client;
  readonly principal: Principal & { readonly subject: { readonly email: Address } };
  readonly scope: string;
};

export type TokenAnswer = {
  readonly access_token: string;
  readonly token_type: "Bearer";
  readonly expires_in: number;
  readonly id_token: string;
  readonly refresh_token: string;
  readonly scope: string;
};

export type AccessToken = Standing & {
  readonly family: string;
  readonly claims: Claims;
};

const SECRET_BYTES = 32;
const RELAYED_SCOPE = "openid email profile groups";
const CONSENT_MS = 365 * DAY;
const invalidGrant = () =>
  new OAuthError("invalid_grant", "It is none of this client's, or not good any more.");

export function createProviderService(
  house: Pick<
    House,
    "options" | "clients" | "routes" | "keys" | "stores" | "sessions" | "audit" | "clock" | "random"
  >,
) {
  const { options, clients, routes, sessions, audit, clock, random } = house;
  const issuer = options.baseUrl;
  const records = createProviderRecords(house.stores, house.keys);
  const keys = createProviderKeys({ ...house, store: house.stores });
  const tokens = createProviderTokens({ keys, issuer, clock });
  const codeKeys = house.keys.for("provider code", "session");
  const refreshKeys = house.keys.for("provider refresh token", "session");
  const byId = new Map(clients.map((client) => [client.id, client]));

  const draw = () => Buffer.from(random.bytes(SECRET_BYTES)).toString("base64url");
  const mac = (key: Uint8Array, text: string) =>
    new Bun.CryptoHasher("sha256", key).update(text).digest("base64url");
  const sidOf = (session: string) =>
    new Bun.CryptoHasher("sha256").update(`runegate provider sid ${session}`).digest("base64url");

  /** By which clients know somebody: drawn once, and kept. @throws {StoreUnavailable} */
  async function subOf(email: string): Promise<string> {
    const found = await records.people.get(email);
    if (found !== undefined) return found.record.sub;
    const sub = draw();
    if (await records.people.add(email, { sub }, FOREVER)) return sub;
    const other = await records.people.get(email);
    if (other === undefined) throw new Error("the record of a person was not written by Runegate");
    return other.record.sub;
  }

  function mayUse(client: Client, who: Principal): boolean {
    const { allow, id } = client;
    if (allow !== undefined)
      return includes(who.unlisted === true ? { ...allow, anyone: false } : allow, who);
    const route = routes.all.find(({ name }) => name === id);
    return route !== undefined && isAllowed(route, who);
  }

  /** Somebody's standing now, by their session. @throws {StoreUnavailable} */
  async function standingOf(client: Client, session: string, scope: string): Promise<Standing | undefined> {
    const principal = await sessions.alive(session, false);
    if (principal === undefined || !("email" in principal.subject) || !mayUse(client, principal))
      return undefined;
    return { client, scope, principal: { ...principal, subject: principal.subject } };
  }

  /** What a scope opens, whichever way it is asked for. */
  async function claimsOf({ principal, scope }: Standing): Promise<Claims> {
    const { email } = principal.subject;
    const has = new Set(scope.split(" "));
    const name = email.slice(0, email.lastIndexOf("@"));
    return {
      sub: await subOf(email),
      ...(has.has("email") ? { email, email_verified: true } : {}),
      ...(has.has("profile") ? { name } : {}),
      // Applications take it for the name of an account: it must be nobody else's.
      ...(has.has("profile") && has.has("email") ? { preferred_username: email } : {}),
      ...(has.has("groups") ? { groups: groupsTold(principal.groups) } : {}),
    };
  }

  const proofOf = ({ principal }: Standing): Claims => ({
    auth_time: seconds(principal.provenAt),
    amr: [methodOf(principal)],
    sid: sidOf(principal.proof.id),
  });

  const timesOf = ({ tokenTtl }: Client) => {
    const now = clock.now();
    return { iat: seconds(now), exp: seconds(now + tokenTtl) };
  };

  /** RFC 9068 §2.2. */
  function accessTokenFor(standing: Standing, family: string, about: Claims): Promise<string> {
    const { client, scope } = standing;
    const { algorithm, id, audience = id } = client;
    return tokens.sign("at+jwt", algorithm, {
      ...{ aud: audience, client_id: id, scope, jti: `${family}.${draw().slice(0, 22)}`, ...timesOf(client) },
      ...about,
      ...proofOf(standing),
    });
  }

  async function issue(
    standing: Standing,
    family: string,
    turn: number,
    nonce: string,
  ): Promise<TokenAnswer> {
    const { client, scope } = standing;
    const { tokenTtl, algorithm, id } = client;
    const about = await claimsOf(standing);
    const access = await accessTokenFor(standing, family, about);
    const idToken = await tokens.sign("JWT", algorithm, {
      ...{ aud: id, azp: id, ...timesOf(client), ...about, ...proofOf(standing), at_hash: halfHash(access) },
      ...(nonce === "" ? {} : { nonce }),
    });
    return {
      access_token: access,
      token_type: "Bearer",
      expires_in: seconds(tokenTtl),
      id_token: idToken,
      refresh_token: refreshOf(family, turn),
      scope,
    };
  }

  /** Nothing of it is kept: it is known by its MAC, and which one is good by its turn. */
  const refreshOf = (family: string, turn: number, key = refreshKeys.current) =>
    `${family}.${turn}.${mac(key, `${family}.${turn}`)}`;

  function readRefresh(token: string): { family: string; turn: number } | undefined {
    const [, family = "", turn = ""] = /^([\w-]{43})\.(\d{1,9})\.[\w-]{43}$/.exec(token) ?? [];
    if (family === "") return undefined;
    const { current, previous } = refreshKeys;
    const isOurs = (key: Uint8Array | undefined) =>
      key !== undefined && sameSecret(token, refreshOf(family, Number(turn), key));
    return isOurs(current) || isOurs(previous) ? { family, turn: Number(turn) } : undefined;
  }

  function reused(client: Client, email: string, what: "code" | "refresh_token"): OAuthError {
    audit(CLIENT_TOKEN_REUSED, { subject: email, by: client.id, reason: what });
    return invalidGrant();
  }

  /** What an access token is worth now. @throws {StoreUnavailable} */
  async function access(token: string): Promise<AccessToken | undefined> {
    const claims = await tokens.verify("at+jwt", token);
    const [family = ""] = String(claims?.jti ?? "").split(".");
    const client = byId.get(String(claims?.client_id));
    const seen = await records.families.get(family);
    if (claims === undefined || client === undefined || seen === undefined) return undefined;
    if (seen.record.client !== client.id) return undefined;
    const standing = await standingOf(client, seen.record.session, String(claims.scope));
    return standing && { ...standing, family, claims };
  }

  /** Its tokens are good from here on. @throws {StoreUnavailable} */
  async function begin(standing: Standing, family: string): Promise<void> {
    const { client, principal, scope } = standing;
    const { email } = principal.subject;
    const session = principal.proof.id;
    const { id } = client;
    const use = useOf({ client: id, email });
    const now = clock.now();
    const expiresAt = now + options.sessionTtl;
    const about = { client: id, email, session, use };
    const one: Family = { ...about, scope, turn: 0, refreshUntil: now + client.refreshTtl };
    if (!(await records.families.add(family, one, expiresAt))) throw invalidGrant();
    await noteUse(about, expiresAt);
  }

  /** Who used which client, and whom to tell when the session ends. */
  async function noteUse(
    about: { client: string; email: string; session: string; use: string },
    expiresAt: number,
  ): Promise<void> {
    const id = `${about.session} ${about.client}`;
    const seen = await records.uses.get(id);
    const use = { ...about, at: clock.now() };
    // Kept longer than the session, so that its end is noticed also where nobody told of it.
    if (seen === undefined) await records.uses.add(id, use, expiresAt + DAY);
    else await records.uses.replace(seen, use, "light");
  }

  return {
    issuer,
    records,
    keys,
    tokens,
    sidOf,
    subOf,
    mayUse,
    standingOf,
    claimsOf,
    begin,
    issue,
    draw,
    clientOf: (id: string): Client | undefined => byId.get(id),

    /** @throws {StoreUnavailable} */
    async code(request: AuthorizeRequest, { principal }: Standing): Promise<string> {
      const code = draw();
      const { client, redirectUri, scope, nonce, challenge } = request;
      const { email } = principal.subject;
      const now = clock.now();
      await records.codes.add(
        mac(codeKeys.current, code),
        {
          ...{ client: client.id, email, session: principal.proof.id, family: draw() },
          ...{ redirectUri, scope, nonce, challenge, state: "new", goodUntil: now + CODE_MS },
        },
        now + CODE_KEPT_MS,
      );
      audit(CLIENT_SIGN_IN, { subject: email, by: client.id, session: principal.proof.id });
      return code;
    },

    /** RFC 6749 §4.1.3, RFC 7636 §4.6. @throws {OAuthError} @throws {StoreUnavailable} */
    async redeem(
      client: Client,
      sent: { readonly code: string; readonly redirectUri: string; readonly verifier: string },
    ): Promise<TokenAnswer> {
      const { current, previous } = codeKeys;
      const ids = [mac(current, sent.code), ...(previous ? [mac(previous, sent.code)] : [])];
      const found = (await Promise.all(ids.map((id) => records.codes.get(id)))).find((one) => one);
      if (found === undefined || found.record.client !== client.id) throw invalidGrant();
      const { email, session, family, scope, nonce } = found.record;
      const isUsed = await useCode(found.id, found.record.state);
      if (isUsed) {
        await records.families.take(family);
        throw reused(client, email, "code");
      }
      const { record } = found;
      if (clock.now() >= record.goodUntil) throw invalidGrant();
      // It may have been taken off the list meanwhile.
      if (record.redirectUri !== sent.redirectUri || !client.redirectUris.includes(sent.redirectUri))
        throw invalidGrant();
      if (!fits(record.challenge, sent.verifier)) throw invalidGrant();
      const standing = await standingOf(client, session, scope);
      if (standing === undefined || standing.principal.subject.email !== email) throw invalidGrant();
      await begin(standing, family);
      // Whoever came with the same code meanwhile has ended what had not begun.
      if ((await records.codes.get(found.id))?.record.state !== "used") {
        await records.families.take(family);
        throw invalidGrant();
      }
      return issue(standing, family, 0, nonce);
    },

    /** RFC 6749 §6, RFC 9700 §4.14.2. @throws {OAuthError} @throws {StoreUnavailable} */
    async refresh(client: Client, token: string, scope: string | undefined): Promise<TokenAnswer> {
      const shown = readRefresh(token);
      const seen = shown && (await records.families.get(shown.family));
      if (shown === undefined || seen === undefined || seen.record.client !== client.id) throw invalidGrant();
      const { record, id } = seen;
      const now = clock.now();
      if (shown.turn === record.turn && now >= record.refreshUntil) throw invalidGrant();
      const narrowed = narrow(record.scope, scope);
      const next = { ...record, turn: record.turn + 1, refreshUntil: now + client.refreshTtl };
      // Of all that come with the same, one goes on, and the others show that somebody has it who should not.
      if (shown.turn !== record.turn || !(await records.families.replace(seen, next))) {
        await records.families.take(id);
        throw reused(client, record.email, "refresh_token");
      }
      const standing = await standingOf(client, record.session, narrowed);
      if (standing === undefined || standing.principal.subject.email !== record.email) {
        await records.families.take(id);
        throw invalidGrant();
      }
      return issue(standing, id, next.turn, "");
    },

    access,

    /** The same of a refresh token, with when it runs out. @throws {StoreUnavailable} */
    async refreshable(token: string): Promise<(Standing & { family: string; until: number }) | undefined> {
      const shown = readRefresh(token);
      const seen = shown && (await records.families.get(shown.family));
      if (shown === undefined || seen === undefined || seen.record.turn !== shown.turn) return undefined;
      const { client: id, session, scope, refreshUntil } = seen.record;
      const client = byId.get(id);
      if (client === undefined || clock.now() >= refreshUntil) return undefined;
      const standing = await standingOf(client, session, scope);
      return standing && { ...standing, family: shown.family, until: refreshUntil };
    },

    /** The family of a token of either kind, good or not. @throws {StoreUnavailable} */
    async familyOf(token: string): Promise<{ id: string; client: string } | undefined> {
      const claims = await tokens.open("at+jwt", token);
      const id = readRefresh(token)?.family ?? String(claims?.jti ?? "").split(".")[0] ?? "";
      const seen = await records.families.get(id);
      return seen && { id, client: seen.record.client };
    },

    /**
     * An access token that an application gets from us, with what somebody asks of it.
     * @param before the one that it got last. @throws {StoreUnavailable}
     */
    async relayed(id: string, session: string, before?: Relayed): Promise<Relayed> {
      const client = byId.get(id);
      const standing = client && (await standingOf(client, session, RELAYED_SCOPE));
      const now = clock.now();
      if (client === undefined || standing === undefined)
        return { token: undefined, family: undefined, madeAt: now, seenAt: now, until: now + UNSEEN_MS };
      // Whoever gets it may take a while to use it.
      const usedFor = client.tokenTtl * (3 / 4);
      const isYoung = before !== undefined && now >= before.madeAt && now - before.madeAt < usedFor / 2;
      if (isYoung && before.token !== undefined && (await access(before.token)) !== undefined)
        return { ...before, seenAt: now };
      // The same for as long as it is good. One that has ended never begins again: its tokens would be alive again with it.
      const isGood =
        before?.family !== undefined && (await records.families.get(before.family)) !== undefined;
      const family = isGood ? before.family : draw();
      if (!isGood) await begin(standing, family);
      const token = await accessTokenFor(standing, family, await claimsOf(standing));
      return { token, family, madeAt: now, seenAt: now, until: now + usedFor };
    },

    /** Whether somebody has agreed to all of it. @throws {StoreUnavailable} */
    async agreed({ client, scope }: AuthorizeRequest, email: string): Promise<boolean> {
      const seen = await records.consents.get(useOf({ client: client.id, email }));
      const given = new Set(seen?.record.scope.split(" "));
      return scope.split(" ").every((one) => given.has(one));
    },

    /** @throws {StoreUnavailable} */
    async agree({ client, scope }: AuthorizeRequest, email: string): Promise<void> {
      const id = useOf({ client: client.id, email });
      const now = clock.now();
      if (await records.consents.add(id, { client: client.id, email, scope }, now + CONSENT_MS)) return;
      const seen = await records.consents.get(id);
      if (seen === undefined) return;
      const all = [...new Set([...seen.record.scope.split(" "), ...scope.split(" ")])].join(" ");
      await records.consents.replace(seen, { ...seen.record, scope: all });
    },
  };

  /** Of all that come with a code, one uses it. @returns whether somebody has. */
  async function useCode(id: string, state: string): Promise<boolean> {
    for (let tries = 0; tries < MOST_TRIES; tries++) {
      const seen = await records.codes.get(id);
      if (seen === undefined || seen.record.state === "reused") return true;
      const isNew = seen.record.state === "new" && state === "new";
      if (await records.codes.replace(seen, { ...seen.record, state: isNew ? "used" : "reused" }))
        return !isNew;
    }
    return true;
  }
}

/** Each change of a code is one of two. */
const MOST_TRIES = 4;

/** RFC 7636 §4.6. One that was not asked for is no way around one that was. */
function fits(challenge: string, verifier: string): boolean {
  if (challenge === "") return verifier === "";
  if (!/^[A-Za-z0-9._~-]{43,128}$/.test(verifier)) return false;
  return sameSecret(new Bun.CryptoHasher("sha256").update(verifier).digest("base64url"), challenge);
}

/** RFC 6749 §6: no more than was given. @throws {OAuthError} */
function narrow(given: string, asked: string | undefined): string {
  if (asked === undefined) return given;
  // What nobody knows here was ignored when it was asked for, and is now: libraries send all that they were set up with.
  const wanted = new Set(asked.split(" ").filter((one) => SCOPES.some((known) => known === one)));
  const all = new Set(given.split(" "));
  if ([...wanted].some((one) => !all.has(one)))
    throw new OAuthError("invalid_scope", "That is more than was given.");
  if (wanted.size === 0) throw new OAuthError("invalid_scope", "There is nothing in it that is known here.");
  return [...all].filter((one) => wanted.has(one)).join(" ");
}
