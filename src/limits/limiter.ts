import type { Options } from "../config/types.ts";
import type { Client } from "../edge/client.ts";
import type { Address } from "../login/address.ts";
import type { Awaitable, LimitOutcome, LimitRule, LimitStore } from "../store/contracts.ts";

/** The limits of CONTRACT section 5, by name. All of them answer as {@link LimitStore.hit} does. */
export type Limiter = {
  loginRequest(client: Client): Awaitable<LimitOutcome>;
  /** One mail per address and cooldown, whether or not the address may sign in. */
  mail(email: Address): Awaitable<LimitOutcome>;
  redemption(client: Client): Awaitable<LimitOutcome>;
  /**
   * Tries at the code of one ticket. Not a rate that can be turned off: it is what makes a short code safe.
   * @param lifetimeMs the whole lifetime of the ticket, the same at every try, so that no try is forgotten before its end.
   */
  code(jti: string, lifetimeMs: number): Awaitable<LimitOutcome>;
  /** The key `mail` counted on, for whoever has to give the cooldown back. */
  mailKey(email: Address): string;
  release(key: string): Awaitable<void>;
};

const MINUTE_MS = 60_000;
const HOUR_MS = 60 * MINUTE_MS;
const CODE_TRIES = 5;
const ALLOWED: LimitOutcome = { allowed: true };

export type LimitSettings = Pick<
  Options,
  "rateLimitEnabled" | "loginRateLimit" | "emailCooldown" | "tokenRateLimit"
>;

export function createLimiter(settings: LimitSettings, store: LimitStore): Limiter {
  const loginRule: LimitRule = { limit: settings.loginRateLimit, windowMs: MINUTE_MS };
  const tokenRule: LimitRule = { limit: settings.tokenRateLimit, windowMs: MINUTE_MS };
  const mailRule: LimitRule = { limit: 1, windowMs: settings.emailCooldown };
  const mailKey = (email: Address) => `mail:${email}`;

  function hit(key: string, rule: LimitRule): Awaitable<LimitOutcome> {
    if (!settings.rateLimitEnabled || rule.limit === 0 || rule.windowMs === 0) return ALLOWED;
    return store.hit(key, rule);
  }

  return {
    loginRequest: (client) => hit(`login:${client.limitKey}`, loginRule),
    mail: (email) => hit(mailKey(email), mailRule),
    redemption: (client) => hit(`token:${client.limitKey}`, tokenRule),
    // Longer than a ticket lives, because the wall clock may be set back while the limit's clock goes on; not much longer,
    // because each of them takes room in the store.
    code: (jti, lifetimeMs) =>
      store.hit(`code:${jti}`, { limit: CODE_TRIES, windowMs: lifetimeMs + HOUR_MS }),
    mailKey,
    release: (key) => store.release(key),
  };
}

/** Seconds to tell a client, rounded up so that coming back then is never too early (RFC 9110 §10.2.3). */
export function retryAfterSeconds(retryAfterMs: number): number {
  return Math.max(1, Math.ceil(retryAfterMs / 1000));
}
