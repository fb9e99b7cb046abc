import type { Client } from "../edge/client.ts";
import { type Address, mailboxOf } from "../identity/address.ts";
import { limitKeysOf } from "../net/ip.ts";
import type { LimitOutcome, LimitRule, Limits } from "../store/limits.ts";
import type { Awaitable } from "../store/records.ts";
import type { LimitsOptions } from "./options.ts";

/** The limits of CONTRACT section 5, by name. All of them answer as {@link Limits.hit} does. */
export type Limiter = {
  loginRequest(client: Client): Awaitable<LimitOutcome>;
  /** One mail per mailbox and cooldown, whether or not the address may sign in. */
  mail(email: Address): Awaitable<LimitOutcome>;
  redemption(client: Client): Awaitable<LimitOutcome>;
  /**
   * Of one session, to further hosts. Not a rate that can be turned off: each takes room in the store for a day, and whoever
   * is signed in must not fill it.
   */
  handOff(session: string): Awaitable<LimitOutcome>;
  /**
   * Codes of screens that ask to be signed in, of one address, right or wrong. Not a rate that can be turned off: it is what makes a
   * code safe that people can type.
   */
  approvalCode(email: Address): Awaitable<LimitOutcome>;
  /** API keys that are none. */
  failedKey(client: Pick<Client, "ip">): Awaitable<LimitOutcome>;
  /** Requests by one API key. @param rate a minute. */
  keyUse(id: string, rate: number): Awaitable<LimitOutcome>;
  /** The key `mail` counted on, for whoever has to give the cooldown back. */
  mailKey(email: Address): string;
  release(key: string): Awaitable<void>;
};

const MINUTE_MS = 60_000;
const HOUR_MS = 60 * MINUTE_MS;
/** A session needs one for each host; nobody has so many. */
const HAND_OFFS = 100;
const FAILED_KEYS = 20;
const APPROVAL_CODES: LimitRule = { limit: 20, windowMs: 5 * MINUTE_MS };
/**
 * A /56 has four times the limit of a /64, and a /48 four times that of a /56: few households use more than four networks, and
 * no more than some sixteen people of one company sign in during one minute, but whoever has a /48 has 65,536 of a /64.
 */
const WIDER = 4;
const ALLOWED: LimitOutcome = { allowed: true };

export function createLimiter(settings: LimitsOptions, store: Limits): Limiter {
  const loginRule: LimitRule = { limit: settings.loginRateLimit, windowMs: MINUTE_MS };
  const tokenRule: LimitRule = { limit: settings.tokenRateLimit, windowMs: MINUTE_MS };
  const mailRule: LimitRule = { limit: 1, windowMs: settings.emailCooldown };
  const mailKey = (email: Address) => `mail:${mailboxOf(email)}`;

  function isOff({ limit, windowMs }: LimitRule): boolean {
    return !settings.rateLimitEnabled || limit === 0 || windowMs === 0;
  }

  function perClient(kind: string, { ip }: Pick<Client, "ip">, rule: LimitRule): Awaitable<LimitOutcome> {
    if (isOff(rule)) return ALLOWED;
    const [narrowest, ...networks] = limitKeysOf(ip);
    const wider = networks.map((network, index) => ({
      key: `${kind}:${network}`,
      rule: { ...rule, limit: rule.limit * WIDER ** (index + 1) },
    }));
    return store.hit(`${kind}:${narrowest}`, rule, wider);
  }

  return {
    loginRequest: (client) => perClient("login", client, loginRule),
    mail: (email) => (isOff(mailRule) ? ALLOWED : store.hit(mailKey(email), mailRule)),
    redemption: (client) => perClient("token", client, tokenRule),
    handOff: (session) => store.hit(`handoff:${session}`, { limit: HAND_OFFS, windowMs: HOUR_MS }),
    approvalCode: (email) => store.hit(`approval:${email}`, APPROVAL_CODES),
    failedKey: (client) => perClient("key", client, { limit: FAILED_KEYS, windowMs: MINUTE_MS }),
    // Its owner's limit, whatever limits visitors.
    keyUse: (id, rate) => store.hit(`keyuse:${id}`, { limit: rate, windowMs: MINUTE_MS }),
    mailKey,
    release: (key) => store.release(key),
  };
}
