import { setImmediate } from "node:timers/promises";
import type { Policy } from "../access/policy.ts";
import type { Clock, Pause, Random } from "../clock.ts";
import type { Failure } from "../edge/answer.ts";
import type { Client } from "../edge/client.ts";
import type { HookFacts, Hooks } from "../hooks/hooks.ts";
import type { Address } from "../identity/address.ts";
import type { LimitScope } from "../limits/answer.ts";
import type { Limiter } from "../limits/limiter.ts";
import type { MailTemplate } from "../mail/message.ts";
import { renderLoginMail } from "../mail/message.ts";
import { NEVER_SENT, type Outbox } from "../mail/outbox.ts";
import type { Audit, AuditFirst } from "../observe/audit.ts";
import { ENGLISH, said, say } from "../pages/language.ts";
import type { Look } from "../pages/look.ts";
import { OWN_PREFIX } from "../pages/paths.ts";
import { sameSecret } from "../secret/compare.ts";
import type { Keys } from "../secret/keys.ts";
import { createTickets, TicketError, type TicketProblem } from "../secret/ticket.ts";
import { recognizeDevice } from "../session/device.ts";
import { OnHold } from "../session/hold.ts";
import type { SessionOptions } from "../session/options.ts";
import type { SessionRecord } from "../session/record.ts";
import type { Sessions } from "../session/session.ts";
import { StoreUnavailable } from "../store/records.ts";
import type { Store } from "../store/store.ts";
import { createAskQueue } from "./ask-queue.ts";
import {
  LINK_PRINTED,
  LINK_REVOKED,
  LINK_USED,
  LOGIN_REFUSED,
  LOGIN_REQUESTED,
  REDEMPTION_REFUSED,
} from "./audit.ts";
import { createBegin } from "./begin.ts";
import { codeHashOf, drawCode, parseCode, shownCode } from "./code.ts";
import { SignInDenied } from "./denied.ts";
import { createKnownAddresses } from "./known.ts";
import type { LoginOptions } from "./options.ts";
import { CODE_TRIES, createProgress, waitOf } from "./progress.ts";
import { createSharedLinks, type SharedLink, type SharedLinks } from "./shared-links.ts";
import { createSpentTickets, type Use } from "./spent.ts";
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
  /**
   * Sends the mail of the login in a cookie again, with the same link and another code, which alone is good from then on. Takes the
   * same steps for every address, too.
   * @throws {StoreUnavailable}
   */
  sendAgain(loginCookie: string | undefined, by: Asker): Promise<SentAgain>;
  /** A link for an operator to hand over: tied to no browser, so it always asks for confirmation. */
  mintLink(email: Address, next: string): string;
  /** The same in a mail to somebody who was let in. @param ms how long it is good. */
  invitationLink(email: Address, next: string, ms: number): string;
  /** The same for several uses, each of which is a login of its own. @throws {StoreUnavailable} */
  mintSharedLink(
    email: Address,
    next: string,
    good: Shared,
  ): Promise<{ link: string; id: string; expiresAt: number }>;
  readonly sharedLinks: Pick<SharedLinks, "list">;
  /** @returns false if there is none such. @throws {StoreUnavailable} */
  revokeLink(id: string, actor: string): Promise<boolean>;
  /**
   * What a link is worth to a browser that opens it: a session; or only its ticket, where somebody has to confirm first; or
   * nothing, as with those below.
   * @param isDeliberate false where nobody has decided on it: such a request never redeems.
   * @throws {StoreUnavailable}
   */
  openLink(token: string, by: Redeemer, isDeliberate: boolean): Promise<Opened>;
  /** @throws {StoreUnavailable} */
  redeemLink(token: string, by: Redeemer): Promise<Redeemed | LinkRefused>;
  /** @throws {StoreUnavailable} */
  redeemCode(typed: string, by: Redeemer): Promise<Redeemed | CodeRefused>;
  /** What a link says, if it is ours and still good; nothing is asked of the store. */
  look(token: string): Promise<LoginTicket | undefined>;
  /** How many wait for their turn to ask, as a share of those that may, from 0 to 1. */
  crowd(): number;
  /** The login that the browser's cookie is of, however it stands. @throws {StoreUnavailable} */
  underWay(loginCookie: string | undefined): Promise<UnderWay | undefined>;
};

/** @property lifetime milliseconds. */
export type Shared = Pick<SharedLink, "uses" | "route"> & { readonly lifetime: number };

/** Whoever wants a mail sent. */
export type Asker = {
  readonly client: Client;
  /** The id of the request, as in the log. */
  readonly request: string;
  readonly device: string;
  /** Of the mail. */
  readonly look: Look;
};

export type Ask = Asker & {
  readonly email: Address;
  /** Already through `safeDestination`. */
  readonly next: string;
  /** Whether the browser is to be kept signed in. */
  readonly keep: boolean;
  /** Asked once the client's limit allows, and before anything is done for the address: a failure if it objects. */
  readonly objection?: (() => Promise<Failure | undefined>) | undefined;
};

/** A mail is on its way, as far as anybody is told. */
type Sent = { readonly outcome: "accepted"; readonly loginCookie: string; readonly expiresAt: number };
type Limited = { readonly outcome: "limited"; readonly scope: LimitScope; readonly retryAfterMs: number };
/** Too many ask, or the outbox is full: nothing is counted on the address. */
type Busy = { readonly outcome: "busy"; readonly retryAfterMs: number };

export type Asked = Sent | Limited | Busy | { readonly outcome: "objected"; readonly failure: Failure };

export type SentAgain =
  | Sent
  | Limited
  | Busy
  /** Nothing is under way in that browser. */
  | { readonly outcome: "nothing" }
  /** Something is, for which no mail is of use. */
  | { readonly outcome: "over" }
  /** Undefined: not again at all. */
  | { readonly outcome: "wait"; readonly retryAfterMs: number | undefined };

/** The browser that redeems. */
export type Redeemer = {
  readonly client: Client;
  /** The id of the request, as in the log. */
  readonly request: string;
  readonly userAgent: string;
  readonly loginCookie: string | undefined;
  /** Cookies of the sessions it had before, which end, and the origin of the host that got them. */
  readonly oldSessions: readonly string[];
  readonly origin: string;
  /** Whether it is to be kept signed in, where it was asked; else whoever asked for the link has said so. */
  readonly keep?: boolean | undefined;
};

export type Redeemed = {
  readonly outcome: "signed_in";
  readonly cookie: string;
  readonly record: SessionRecord;
  readonly next: string;
};

/** Why a link does not sign in, as visitors are told. With its ticket, where it is ours. */
export type LinkRefused =
  | { readonly outcome: "used"; readonly ticket: LoginTicket; readonly use: Use }
  | { readonly outcome: "expired" | "withdrawn"; readonly ticket: LoginTicket }
  | { readonly outcome: "not_ours" };

export type Opened = Redeemed | LinkRefused | { readonly outcome: "confirm"; readonly ticket: LoginTicket };

/** Why a code does not sign in, as visitors are told. */
export type CodeRefused = {
  readonly outcome: "wrong" | "no_code" | "used_up" | "used" | "expired" | "withdrawn" | "nothing";
  /** After this one, where it was a try. */
  readonly triesLeft?: number | undefined;
};

export type UnderWay = {
  readonly request: LoginRequest;
  /** `used_up`: the code's tries; the link is still good. */
  readonly state: "waiting" | "used_up" | "used" | "expired";
  readonly triesLeft: number;
  readonly use: Use | undefined;
  /** When its mail may be sent again, milliseconds since the Unix epoch; undefined if not at all. */
  readonly againAt: number | undefined;
};

/** The exact reason, for log and audit. */
type RefusedReason =
  | `token_${TicketProblem}`
  | "spent"
  /** The store has begun, or begun anew, since: it cannot know whether the link was used. */
  | "before_store"
  | "not_allowed"
  | "no_login_cookie"
  | "wrong_code"
  | "too_many_tries"
  | "on_hold"
  | "revoked"
  | "store_unavailable";

export type LoginSettings = Pick<
  LoginOptions,
  "magicLinkExpiry" | "linkConfirm" | "codeKind" | "multiUseLinks"
> &
  Pick<SessionOptions, "remember"> & {
    readonly baseUrl: string;
    readonly allowedEmails: ReadonlySet<Address>;
    readonly keys: Keys;
    readonly template: MailTemplate | undefined;
    readonly store: Pick<Store, "records" | "since">;
    readonly sessions: Sessions;
    readonly limiter: Limiter;
    readonly policy: Policy;
    readonly outbox: Outbox;
    readonly hooks: Pick<Hooks, "tell" | "judgeSignIn" | "judgeAsking">;
    readonly audit: Audit;
    readonly auditFirst: AuditFirst;
    readonly clock: Clock;
    readonly random: Random;
    /** How those who ask wait for their turn, and for being turned away. */
    readonly pause: Pause;
  };

/** Whoever finds the outbox full is asked to come back after this: it empties by the mails that are sent, or die of age. */
const FULL_RETRY_MS = 60_000;
/** And whoever comes while very many ask, after this: it passes as fast as they are served. */
const CROWD_RETRY_MS = 5_000;
/** Characters: of a link in a mail, and of where it leads, where it carries that. */
const MAX_LINK = 600;
const MAX_CARRIED = 200;
/** The clocks of several gateways may differ by so much. */
const CLOCK_SKEW_MS = 5 * 60_000;

export function createLoginService(settings: LoginSettings): LoginService {
  const { keys, store, sessions, limiter, policy, outbox, hooks, audit, clock, random } = settings;
  const tickets = createTickets(keys, { audience: settings.baseUrl, clock });
  const codeKey = keys.for("login code", "jwt");
  const spent = createSpentTickets(store, clock);
  const sharedLinks = createSharedLinks(store, spent, clock);
  const known = createKnownAddresses(settings.allowedEmails, store, clock);
  const progress = createProgress(store, clock);
  const queue = createAskQueue(settings.pause);
  const begin = createBegin({ sessions, known, hooks, audit });

  const randomText = () => Buffer.from(random.bytes(16)).toString("base64url");
  const linkOf = (token: string) => `${settings.baseUrl}${OWN_PREFIX}/auth?token=${token}`;

  /** Whole seconds, as the token can say them, so that mail, cookie and token agree to the millisecond. */
  function lifetime(ms = settings.magicLinkExpiry): { issuedAt: number; expiresAt: number } {
    const issuedAt = Math.floor(clock.now() / 1000) * 1000;
    return { issuedAt, expiresAt: issuedAt + ms };
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
    const failure = await request.objection?.();
    if (failure !== undefined) return { outcome: "objected", failure };
    return (await queue.run(() => prepare(request))) ?? turnAway(client);
  }

  async function turnAway(client: Client): Promise<Busy> {
    audit(LOGIN_REFUSED, { client: client.ip, reason: "busy" });
    await queue.beforeRefusal();
    return { outcome: "busy", retryAfterMs: CROWD_RETRY_MS };
  }

  /** What an ask costs, in steps between which others are served. */
  async function prepare(asked: Ask): Promise<Sent | Limited | Busy> {
    const { email, client } = asked;
    await setImmediate();
    const perAddress = await limiter.mail(email);
    if (!perAddress.allowed) {
      audit(LOGIN_REQUESTED, { subject: email, client: client.ip, reason: "cooldown" });
      return { outcome: "limited", scope: "Email", retryAfterMs: perAddress.retryAfterMs };
    }
    await setImmediate();
    const { next, keep } = asked;
    const ids = { jti: randomText(), secret: randomText() };
    const login = { ...ids, email, next, keep: keep || undefined, ...lifetime() };
    const cooldownKey = limiter.mailKey(email);
    try {
      const sent = await send({ ...login, sentAgain: 0 }, asked, cooldownKey);
      if (sent.outcome === "busy") await limiter.release(cooldownKey);
      return sent;
    } catch (error) {
      await (async () => limiter.release(cooldownKey))().catch(() => {});
      throw error;
    }
  }

  async function sendAgain(loginCookie: string | undefined, by: Asker): Promise<SentAgain> {
    const now = await underWay(loginCookie);
    if (now === undefined) return { outcome: "nothing" };
    if (now.state !== "waiting") return { outcome: "over" };
    const early = (againAt: number | undefined): SentAgain => ({
      outcome: "wait",
      retryAfterMs: againAt && againAt - clock.now(),
    });
    if (now.againAt === undefined || now.againAt > clock.now()) return early(now.againAt);
    if (queue.isFull()) return turnAway(by.client);
    const perClient = await limiter.loginRequest(by.client);
    if (!perClient.allowed) {
      audit(LOGIN_REQUESTED, { subject: now.request.email, client: by.client.ip, reason: "rate_limited" });
      return { outcome: "limited", scope: "IP", retryAfterMs: perClient.retryAfterMs };
    }
    const work = async (): Promise<SentAgain> => {
      const sentAgain = await progress.sendAgain(now.request);
      // By another tab, at the same moment.
      if (sentAgain === undefined) return early((await underWay(loginCookie))?.againAt);
      return send({ ...now.request, sentAgain }, by, undefined);
    };
    return (await queue.run(work)) ?? turnAway(by.client);
  }

  /** Written and queued for every address, and thrown away later for some: the time it takes must not tell which. */
  async function send(
    login: Omit<LoginRequest, "codeHash">,
    { client, request, device, look }: Asker,
    cooldownKey: string | undefined,
  ): Promise<Sent | Busy> {
    const { email, jti, secret, expiresAt, sentAgain } = login;
    const from = `${client.ip}, ${device}`;
    const code = drawCode(random, settings.codeKind);
    const codeHash = codeHashOf(codeKey.current, jti, code);
    const mail = renderLoginMail(look, settings.template, {
      to: email,
      loginUrl: linkFor({ ...login, from, binding: bindingOf(secret) }),
      code: shownCode(code),
      expiryMinutes: Math.max(1, Math.round((expiresAt - clock.now()) / 60_000)),
      fromIp: client.ip,
      device,
    });
    const loginCookie = tickets.sign(LOGIN_REQUEST, { ...login, codeHash });
    await setImmediate();
    const about: HookFacts = { email, client, request, next: login.next };
    const note = (reason: string) => audit(LOGIN_REQUESTED, { subject: email, client: client.ip, reason });
    const noteQueued = (is: boolean) => note(!is ? "queue_full" : sentAgain === 0 ? "queued" : "sent_again");
    const newMail = { to: email, kind: "login", content: mail, cooldownKey } as const;
    let queued: boolean;
    let first: boolean;
    let refusal: "not_allowed" | "on_hold" | undefined;
    try {
      const [isKnown, until] = await Promise.all([known.has(email), sessions.holds.until(email)]);
      refusal = !policy.allows(email) ? "not_allowed" : until === undefined ? undefined : "on_hold";
      first = refusal === undefined && isKnown;
      // One that is still to be decided takes the same steps, and is queued once more when it is to be sent.
      const isSent = refusal === undefined && hooks.judgeAsking === undefined;
      queued = await outbox.queue({ ...newMail, expiresAt: isSent ? expiresAt : NEVER_SENT, first });
      if (queued) await hooks.tell("login_requested", about);
    } catch (error) {
      note("store_unavailable");
      throw error;
    }
    if (refusal !== undefined) note(refusal);
    else if (!queued || hooks.judgeAsking === undefined) noteQueued(queued);
    else {
      hooks.judgeAsking(about, async (isAllowed) => {
        if (!isAllowed) return note("denied");
        try {
          noteQueued(await outbox.queue({ ...newMail, expiresAt, first }));
        } catch (error) {
          note("store_unavailable");
          throw error;
        }
      });
    }
    if (!queued) return { outcome: "busy", retryAfterMs: FULL_RETRY_MS };
    return { outcome: "accepted", loginCookie, expiresAt };
  }

  /** Some mail programs break longer ones. */
  function linkFor(ticket: LoginTicket): string {
    const { next = "" } = ticket;
    const whole = linkOf(tickets.sign(LOGIN_LINK, ticket));
    if (next.length <= MAX_CARRIED && whole.length <= MAX_LINK) return whole;
    return linkOf(tickets.sign(LOGIN_LINK, { ...ticket, next: undefined }));
  }

  function note(reason: RefusedReason, { client }: Redeemer, email?: Address): void {
    audit(REDEMPTION_REFUSED, { client: client.ip, reason, subject: email });
  }

  type NotSignedIn = { readonly outcome: "used"; readonly use: Use } | { readonly outcome: "withdrawn" };

  /** Of a link, or of its code, which is good once. */
  type Redeemable = Login & Pick<LoginTicket, "uses">;

  async function redeem(
    ticket: Redeemable,
    how: "link" | "code",
    by: Redeemer,
  ): Promise<Redeemed | NotSignedIn> {
    try {
      return await signIn(ticket, how, by);
    } catch (error) {
      // A redemption that the store kept from happening is an event too.
      if (error instanceof StoreUnavailable) note("store_unavailable", by, ticket.email);
      if (error instanceof OnHold) note("on_hold", by, ticket.email);
      throw error;
    }
  }

  async function signIn(
    ticket: Redeemable,
    how: "link" | "code",
    by: Redeemer,
  ): Promise<Redeemed | NotSignedIn> {
    const { email, issuedAt, uses } = ticket;
    if (!policy.allows(email)) await policy.catchUp();
    if (!policy.allows(email)) {
      note("not_allowed", by, email);
      return { outcome: "withdrawn" };
    }
    // Everything that can be asked before is, so that a store that stumbles costs nobody their link.
    const old = await sessions.findAll(by.oldSessions, by.origin);
    const next = await nextOf(ticket, by);
    const use = { at: clock.now(), device: recognizeDevice(by.userAgent) };
    const used = (before: Use): NotSignedIn => {
      note("spent", by, email);
      return { outcome: "used", use: before };
    };
    const before = await sharedLinks.useOf(ticket);
    if (before !== undefined) return used(before);
    const visit = { client: by.client, request: by.request, next };
    const vouched = await hooks.judgeSignIn({ email, method: how, ...visit });
    const n = await sharedLinks.spend(ticket, use);
    if (n === undefined) return used((await sharedLinks.useOf(ticket)) ?? {});
    // Asked when the mark is made: whatever the store forgets before, it has begun anew by now.
    if (isBefore(await store.since(), issuedAt)) {
      note("before_store", by, email);
      return { outcome: "withdrawn" };
    }
    // Once more: hooks take their time.
    if (uses !== undefined && (await sharedLinks.isRevoked(ticket.jti))) {
      note("revoked", by, email);
      return { outcome: "withdrawn" };
    }
    const { userAgent } = by;
    const { keep = ticket.keep ?? false } = by;
    const kept = settings.remember === "always" || keep;
    const { cookie, record } = await begin(
      { email, userAgent, method: how, keep: kept, ...vouched },
      visit,
      old,
    );
    if (uses !== undefined) {
      audit(LINK_USED, { subject: email, session: record.id, n: String(n), of: String(uses) });
    }
    // Whoever has the mailbox may ask again for their next device. That it cannot be given back costs nobody the login.
    await (async () => limiter.release(limiter.mailKey(email)))().catch(() => {});
    return { outcome: "signed_in", cookie, record, next };
  }

  /** Where it leads in this browser; empty where nobody knows. */
  async function nextOf({ jti, next }: Login, { loginCookie }: Redeemer): Promise<string> {
    if (next !== undefined) return next;
    const request = await requestIn(loginCookie);
    return request?.jti === jti ? request.next : "";
  }

  /** A beginning in the future is that of a clock which was wrong, and says nothing: nobody could sign in until then. */
  function isBefore(since: number, issuedAt: number): boolean {
    return since <= clock.now() + CLOCK_SKEW_MS && issuedAt < Math.floor(since / 1000) * 1000;
  }

  /** Looks at a link without spending it. */
  async function inspect(token: string, by: Redeemer): Promise<LoginTicket | LinkRefused> {
    try {
      const ticket = await tickets.verify(LOGIN_LINK, token, "any");
      const whole = { ...ticket, next: await nextOf(ticket, by) };
      if (clock.now() >= ticket.expiresAt) {
        note("token_expired", by);
        return { outcome: "expired", ticket: whole };
      }
      if (
        ticket.uses === undefined ||
        (settings.multiUseLinks && !(await sharedLinks.isRevoked(ticket.jti)))
      ) {
        return whole;
      }
      note("revoked", by, ticket.email);
      return { outcome: "withdrawn", ticket: whole };
    } catch (error) {
      if (!(error instanceof TicketError)) throw error;
      note(`token_${error.problem}`, by);
      return { outcome: "not_ours" };
    }
  }

  async function redeemTicket(ticket: LoginTicket, by: Redeemer): Promise<Redeemed | LinkRefused> {
    const redeemed = await redeem(ticket, "link", by);
    return redeemed.outcome === "signed_in" ? redeemed : { ...redeemed, ticket };
  }

  /** What the login cookie holds, whether or not it has expired. */
  async function requestIn(loginCookie: string | undefined): Promise<LoginRequest | undefined> {
    try {
      return loginCookie === undefined ? undefined : await tickets.verify(LOGIN_REQUEST, loginCookie, "any");
    } catch (error) {
      if (error instanceof TicketError) return undefined;
      throw error;
    }
  }

  async function underWay(loginCookie: string | undefined): Promise<UnderWay | undefined> {
    const request = await requestIn(loginCookie);
    if (request === undefined) return undefined;
    const use = await spent.useOf(request.jti);
    const done = await progress.of(request);
    const now = clock.now();
    const state =
      use !== undefined
        ? "used"
        : now >= request.expiresAt
          ? "expired"
          : done.tries >= CODE_TRIES
            ? "used_up"
            : "waiting";
    const wait = waitOf(done, now);
    const againAt = wait === undefined ? undefined : now + wait;
    return { request, state, triesLeft: Math.max(0, CODE_TRIES - done.tries), use, againAt };
  }

  /** Whether opening a link is enough (CONTRACT section 2). */
  async function needsNoButton({ binding }: LoginTicket, { loginCookie }: Redeemer): Promise<boolean> {
    // A link that an operator printed belongs to no browser.
    if (binding === undefined) return false;
    if (settings.linkConfirm !== "auto") return settings.linkConfirm === "never";
    // The browser that asked.
    const request = await requestIn(loginCookie);
    return request !== undefined && sameSecret(bindingOf(request.secret), binding);
  }

  function matches(request: LoginRequest, code: string): boolean {
    const { current, previous } = codeKey;
    return [current, previous].some(
      (key) => key !== undefined && sameSecret(codeHashOf(key, request.jti, code), request.codeHash),
    );
  }

  /** What a link has that is tied to no browser. */
  const printed = { from: say(ENGLISH, said("device.operator")), binding: undefined };

  return {
    ask,
    crowd: queue.share,
    sendAgain,
    underWay,

    mintLink(email, next) {
      audit(LINK_PRINTED, { subject: email, actor: "operator", of: undefined });
      return linkFor({ ...printed, jti: randomText(), email, next, ...lifetime() });
    },

    invitationLink: (email, next, ms) =>
      linkFor({ ...printed, jti: randomText(), email, next, ...lifetime(ms) }),

    async mintSharedLink(email, next, { uses, route, lifetime: ms }) {
      const id = randomText();
      const times = lifetime(ms);
      // What is not in the list could not be revoked.
      await sharedLinks.add(id, { email, uses, route, createdAt: times.issuedAt }, times.expiresAt);
      audit(LINK_PRINTED, { subject: email, actor: "operator", of: String(uses) });
      const link = linkFor({ ...printed, jti: id, email, next, ...times, uses });
      return { link, id, expiresAt: times.expiresAt };
    },

    sharedLinks,

    async revokeLink(id, actor) {
      const link = await sharedLinks.find(id);
      if (link === undefined) return false;
      await settings.auditFirst(LINK_REVOKED, { subject: link.email, actor });
      return sharedLinks.revoke(id);
    },

    async openLink(token, by, isDeliberate) {
      const ticket = await inspect(token, by);
      if ("outcome" in ticket) return ticket;
      if (isDeliberate && (await needsNoButton(ticket, by))) return redeemTicket(ticket, by);
      const use = await sharedLinks.useOf(ticket);
      if (use === undefined) return { outcome: "confirm", ticket };
      note("spent", by, ticket.email);
      return { outcome: "used", ticket, use };
    },

    async redeemLink(token, by) {
      const ticket = await inspect(token, by);
      return "outcome" in ticket ? ticket : redeemTicket(ticket, by);
    },

    async redeemCode(typed, by) {
      const request = await requestIn(by.loginCookie);
      if (request === undefined) {
        note("no_login_cookie", by);
        return { outcome: "nothing" };
      }
      const refuse = (
        reason: RefusedReason,
        outcome: CodeRefused["outcome"],
        triesLeft?: number,
      ): CodeRefused => {
        note(reason, by, request.email);
        return { outcome, triesLeft };
      };
      if (clock.now() >= request.expiresAt) return refuse("token_expired", "expired");
      const code = parseCode(typed);
      // A slip that cannot be a code at all is not a try at guessing one.
      if (code === undefined) return refuse("wrong_code", "no_code");
      const left = await progress.countTry(request);
      if (left === undefined) return refuse("too_many_tries", "used_up", 0);
      // Of an older mail, the cookie with it is no longer good.
      const isLast = (await progress.of(request)).sentAgain === request.sentAgain;
      if (!isLast || !matches(request, code)) return refuse("wrong_code", "wrong", left);
      try {
        const redeemed = await redeem(request, "code", by);
        return redeemed.outcome === "signed_in" ? redeemed : { outcome: redeemed.outcome };
      } catch (error) {
        // It was the right one, and is good for as many tries as before.
        if (error instanceof SignInDenied) await progress.giveBack(request);
        throw error;
      }
    },

    async look(token) {
      try {
        return await tickets.verify(LOGIN_LINK, token);
      } catch (error) {
        if (error instanceof TicketError) return undefined;
        throw error;
      }
    },
  };
}
