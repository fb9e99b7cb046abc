import type { Clock, Random } from "../clock.ts";
import type { Client } from "../edge/client.ts";
import type { Hooks } from "../hooks/hooks.ts";
import type { Address } from "../identity/address.ts";
import { createBegin, type Started } from "../login/begin.ts";
import { drawCode } from "../login/code.ts";
import { createKnownAddresses } from "../login/known.ts";
import { bindingOf } from "../login/ticket.ts";
import type { Audit } from "../observe/audit.ts";
import { sameSecret } from "../secret/compare.ts";
import type { Keys } from "../secret/keys.ts";
import { MAX_USER_AGENT } from "../session/binding.ts";
import { OnHold } from "../session/hold.ts";
import type { Found, Sessions } from "../session/session.ts";
import { type RecordStore, type Seen, StoreUnavailable } from "../store/records.ts";
import { APPROVAL_GIVEN, APPROVAL_REFUSED } from "./audit.ts";
import { SECRET_BYTES } from "./cookie.ts";
import { APPROVAL_MS, type Approval, createApprovals, type Decision } from "./record.ts";

/** Screens that ask to be signed in, and people who approve them. No HTTP in here. */

export type ApprovalService = {
  /** @param before the screen's cookie from before, whose code is no longer good. @throws {StoreUnavailable} */
  ask(
    screen: Screen,
    before: string | undefined,
  ): Promise<{ readonly cookie: string; readonly code: string }>;
  /** What the screen with this cookie has asked for, and how that stands. @throws {StoreUnavailable} */
  standing(cookie: string | undefined, client: Client): Promise<Standing | undefined>;
  /**
   * Signs the screen in once it is approved: of all that ask, one.
   * @returns undefined where it is not, or not any more.
   * @throws {StoreUnavailable}, {OnHold} and {SignInDenied}
   */
  redeem(cookie: string, by: Redeemer): Promise<Started | undefined>;
  /** What somebody is to approve. @throws {StoreUnavailable} */
  look(code: string, by: Approver): Promise<Approval | undefined>;
  /** Has the screen show its number. @throws {StoreUnavailable} */
  show(code: string): Promise<void>;
  /**
   * @param number as picked; undefined to deny it.
   * @returns undefined where there is nothing to decide. Whoever decides twice gets what they decided first.
   * @throws {StoreUnavailable}
   */
  decide(
    code: string,
    number: string | undefined,
    by: Approver,
    keep: boolean,
  ): Promise<Decision | undefined>;
};

export type Screen = Pick<Approval, "next" | "ip" | "userAgent">;

export type Standing = {
  readonly state: Approval["state"] | "expired";
  readonly code: string;
} & Pick<Approval, "number" | "next" | "expiresAt">;

export type Approver = { readonly who: Found; readonly client: Client };

export type Redeemer = {
  readonly client: Client;
  /** The id of the request, as in the log. */
  readonly request: string;
  readonly userAgent: string;
  /** Cookies of the sessions it had before, which end, and the origin of the host that got them. */
  readonly oldSessions: readonly string[];
  readonly origin: string;
};

type From = { readonly client: Pick<Client, "ip"> };

/** For the audit, never for the visitor. */
type RefusedReason =
  | Exclude<Decision, "approved">
  | "unknown_code"
  | "wrong_browser"
  | "expired"
  /** By somebody, or nobody has looked at it. */
  | "not_open"
  | "approver_ended"
  | "spent"
  | "on_hold";

export type ApprovalSettings = {
  readonly allowedEmails: ReadonlySet<Address>;
  readonly remember: "ask" | "always";
  readonly keys: Keys;
  readonly store: RecordStore;
  readonly sessions: Sessions;
  readonly hooks: Pick<Hooks, "tell" | "judgeSignIn">;
  readonly audit: Audit;
  readonly clock: Clock;
  readonly random: Random;
};

/** Of 31^8 codes, 10,000 at most are taken: one try will do. */
const MOST_TRIES = 5;

export function createApprovalService(settings: ApprovalSettings): ApprovalService {
  const { keys, store, sessions, hooks, audit, clock, random } = settings;
  const approvals = createApprovals(store, keys);
  const known = createKnownAddresses(settings.allowedEmails, store, clock);
  const begin = createBegin({ sessions, known, hooks, audit });

  function refuse(reason: RefusedReason, { client }: From, email?: string): undefined {
    audit(APPROVAL_REFUSED, { client: client.ip, reason, subject: email });
  }

  const isOver = ({ expiresAt }: Approval) => clock.now() >= expiresAt;

  /** That of the browser which holds the cookie. */
  async function ofBrowser(cookie: string, by: From) {
    const [code = "", secret = ""] = cookie.split(".");
    const seen = await approvals.get(code);
    if (seen === undefined) return undefined;
    return sameSecret(bindingOf(secret), seen.record.browser) ? { code, seen } : refuse("wrong_browser", by);
  }

  /** That which is open to be decided, or was decided in this very session. */
  async function ofCode(code: string, by: Approver): Promise<Seen<Approval> | undefined> {
    const email = by.who.record.email;
    const seen = await approvals.get(code);
    if (seen === undefined) return refuse("unknown_code", by, email);
    if (isOver(seen.record)) return refuse("expired", by, email);
    const { state, session } = seen.record;
    const isOpen = state === "waiting" || state === "shown" || session === by.who.record.id;
    return isOpen ? seen : refuse("not_open", by, email);
  }

  return {
    async ask({ next, ip, userAgent }, before) {
      const [old = ""] = before?.split(".") ?? [];
      if (before !== undefined && (await ofBrowser(before, { client: { ip } })) !== undefined) {
        await approvals.take(old);
      }
      const secret = Buffer.from(random.bytes(SECRET_BYTES)).toString("base64url");
      const numbers = drawNumbers(random);
      const askedAt = clock.now();
      const one = {
        ...{ next, ip, userAgent: userAgent.slice(0, MAX_USER_AGENT), askedAt },
        ...{ browser: bindingOf(secret), expiresAt: askedAt + APPROVAL_MS, state: "waiting" as const },
        ...{ number: numbers[0] ?? "", numbers: numbers.toSorted().join(" ") },
        ...{ email: "", session: "", keep: false },
      };
      for (let tries = 0; tries < MOST_TRIES; tries++) {
        const code = drawCode(random, "letters");
        if (await approvals.add(code, one)) return { cookie: `${code}.${secret}`, code };
      }
      throw new StoreUnavailable("no code was free");
    },

    async standing(cookie, client) {
      const found = cookie === undefined ? undefined : await ofBrowser(cookie, { client });
      if (found === undefined) return undefined;
      const { number, next, expiresAt, state } = found.seen.record;
      const isOpen = state === "waiting" || state === "shown" || state === "approved";
      const now = isOpen && isOver(found.seen.record) ? "expired" : state;
      return { state: now, code: found.code, number, next, expiresAt };
    },

    async redeem(cookie, by) {
      const found = await ofBrowser(cookie, by);
      if (found === undefined) return undefined;
      const { code, seen } = found;
      const { state, session, keep, next } = seen.record;
      const email = seen.record.email as Address;
      if (state !== "approved") return undefined;
      if (isOver(seen.record)) return refuse("expired", by, email);
      // Whoever has signed out since, or has been signed out, approves nothing; and the allow-list is asked with it.
      const isApproved = async () => {
        const approver = await sessions.alive(session, false);
        return approver !== undefined && "email" in approver.subject && approver.subject.email === email;
      };
      const old = await sessions.findAll(by.oldSessions, by.origin);
      const { client, request, userAgent } = by;
      const visit = { client, request, next };
      const method = "approval";
      // Of whoever is let in by nobody, nobody is asked.
      const vouched = (await isApproved()) ? await hooks.judgeSignIn({ email, method, ...visit }) : undefined;
      if (!(await approvals.take(code))) return refuse("spent", by, email);
      // Once more: hooks take their time.
      if (vouched === undefined || !(await isApproved())) return refuse("approver_ended", by, email);
      const kept = settings.remember === "always" || keep;
      try {
        return await begin({ email, userAgent, method, keep: kept, ...vouched }, visit, old);
      } catch (error) {
        if (error instanceof OnHold) refuse("on_hold", by, email);
        throw error;
      }
    },

    look: async (code, by) => (await ofCode(code, by))?.record,

    async show(code) {
      const seen = await approvals.get(code);
      // That somebody else was quicker changes nothing.
      if (seen?.record.state === "waiting") await approvals.change(seen, { state: "shown" });
    },

    async decide(code, number, by, keep) {
      const seen = await ofCode(code, by);
      if (seen === undefined) return undefined;
      const { email, id: session } = by.who.record;
      const { state } = seen.record;
      if (state !== "waiting" && state !== "shown") return state;
      // Nobody can have seen its number.
      if (state === "waiting" && number !== undefined) return refuse("not_open", by, email);
      const decision =
        number === undefined ? "denied" : number === seen.record.number ? "approved" : "wrong_number";
      const changed = await approvals.change(seen, { state: decision, email, session, keep });
      if (!changed) return refuse("not_open", by, email);
      if (decision === "approved") audit(APPROVAL_GIVEN, { subject: email, client: by.client.ip, session });
      else refuse(decision, by, email);
      return decision;
    },
  };
}

const NUMBERS = 3;

/** Different ones of two digits, each equally likely. */
function drawNumbers(random: Random): string[] {
  const drawn = new Set<string>();
  while (drawn.size < NUMBERS) {
    // The bytes above the largest multiple would favor the first.
    for (const byte of random.bytes(NUMBERS)) {
      if (byte < 180 && drawn.size < NUMBERS) drawn.add(String(10 + (byte % 90)));
    }
  }
  return [...drawn];
}
