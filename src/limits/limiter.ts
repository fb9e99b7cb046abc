import type { Client } from "../edge/client.ts";
import { type Address, mailboxOf } from "../identity/address.ts";
import type { MailOptions } from "../mail/options.ts";
import { limitKeysOf } from "../net/ip.ts";
import type { LimitCount, LimitOutcome, LimitRule, Limits } from "../store/limits.ts";
import type { Awaitable } from "../store/records.ts";
import type { LimitsOptions } from "./options.ts";

/** The limits of CONTRACT section 5, by name. All of them answer as {@link Limits.hit} does. */
export type Limiter = {
  loginRequest(client: Client): Awaitable<LimitOutcome>;
  /** One mail per mailbox and cooldown, whether or not the address may sign in. */
  mail(email: Address): Awaitable<LimitOutcome>;
  redemption(client: Client): Awaitable<LimitOutcome>;
  /**
   * Login requests that nothing speaks for where something should (`captcha/`). Not a rate that can be turned off: whoever left
   * the answer out would be let through.
   */
  unproven(client: Pick<Client, "ip">): Awaitable<LimitOutcome>;
  /**
   * Counts a request for a mail among those of everybody, as if each had a mail: the mails that are really sent would tell which
   * addresses may sign in. It refuses none.
   */
  countAsk(): Awaitable<LimitOutcome>;
  /**
   * How much is used, from 0 to 1, of what such requests count on: the client's login requests, those of a network it is in, or an
   * hour's mails for all.
   * @param coming how many are about to be counted.
   */
  askShare(client: Pick<Client, "ip">, coming: 0 | 1): Awaitable<number>;
  /**
   * Of one session, to further hosts. Not a rate that can be turned off: each takes room in the store for a day, and whoever
   * is signed in must not fill it.
   */
  handOff(session: string): Awaitable<LimitOutcome>;
  /** Codes of one session for OpenID clients. Not a rate that can be turned off, as {@link handOff} is none. */
  clientCode(session: string): Awaitable<LimitOutcome>;
  /**
   * Codes of screens that ask to be signed in, of one address, right or wrong. Not a rate that can be turned off: it is what makes a
   * code safe that people can type.
   */
  approvalCode(email: Address): Awaitable<LimitOutcome>;
  /** Requests for access. Not a rate that can be turned off: each has others read it. */
  accessRequest(email: Address, client: Pick<Client, "ip">): Awaitable<LimitOutcome>;
  /** API keys that are none. */
  failedKey(client: Pick<Client, "ip">): Awaitable<LimitOutcome>;
  /**
   * Secrets that are not an OpenID client's. Once it refuses, {@link mayTryClient} does. @param id one client that is set up wrong
   * keeps no other on its machine from asking; empty for all that there are not.
   */
  failedClient(client: Pick<Client, "ip">, id: string): Awaitable<LimitOutcome>;
  /** Asked before a secret is looked at: with too many wrong ones, the right one does not count either. */
  mayTryClient(client: Pick<Client, "ip">, id: string): Awaitable<boolean>;
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
/** A page with several applications in it asks for a few at once, and none of them again in the same minute. */
const CLIENT_CODES: LimitRule = { limit: 60, windowMs: MINUTE_MS };
const FAILED_KEYS = 20;
const FAILED_CLIENTS: LimitRule = { limit: 20, windowMs: MINUTE_MS };
const APPROVAL_CODES: LimitRule = { limit: 20, windowMs: 5 * MINUTE_MS };
const DAY_MS = 24 * HOUR_MS;
const ACCESS_REQUESTS: LimitRule = { limit: 3, windowMs: DAY_MS };
const ACCESS_REQUESTS_OF_CLIENT: LimitRule = { limit: 10, windowMs: DAY_MS };
const UNPROVEN: LimitRule = { limit: 1, windowMs: 10 * MINUTE_MS };
/**
 * A /56 has four times the limit of a /64, and a /48 four times that of a /56: few households use more than four networks, and
 * no more than some sixteen people of one company sign in during one minute, but whoever has a /48 has 65,536 of a /64.
 */
const WIDER = 4;
const ALLOWED: LimitOutcome = { allowed: true };

export function createLimiter(
  settings: LimitsOptions & Pick<MailOptions, "mailCeiling">,
  store: Limits,
): Limiter {
  const loginRule: LimitRule = { limit: settings.loginRateLimit, windowMs: MINUTE_MS };
  const tokenRule: LimitRule = { limit: settings.tokenRateLimit, windowMs: MINUTE_MS };
  const mailRule: LimitRule = { limit: 1, windowMs: settings.emailCooldown };
  const asks: LimitCount = { key: "asks", rule: { limit: settings.mailCeiling, windowMs: HOUR_MS } };
  const mailKey = (email: Address) => `mail:${mailboxOf(email)}`;

  function isOff({ limit, windowMs }: LimitRule): boolean {
    return !settings.rateLimitEnabled || limit === 0 || windowMs === 0;
  }

  /** The narrowest first. */
  function countsOf(kind: string, { ip }: Pick<Client, "ip">, rule: LimitRule): LimitCount[] {
    return limitKeysOf(ip).map((network, index) => ({
      key: `${kind}:${network}`,
      rule: { ...rule, limit: rule.limit * WIDER ** index },
    }));
  }

  function hitAll([narrowest, ...wider]: readonly LimitCount[]): Awaitable<LimitOutcome> {
    return narrowest === undefined ? ALLOWED : store.hit(narrowest.key, narrowest.rule, wider);
  }

  function perClient(kind: string, client: Pick<Client, "ip">, rule: LimitRule): Awaitable<LimitOutcome> {
    return isOff(rule) ? ALLOWED : hitAll(countsOf(kind, client, rule));
  }

  async function askShare(client: Pick<Client, "ip">, coming: 0 | 1): Promise<number> {
    const counts = [
      ...(isOff(loginRule) ? [] : countsOf("login", client, loginRule)),
      ...(asks.rule.limit === 0 ? [] : [asks]),
    ];
    const used = counts.length === 0 ? [] : await store.count(counts);
    return Math.max(0, ...counts.map(({ rule }, index) => ((used[index] ?? 0) + coming) / rule.limit));
  }

  return {
    loginRequest: (client) => perClient("login", client, loginRule),
    mail: (email) => (isOff(mailRule) ? ALLOWED : store.hit(mailKey(email), mailRule)),
    unproven: (client) => hitAll(countsOf("unproven", client, UNPROVEN)),
    countAsk: () => store.hit(asks.key, asks.rule),
    askShare,
    redemption: (client) => perClient("token", client, tokenRule),
    handOff: (session) => store.hit(`handoff:${session}`, { limit: HAND_OFFS, windowMs: HOUR_MS }),
    clientCode: (session) => store.hit(`clientcode:${session}`, CLIENT_CODES),
    approvalCode: (email) => store.hit(`approval:${email}`, APPROVAL_CODES),
    accessRequest: (email, client) =>
      store.hit(`access:${email}`, ACCESS_REQUESTS, countsOf("access", client, ACCESS_REQUESTS_OF_CLIENT)),
    failedKey: (client) => perClient("key", client, { limit: FAILED_KEYS, windowMs: MINUTE_MS }),
    failedClient: (client, id) => hitAll(countsOf(`client:${id}`, client, FAILED_CLIENTS)),
    async mayTryClient(client, id) {
      const counts = countsOf(`client:${id}`, client, FAILED_CLIENTS);
      const used = await store.count(counts);
      return counts.every(({ rule }, at) => (used[at] ?? 0) < rule.limit);
    },
    // Its owner's limit, whatever limits visitors.
    keyUse: (id, rate) => store.hit(`keyuse:${id}`, { limit: rate, windowMs: MINUTE_MS }),
    mailKey,
    release: (key) => store.release(key),
  };
}
