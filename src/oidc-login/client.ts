import * as oidc from "openid-client";
import { valueAt } from "../bearer/claims.ts";
import { ALGORITHMS, type Fetch, MOST_BYTES, ProviderUnavailable } from "../bearer/provider-keys.ts";
import type { Clock } from "../clock.ts";
import { boundedText } from "../net/bounded-text.ts";
import { isLoopbackHost } from "../net/loopback.ts";
import type { Logger } from "../observe/logger.ts";
import { messageOf } from "../observe/message-of.ts";
import { DAY, HOUR, SECOND } from "../option/values.ts";
import { onlyPublicKeys } from "../secret/foreign-keys.ts";
import type { Claims } from "./claims.ts";
import type { Provider } from "./provider.ts";
import type { OidcLogin } from "./ticket.ts";

/** The words with a provider: OpenID Connect Core 1.0 §3.1, by a library that is loaded together with this file. */

export type ProviderClient = {
  /**
   * Where to send the browser.
   * @param state comes back with it.
   * @throws {ProviderUnavailable}
   */
  authorizationUrl(login: OidcLogin, state: string): Promise<string>;
  /**
   * What the provider says of whoever came back.
   * @param callback the whole address that the browser came back to.
   * @throws {ProviderUnavailable}
   * @throws {AnswerError} for anything that is not as it should be.
   */
  exchange(callback: URL, login: OidcLogin, state: string): Promise<Answer>;
  /** What it says of itself, for the operator. @throws {ProviderUnavailable} */
  metadata(): Promise<Readonly<oidc.ServerMetadata>>;
};

export type Answer = {
  readonly sub: string;
  /** Of the provider's own session, for when it ends. */
  readonly sid: string | undefined;
  /** When they showed there who they are, in seconds since the Unix epoch, where it says so. */
  readonly authTime: number | undefined;
  /** Where the address is from: the ID token, or the UserInfo endpoint where that has none; and never some of both. */
  readonly who: Claims;
  /** All that was said. */
  readonly claims: Claims;
};

/** Why an answer is not taken: its message is for the operator alone. */
export class AnswerError extends Error {
  /** Whether the provider itself says no, as when somebody does not want to go on. */
  readonly isRefusal: boolean;
  constructor(message: string, isRefusal = false) {
    super(message);
    this.isRefusal = isRefusal;
  }
}

const TIMEOUT_SECONDS = 5;
const FRESH_MS = HOUR;
/** What a provider said of itself is good for longer while it does not answer. */
const STALE_MS = DAY;
/** Whoever comes while it is away does not make us ask without end. */
const RETRY_MS = SECOND;

export function createProviderClient(settings: {
  readonly provider: Provider;
  readonly redirectUri: string;
  readonly fetch: Fetch;
  readonly clock: Pick<Clock, "monotonic">;
  readonly log: Logger;
}): ProviderClient {
  const { provider, redirectUri, clock, log } = settings;
  let kept: { readonly config: oidc.Configuration; readonly at: number } | undefined;
  let failedAt = Number.NEGATIVE_INFINITY;
  let problem = "";
  let asking: Promise<void> | undefined;

  /** Redirects are not followed (`redirect: "manual"` is in `init`), and no answer is read without end. */
  const fetchLimited: oidc.CustomFetch = async (url, init) => {
    try {
      const { protocol, hostname } = new URL(url);
      if (protocol !== "https:" && !isLoopbackHost(hostname)) throw new Error("it is not at an https URL");
      const response = await settings.fetch(url, init as RequestInit);
      const { status, headers } = response;
      const body = await boundedText(response, MOST_BYTES);
      if (status >= 500) throw new Error(`it answers ${status}`);
      return new Response(body, { status, headers });
    } catch (error) {
      throw new ProviderUnavailable(`${provider.issuer} does not answer: ${messageOf(error)}`);
    }
  };

  async function discover(): Promise<void> {
    const isPlain = provider.issuer.startsWith("http://");
    const found = await oidc.discovery(new URL(provider.issuer), provider.clientId, undefined, undefined, {
      timeout: TIMEOUT_SECONDS,
      [oidc.customFetch]: fetchLimited,
      execute: isPlain ? [oidc.allowInsecureRequests] : [],
    });
    const { supportsPKCE: _, ...metadata } = found.serverMetadata();
    // The library lets a slash at the end pass, and makes exceptions for some.
    if (metadata.issuer !== provider.issuer) throw new Error(`it calls itself ${metadata.issuer}`);
    const { token_endpoint_auth_methods_supported: methods = [] } = metadata;
    const { id_token_signing_alg_values_supported: algorithms = ["RS256"] } = metadata;
    const authenticate = methods.includes("client_secret_post")
      ? oidc.ClientSecretPost(provider.clientSecret)
      : oidc.ClientSecretBasic(provider.clientSecret);
    const config = new oidc.Configuration(
      {
        ...metadata,
        // Never `none`, and never one whose key is a shared secret, whatever it says of itself.
        id_token_signing_alg_values_supported: algorithms.filter((one) => ALGORITHMS.includes(one)),
      },
      provider.clientId,
      undefined,
      authenticate,
    );
    config.timeout = TIMEOUT_SECONDS;
    const keysUrl = URL.parse(metadata.jwks_uri ?? "")?.href;
    config[oidc.customFetch] = async (url, init) => {
      const response = await fetchLimited(url, init);
      return url === keysUrl && response.status === 200
        ? Response.json(onlyPublicKeys(await response.json()))
        : response;
    };
    if (isPlain) oidc.allowInsecureRequests(config);
    // Signatures of ID tokens are checked too, and not the connection alone that they came by.
    oidc.enableNonRepudiationChecks(config);
    kept = { config, at: clock.monotonic() };
  }

  async function ask(): Promise<void> {
    try {
      await discover();
    } catch (error) {
      failedAt = clock.monotonic();
      problem = messageOf(awayIn(error) ?? error);
      log.warn("an OpenID provider cannot be used", { provider: provider.name, reason: problem });
    }
  }

  async function configuration(): Promise<oidc.Configuration> {
    const age = () => (kept === undefined ? Number.POSITIVE_INFINITY : clock.monotonic() - kept.at);
    if (age() >= FRESH_MS && clock.monotonic() - failedAt >= RETRY_MS) {
      asking ??= ask().finally(() => {
        asking = undefined;
      });
      await asking;
    }
    if (kept === undefined || age() >= FRESH_MS + STALE_MS) {
      throw new ProviderUnavailable(problem);
    }
    return kept.config;
  }

  return {
    async authorizationUrl({ nonce, verifier, again }, state) {
      const config = await configuration();
      return oidc.buildAuthorizationUrl(config, {
        redirect_uri: redirectUri,
        scope: provider.scopes.join(" "),
        state,
        nonce,
        code_challenge: new Bun.CryptoHasher("sha256").update(verifier).digest("base64url"),
        code_challenge_method: "S256",
        ...(again ? { prompt: "login", max_age: "0" } : {}),
      }).href;
    },

    async exchange(callback, { nonce, verifier }, state) {
      const config = await configuration();
      try {
        const tokens = await oidc.authorizationCodeGrant(config, callback, {
          expectedState: state,
          expectedNonce: nonce,
          pkceCodeVerifier: verifier,
          idTokenExpected: true,
        });
        const told = tokens.claims();
        if (told === undefined) throw new AnswerError("there is no ID token");
        const { sub, sid, auth_time: authTime } = told;
        const hasGroups = provider.groups.size === 0 || valueAt(told, provider.groupsClaim) !== undefined;
        const hasAll = told.email !== undefined && hasGroups;
        const more =
          hasAll || config.serverMetadata().userinfo_endpoint === undefined
            ? {}
            : await oidc.fetchUserInfo(config, tokens.access_token, sub);
        return {
          sub,
          sid: typeof sid === "string" ? sid : undefined,
          authTime,
          who: told.email === undefined ? more : told,
          claims: { ...more, ...told },
        };
      } catch (error) {
        throw wrongWith(error);
      }
    },

    metadata: async () => (await configuration()).serverMetadata(),
  };
}

/** What the library wraps, of what {@link ProviderUnavailable} it met. */
function awayIn(error: unknown): ProviderUnavailable | undefined {
  for (let cause = error; cause instanceof Error; cause = cause.cause)
    if (cause instanceof ProviderUnavailable) return cause;
  return undefined;
}

/** Of what the library throws, which may repeat tokens, only what it calls it is kept. */
function wrongWith(error: unknown): Error {
  if (error instanceof AnswerError) return error;
  const away = awayIn(error);
  if (away !== undefined) return away;
  if (error instanceof oidc.AuthorizationResponseError) return new AnswerError(word(error.error), true);
  if (error instanceof oidc.ResponseBodyError) return new AnswerError(word(error.error));
  if (error instanceof oidc.ClientError) return new AnswerError(`${error.code}: ${error.message}`);
  return new AnswerError(error instanceof Error ? error.name : "unknown");
}

/** A provider's or, in the address of the callback, anybody's. */
function word(text: string): string {
  return /^[a-z_]{1,40}$/.test(text) ? text : "an error without a name";
}
