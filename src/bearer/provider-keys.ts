import { createLocalJWKSet, errors, type JSONWebKeySet, type JWTVerifyGetKey } from "jose";
import type { Clock } from "../clock.ts";
import { boundedText } from "../net/bounded-text.ts";
import type { Logger } from "../observe/logger.ts";
import { messageOf } from "../observe/message-of.ts";
import { HOUR, KIB, MINUTE, SECOND } from "../option/values.ts";
import { onlyPublicKeys } from "../secret/foreign-keys.ts";

/** Calls to somebody else's server. */
export type Fetch = (url: string, init: RequestInit) => Promise<Response>;

export type KeySet = ReturnType<typeof createLocalJWKSet>;

/** The public keys of an OpenID provider, fetched when they are first needed. */
export type ProviderKeys = {
  /** @throws {ProviderUnavailable} if there are none, or only ones that are too old. */
  current(): Promise<KeySet>;
  /** Newer ones, for a token whose key is not among `known`; undefined if there are none, or it is too soon to ask again. */
  newerThan(known: KeySet): Promise<KeySet | undefined>;
};

export class ProviderUnavailable extends Error {}

/** Never `none`, and never one whose key is a shared secret: that could be the public key. */
export const ALGORITHMS = ["RS256", "PS256", "ES256", "EdDSA"];

export type ProviderKeysSettings = {
  readonly issuer: string;
  /** From discovery where undefined. */
  readonly jwksUrl: string | undefined;
  readonly fetch: Fetch;
  readonly clock: Pick<Clock, "monotonic">;
  readonly log: Logger;
  /** @returns the text if keys may come from there, @throws otherwise. */
  readonly checkUrl: (text: string) => string;
};

const FRESH_MS = 10 * MINUTE;
/** Keys are good for longer where the provider does not answer (RFC 5861 §4): it may be down when it is needed most. */
const STALE_MS = HOUR;
/** Whoever makes up key ids makes us ask no more often. */
const ASK_AGAIN_MS = 30 * SECOND;
/** As long as there are no keys at all, everybody waits for them. */
const RETRY_MS = SECOND;
const TIMEOUT_MS = 3 * SECOND;
export const MOST_BYTES = 256 * KIB;

export function createProviderKeys(settings: ProviderKeysSettings): ProviderKeys {
  const { issuer, clock, log } = settings;
  let kept: { readonly keys: KeySet; readonly at: number } | undefined;
  let askedAt = Number.NEGATIVE_INFINITY;
  let asking: Promise<void> | undefined;

  async function read(url: string): Promise<unknown> {
    const response = await settings.fetch(url, {
      headers: { Accept: "application/json" },
      redirect: "error",
      signal: AbortSignal.timeout(TIMEOUT_MS),
    });
    if (response.status !== 200) throw new Error(`${url} answers ${response.status}`);
    return JSON.parse(await boundedText(response, MOST_BYTES));
  }

  /** OpenID Connect Discovery 1.0 §4: a slash at the end of the issuer does not count, and §4.3: the answer names the issuer. */
  async function discover(): Promise<string> {
    const url = `${issuer.replace(/\/$/, "")}/.well-known/openid-configuration`;
    const found = (await read(url)) as { issuer?: unknown; jwks_uri?: unknown } | null;
    if (found?.issuer !== issuer) throw new Error(`${url} is about another issuer`);
    if (typeof found.jwks_uri !== "string") throw new Error(`${url} names no keys`);
    return settings.checkUrl(found.jwks_uri);
  }

  async function ask(): Promise<void> {
    try {
      const url = settings.jwksUrl ?? (await discover());
      const keys = createLocalJWKSet(onlyPublicKeys(await read(url)) as JSONWebKeySet);
      kept = { keys, at: clock.monotonic() };
    } catch (error) {
      log.warn("the OpenID provider's keys cannot be had", { issuer, reason: messageOf(error) });
    }
  }

  /** However many wait for it, it is asked once, and not again at once. */
  async function refresh(): Promise<void> {
    const now = clock.monotonic();
    if (asking === undefined && now - askedAt >= (kept === undefined ? RETRY_MS : ASK_AGAIN_MS)) {
      askedAt = now;
      asking = ask().finally(() => {
        asking = undefined;
      });
    }
    await asking;
  }

  return {
    async current() {
      if (kept === undefined || clock.monotonic() - kept.at >= FRESH_MS) await refresh();
      if (kept === undefined || clock.monotonic() - kept.at >= FRESH_MS + STALE_MS) {
        throw new ProviderUnavailable(`the keys of ${issuer} cannot be had`);
      }
      return kept.keys;
    },
    async newerThan(known) {
      if (kept?.keys === known) await refresh();
      return kept === undefined || kept.keys === known ? undefined : kept.keys;
    },
  };
}

/** For a token that may be signed by a key that is newer than those we have. @throws {ProviderUnavailable} */
export function keyIn(keys: ProviderKeys): JWTVerifyGetKey {
  return async (header, token) => {
    const known = await keys.current();
    try {
      return await known(header, token);
    } catch (error) {
      const newer = error instanceof errors.JWKSNoMatchingKey ? await keys.newerThan(known) : undefined;
      if (newer === undefined) throw error;
      return newer(header, token);
    }
  };
}
