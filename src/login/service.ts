import { setImmediate } from "node:timers/promises";
import type { Policy } from "../access/policy.ts";
import type { Clock, Pause, Random } from "../clock.ts";
import type { Client } from "../edge/client.ts";
import type { Address } from "../identity/address.ts";
import type { LimitScope } from "../limits/answer.ts";
import type { Limiter } from "../limits/limiter.ts";
import type { MailTemplate } from "../mail/message.ts";
import { renderLoginMail } from "../mail/message.ts";
import { NEVER_SENT, type Outbox } from "../mail/outbox.ts";
import type { Audit } from "../observe/audit.ts";
import { OWN_PREFIX } from "../pages/paths.ts";
import { sameSecret } from "../secret/compare.ts";
import type { Keys } from "../secret/keys.ts";
import { createTickets, TicketError, type TicketProblem } from "../secret/ticket.ts";
import type { Sessions } from "../session/session.ts";
import { StoreUnavailable } from "../store/records.ts";
import type { Store } from "../store/store.ts";
import { createAskQueue } from "./ask-queue.ts";
import { LINK_PRINTED, LOGIN_REFUSED, LOGIN_REQUESTED, REDEEMED, REDEMPTION_REFUSED } from "./audit.ts";
import { codeHashOf, drawCode, parseCode } from "./code.ts";
import { createKnownAddresses } from "./known.ts";
import type { LoginOptions } from "./options.ts";
import { createSpentTickets } from "./spent.ts";
import {
  bindingOf,
  LOGIN_LINK,
  LOGIN_REQUEST,
  type Login,
  type LoginRequest,
  type LoginTicket,
} from "./ticket.ts";

/** Asking for a link, and turning a link or its code into a session. No HTTP in here. */

export type LoginService = {
  /**
   * Makes the ticket and, if the address may sign in, queues the mail. Takes the same steps for every address.
   * @throws {StoreUnavailable}
   */
  ask(request: Ask): Promise<Asked>;
  /** A link for an operator to hand over: tied to no browser, so it always asks for confirmation. */
  mintLink(email: Address, next: string): string;
  /**
   * What a link is worth to a browser that opens it: a session; or only its ticket, where somebody has to confirm first; or
   * nothing, as with those below.
   * @param isDeliberate false where nobody has decided on it: such a request never redeems.
   * @throws {StoreUnavailable}
   */
  openLink(token: string, by: Redeemer, isDeliberate: boolean): Promise<Redeemed | LoginTicket | undefined>;
  /** @throws {StoreUnavailable} */
  redeemLink(token: string, by: Redeemer): Promise<Redeemed | undefined>;
  /** @throws {StoreUnavailable} */
  redeemCode(typed: string, by: Redeemer): Promise<Redeemed | undefined>;
  /** What the browser's login cookie says is under way, for the page that asks for the code. */
  pending(loginCookie: string | undefined): Promise<LoginRequest | undefined>;
};

export type Ask = {
  readonly email: Address;
  /** Already through `safeDestination`. */
  readonly next: string;
  readonly client: Client;
  readonly device: string;
};

export type Asked =
  | { readonly outcome: "accepted"; readonly loginCookie: string; readonly expiresAt: number }
  | { readonly outcome: "limited"; readonly scope: LimitScope; readonly retryAfterMs: number }
  /** Too many ask, or the outbox is full: nothing is counted on the address. */
  | { readonly outcome: "busy"; readonly retryAfterMs: number };

/** The browser that redeems. */
export type Redeemer = {
  readonly client: Client;
  readonly userAgent: string;
  readonly loginCookie: string | undefined;
  /** Cookies of the sessions it had before, which end, and the origin of the host that got them. */
  readonly oldSessions: readonly string[];
  readonly origin: string;
};

export type Redeemed = { readonly cookie: string; readonly next: string };

/** The exact reason, for log and audit. Visitors are told one thing whatever it is. */
type RefusedReason =
  | `token_${TicketProblem}`
  | "spent"
  /** The store has begun, or begun anew, since: it cannot know whether the link was used. */
  | "before_store"
  | "not_allowed"
  | "no_login_cookie"
  | "wrong_code"
  | "too_many_tries"
  | "store_unavailable";

export type LoginSettings = Pick<LoginOptions, "magicLinkExpiry" | "linkConfirm"> & {
  readonly baseUrl: string;
  readonly allowedEmails: ReadonlySet<Address>;
  readonly keys: Keys;
  readonly template: MailTemplate;
  readonly store: Pick<Store, "records" | "since">;
  readonly sessions: Sessions;
  readonly limiter: Limiter;
  readonly policy: Policy;
  readonly outbox: Outbox;
  readonly audit: Audit;
  readonly clock: Clock;
  readonly random: Random;
  /** How those who ask wait for their turn, and for being turned away. */
  readonly pause: Pause;
};

/** Whoever finds the outbox full is asked to come back after this: it empties by the mails that are sent, or die of age. */
const FULL_RETRY_MS = 60_000;
/** And whoever comes while very many ask, after this: it passes as fast as they are served. */
const CROWD_RETRY_MS = 5_000;
/** The clocks of several gateways may differ by so much. */
const CLOCK_SKEW_MS = 5 * 60_000;

export function createLoginService(settings: LoginSettings): LoginService {
  const { keys, store, sessions, limiter, policy, outbox, audit, clock, random } = settings;
  const tickets = createTickets(keys, { audience: settings.baseUrl, clock });
  const codeKey = keys.for("login code", "jwt");
  const spent = createSpentTickets(store, clock);
  const known = createKnownAddresses(settings.allowedEmails, store, clock);
  const queue = createAskQueue(settings.pause);

  const randomText = () => Buffer.from(random.bytes(16)).toString("base64url");
  const linkOf = (token: string) => `${settings.baseUrl}${OWN_PREFIX}/auth?token=${token}`;

  /** Whole seconds, as the token can say them, so that mail, cookie and token agree to the millisecond. */
  function lifetime(): { issuedAt: number; expiresAt: number } {
    const issuedAt = Math.floor(clock.now() / 1000) * 1000;
    return { issuedAt, expiresAt: issuedAt + settings.magicLinkExpiry };
  }

  async function ask(request: Ask): Promise<Asked> {
    const { email, client } = request;
    if (queue.isFull()) return turnAway(client);
    // Before the queue, which one client alone must not be able to fill.
    const perClient = await limiter.loginRequest(client);
    if (!perClient.allowed) {
      audit(LOGIN_REQUESTED, { subject: email, client: client.ip, reason: "rate_limited" });
      return { outcome: "limited", scope: "IP", retryAfterMs: perClient.retryAfterMs };
    }
    return (await queue.run(() => prepare(request))) ?? turnAway(client);
  }

  async function turnAway(client: Client): Promise<Asked> {
    audit(LOGIN_REFUSED, { client: client.ip, reason: "busy" });
    await queue.beforeRefusal();
    return { outcome: "busy", retryAfterMs: CROWD_RETRY_MS };
  }

  /** What an ask costs, in steps between which others are served. */
  async function prepare({ email, next, client, device }: Ask): Promise<Asked> {
    await setImmediate();
    const perAddress = await limiter.mail(email);
    if (!perAddress.allowed) {
      audit(LOGIN_REQUESTED, { subject: email, client: client.ip, reason: "cooldown" });
      return { outcome: "limited", scope: "Email", retryAfterMs: perAddress.retryAfterMs };
    }
    await setImmediate();
    const jti = randomText();
    const secret = randomText();
    const code = drawCode(random);
    const { issuedAt, expiresAt } = lifetime();
    const from = `${client.ip}, ${device}`;
    const codeHash = codeHashOf(codeKey.current, jti, code);
    const grant = { jti, email, next, issuedAt, expiresAt };
    const token = tickets.sign(LOGIN_LINK, { ...grant, from, binding: bindingOf(secret) });
    const loginCookie = tickets.sign(LOGIN_REQUEST, { ...grant, secret, codeHash });
    // Written and queued for every address, and thrown away later for some: the time it takes must not tell which.
    const mail = renderLoginMail(settings.template, {
      to: email,
      loginUrl: linkOf(token),
      code,
      expiryMinutes: Math.round(settings.magicLinkExpiry / 60_000),
      fromIp: client.ip,
      device,
    });
    const allowed = policy.allows(email);
    const cooldownKey = limiter.mailKey(email);
    await setImmediate();
    let queued: boolean;
    try {
      const isKnown = await known.has(email);
      queued = await outbox.queue({
        to: email,
        content: mail,
        expiresAt: allowed ? expiresAt : NEVER_SENT,
        cooldownKey,
        first: allowed && isKnown,
      });
    } catch (error) {
      audit(LOGIN_REQUESTED, { subject: email, client: client.ip, reason: "store_unavailable" });
      await (async () => limiter.release(cooldownKey))().catch(() => {});
      throw error;
    }
    if (!queued) await limiter.release(cooldownKey);
    const reason = !allowed ? "not_allowed" : queued ? "queued" : "queue_full";
    audit(LOGIN_REQUESTED, { subject: email, client: client.ip, reason });
    if (!queued) return { outcome: "busy", retryAfterMs: FULL_RETRY_MS };
    return { outcome: "accepted", loginCookie, expiresAt };
  }

  function refuse(reason: RefusedReason, { client }: Redeemer, email?: Address): undefined {
    audit(REDEMPTION_REFUSED, { client: client.ip, reason, subject: email });
  }

  async function redeem(ticket: Login, how: "link" | "code", by: Redeemer): Promise<Redeemed | undefined> {
    try {
      return await signIn(ticket, how, by);
    } catch (error) {
      // A redemption that the store kept from happening is an event too.
      if (error instanceof StoreUnavailable) refuse("store_unavailable", by, ticket.email);
      throw error;
    }
  }

  async function signIn(ticket: Login, how: "link" | "code", by: Redeemer): Promise<Redeemed | undefined> {
    const { email, next, jti, issuedAt, expiresAt } = ticket;
    if (!policy.allows(email)) return refuse("not_allowed", by, email);
    // Everything that can be asked before is, so that a store that stumbles costs nobody their link.
    const old = await sessions.findAll(by.oldSessions, by.origin);
    if (!(await spent.spend(jti, expiresAt))) return refuse("spent", by, email);
    // Asked when the mark is made: whatever the store forgets before, it has begun anew by now.
    if (isBefore(await store.since(), issuedAt)) return refuse("before_store", by, email);
    const { client, userAgent } = by;
    const { cookie, record } = await sessions.start({ email, ip: client.ip, userAgent, method: how });
    await known.add(email);
    for (const { record: before } of old) {
      // The new session stands; the old one, if it cannot be ended now, runs out by itself.
      await sessions.end(before.id).catch(() => {});
    }
    // Whoever has the mailbox may ask again for their next device. That it cannot be given back costs nobody the login.
    await (async () => limiter.release(limiter.mailKey(email)))().catch(() => {});
    audit(REDEEMED, { subject: email, client: client.ip, by: how, session: record.id });
    return { cookie, next };
  }

  /** A beginning in the future is that of a clock which was wrong, and says nothing: nobody could sign in until then. */
  function isBefore(since: number, issuedAt: number): boolean {
    return since <= clock.now() + CLOCK_SKEW_MS && issuedAt < Math.floor(since / 1000) * 1000;
  }

  /** Looks at a link without spending it. */
  async function inspect(token: string, by: Redeemer): Promise<LoginTicket | undefined> {
    try {
      return await tickets.verify(LOGIN_LINK, token);
    } catch (error) {
      if (error instanceof TicketError) return refuse(`token_${error.problem}`, by);
      throw error;
    }
  }

  async function pending(loginCookie: string | undefined): Promise<LoginRequest | undefined> {
    try {
      return loginCookie === undefined ? undefined : await tickets.verify(LOGIN_REQUEST, loginCookie);
    } catch (error) {
      if (error instanceof TicketError) return undefined;
      throw error;
    }
  }

  /** Whether opening a link is enough (CONTRACT section 2). */
  async function needsNoButton({ binding }: LoginTicket, { loginCookie }: Redeemer): Promise<boolean> {
    // A link that an operator printed belongs to no browser.
    if (binding === undefined) return false;
    if (settings.linkConfirm !== "auto") return settings.linkConfirm === "never";
    // The browser that asked.
    const request = await pending(loginCookie);
    return request !== undefined && sameSecret(bindingOf(request.secret), binding);
  }

  function matches(request: LoginRequest, code: string): boolean {
    const { current, previous } = codeKey;
    return [current, previous].some(
      (key) => key !== undefined && sameSecret(codeHashOf(key, request.jti, code), request.codeHash),
    );
  }

  return {
    ask,

    mintLink(email, next) {
      audit(LINK_PRINTED, { subject: email, actor: "operator" });
      const from = "the operator of this server";
      const ticket = { jti: randomText(), email, next, ...lifetime(), from, binding: undefined };
      return linkOf(tickets.sign(LOGIN_LINK, ticket));
    },

    async openLink(token, by, isDeliberate) {
      const ticket = await inspect(token, by);
      if (ticket === undefined) return undefined;
      if (isDeliberate && (await needsNoButton(ticket, by))) return redeem(ticket, "link", by);
      return (await spent.has(ticket.jti)) ? refuse("spent", by, ticket.email) : ticket;
    },

    async redeemLink(token, by) {
      const ticket = await inspect(token, by);
      return ticket && redeem(ticket, "link", by);
    },

    async redeemCode(typed, by) {
      const request = await pending(by.loginCookie);
      if (request === undefined) return refuse("no_login_cookie", by);
      const code = parseCode(typed);
      // A slip that cannot be a code at all is not a try at guessing one.
      if (code === undefined) return refuse("wrong_code", by, request.email);
      const tries = await limiter.code(request.jti, request.expiresAt - request.issuedAt);
      if (!tries.allowed) return refuse("too_many_tries", by, request.email);
      if (!matches(request, code)) return refuse("wrong_code", by, request.email);
      return redeem(request, "code", by);
    },

    pending,
  };
}
