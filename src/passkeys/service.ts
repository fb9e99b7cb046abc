import { setImmediate } from "node:timers/promises";
import type { Policy } from "../access/policy.ts";
import type { Clock, Random } from "../clock.ts";
import type { Client } from "../edge/client.ts";
import type { Hooks, Vouched } from "../hooks/hooks.ts";
import type { Address } from "../identity/address.ts";
import { createBegin, type Started } from "../login/begin.ts";
import { createKnownAddresses } from "../login/known.ts";
import { createSpentTickets } from "../login/spent.ts";
import { bindingOf } from "../login/ticket.ts";
import type { Audit } from "../observe/audit.ts";
import type { Logger } from "../observe/logger.ts";
import { sameSecret } from "../secret/compare.ts";
import type { Keys } from "../secret/keys.ts";
import { createTickets, TicketError, type TicketKind, type TicketProblem } from "../secret/ticket.ts";
import { OnHold } from "../session/hold.ts";
import type { Found, Sessions } from "../session/session.ts";
import { FOREVER, type RecordStore, type Seen } from "../store/records.ts";
import { AnswerError, type AnswerProblem, type Assertion, type Attestation } from "./answer.ts";
import { PASSKEY_ADDED, PASSKEY_REFUSED, PASSKEY_REMOVED } from "./audit.ts";
import { ALGORITHMS } from "./key.ts";
import { createPasskeySeals, MOST_PASSKEYS, PASSKEYS, type Passkey, SEAL_KEY } from "./record.ts";
import { CHALLENGE_MS, REGISTRATION, SIGN_IN_BY_PASSKEY } from "./ticket.ts";

/** Passkeys: adding, listing and removing one's own, and signing in with one. No HTTP in here. */

export type PasskeyService = {
  /** What a browser needs to make one, and the ticket that its answer comes back with. @throws {StoreUnavailable} */
  offerRegistration(email: Address, binding: string): Promise<Offer | "full">;
  /**
   * @returns undefined for what is not accepted, whose reason is in the audit.
   * @throws {StoreUnavailable}
   */
  register(sent: Registration): Promise<"added" | "full" | undefined>;
  /** The same for signing in, where nobody has said who they are. */
  offerSignIn(origin: string, binding: string): Offer;
  /** @throws {StoreUnavailable}, {OnHold} and {SignInDenied} */
  signIn(sent: SignInAnswer): Promise<Started | undefined>;
  /** Oldest first. @throws {StoreUnavailable} */
  list(email: Address): Promise<Seen<Passkey>[]>;
  /** False if they have none with this id. @throws {StoreUnavailable} */
  remove(id: string, who: Found, client: Client): Promise<boolean>;
  /** @throws {StoreUnavailable} */
  removeAll(email: Address): Promise<void>;
  /** Seals anew what is under the key before this one. @returns how many there were. @throws {StoreUnavailable} */
  renewSeals(): Promise<number>;
};

/** Options in the form that browsers read (WebAuthn §5.1.8, §5.1.9). */
export type Offer = { readonly publicKey: object; readonly ticket: string };

type Answered<Answer> = {
  readonly answer: Answer;
  readonly ticket: string;
  readonly client: Client;
  /** The browser's binding cookie. */
  readonly binding: string | undefined;
  /** Of the host that was asked. */
  readonly origin: string;
};

export type Registration = Answered<Attestation> & { readonly who: Found; readonly name: string };

export type SignInAnswer = Answered<Assertion> & {
  readonly userAgent: string;
  /** The id of the request, as in the log. */
  readonly request: string;
  /** Where to go afterwards, already through `safeDestination`. */
  readonly next: string;
  /** Whether the browser is to be kept signed in. */
  readonly keep: boolean;
  /** Cookies of the sessions that the browser had before, which end. */
  readonly oldSessions: readonly string[];
};

/** For the audit, never for the visitor. */
type RefusedReason =
  | `token_${TicketProblem}`
  | AnswerProblem
  | "no_binding"
  | "wrong_binding"
  | "wrong_host"
  | "wrong_user"
  | "unknown"
  | "broken_seal"
  | "not_allowed"
  | "known"
  | "full"
  | "spent"
  | "on_hold"
  /** It, or a copy of it, has been used since (WebAuthn §6.1.1). */
  | "counter"
  | "contended";

export type PasskeySettings = {
  /** Host name of the base URL: what authenticators know this site by. */
  readonly rpId: string;
  readonly baseUrl: string;
  readonly allowedEmails: ReadonlySet<Address>;
  readonly keys: Keys;
  readonly store: RecordStore;
  readonly sessions: Sessions;
  readonly hooks: Pick<Hooks, "tell" | "judgeSignIn">;
  readonly policy: Policy;
  readonly audit: Audit;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Logger;
};

/** Of an authenticator's user and of a challenge (WebAuthn §13.4.3 asks for 16 at least). */
const RANDOM_BYTES = 32;
/** A passkey is used by so many at once at most: others are asked to try again. */
const MOST_TRIES = 5;
/** Sealed anew in one go; others are served in between. */
const STEP = 100;

export function createPasskeyService(settings: PasskeySettings): PasskeyService {
  const { rpId, keys, store, sessions, hooks, policy, audit, clock, random, log } = settings;
  const records = store.records(PASSKEYS);
  const seals = createPasskeySeals(keys.for(SEAL_KEY, "session"));
  const tickets = createTickets(keys, { audience: settings.baseUrl, clock });
  const spent = createSpentTickets(store, clock);
  const known = createKnownAddresses(settings.allowedEmails, store, clock);
  const begin = createBegin({ sessions, known, hooks, audit });
  const draw = () => Buffer.from(random.bytes(RANDOM_BYTES)).toString("base64url");

  const list = async (email: Address) => records.find({ where: { email }, most: Number.MAX_SAFE_INTEGER });

  function grant() {
    const issuedAt = clock.now();
    return { jti: draw(), issuedAt, expiresAt: issuedAt + CHALLENGE_MS };
  }

  function refuse(
    reason: RefusedReason,
    { client }: Pick<Answered<unknown>, "client">,
    email?: string,
  ): undefined {
    audit(PASSKEY_REFUSED, { client: client.ip, reason, subject: email });
  }

  /** The ticket that an answer came with, from the browser that got it. */
  async function ticketOf<T extends { readonly bind: string }>(kind: TicketKind<T>, sent: Answered<unknown>) {
    try {
      const ticket = await tickets.verify(kind, sent.ticket);
      if (sent.binding === undefined) return refuse("no_binding", sent);
      return sameSecret(bindingOf(sent.binding), ticket.bind) ? ticket : refuse("wrong_binding", sent);
    } catch (error) {
      if (error instanceof TicketError) return refuse(`token_${error.problem}`, sent);
      throw error;
    }
  }

  async function verified<T>(verify: Promise<T>, sent: Answered<unknown>, email: string) {
    try {
      return await verify;
    } catch (error) {
      if (!(error instanceof AnswerError)) throw error;
      log.debug("refused what an authenticator answered", { reason: error.message, client: sent.client.ip });
      return refuse(error.problem, sent, email);
    }
  }

  /** Notes a use, and judges the counter by what was noted last. */
  async function use(id: string, email: Address, counter: number): Promise<"used" | RefusedReason> {
    for (let tries = 0; tries < MOST_TRIES; tries++) {
      const seen = await records.get(id);
      if (seen?.record.email !== email) return "unknown";
      // Whatever somebody has put there meanwhile must not get our seal.
      if (!seals.isOurs(id, seen.record)) return "broken_seal";
      const { seal: _, ...before } = seen.record;
      // Those that are kept on several devices do not count.
      if ((counter > 0 || before.counter > 0) && counter <= before.counter) return "counter";
      const used = seals.seal(id, { ...before, counter, usedAt: clock.now() });
      if (await records.replace(seen, used, "grouped")) return "used";
    }
    return "contended";
  }

  async function start(
    sent: SignInAnswer,
    email: Address,
    vouched: Vouched,
    old: readonly Pick<Found, "record">[],
  ) {
    const { userAgent, keep } = sent;
    try {
      return await begin({ email, userAgent, method: "passkey", keep, ...vouched }, sent, old);
    } catch (error) {
      if (error instanceof OnHold) refuse("on_hold", sent, email);
      throw error;
    }
  }

  return {
    async offerRegistration(email, binding) {
      const own = await list(email);
      if (own.length >= MOST_PASSKEYS) return "full";
      const user = own[0]?.record.user ?? draw();
      const ticket = { ...grant(), email, user, bind: bindingOf(binding) };
      return {
        ticket: tickets.sign(REGISTRATION, ticket),
        publicKey: {
          rp: { id: rpId, name: rpId },
          user: { id: user, name: email, displayName: email },
          challenge: ticket.jti,
          pubKeyCredParams: ALGORITHMS.map((alg) => ({ type: "public-key", alg })),
          timeout: CHALLENGE_MS,
          // An authenticator that has one already makes no second.
          excludeCredentials: own.map(({ id }) => ({ type: "public-key", id })),
          authenticatorSelection: {
            residentKey: "required",
            requireResidentKey: true,
            userVerification: "required",
          },
          attestation: "none",
        },
      };
    },

    async register(sent) {
      const { answer, client, origin, who, name } = sent;
      const { email } = who.record;
      const ticket = await ticketOf(REGISTRATION, sent);
      if (ticket === undefined) return undefined;
      if (ticket.email !== email) return refuse("wrong_user", sent, email);
      const expected = { challenge: ticket.jti, origin, rpId };
      const { verifyAttestation } = await import("./verify.ts");
      const made = await verified(verifyAttestation(answer, expected), sent, email);
      if (made === undefined) return undefined;
      if (!(await spent.spend(ticket.jti, ticket.expiresAt))) return refuse("spent", sent, email);
      const { id, ...facts } = made;
      const passkey = { email, user: ticket.user, ...facts, name, createdAt: clock.now(), usedAt: 0 };
      if (!(await records.add(id, seals.seal(id, passkey), FOREVER))) return refuse("known", sent, email);
      // Asked afterwards, so that of several at once none is one too many, and none is left that is added while all are removed.
      const isOnHold = (await sessions.holds.until(ticket.email)) !== undefined;
      if (isOnHold || (await list(ticket.email)).length > MOST_PASSKEYS) {
        await records.take(id);
        refuse(isOnHold ? "on_hold" : "full", sent, email);
        return isOnHold ? undefined : "full";
      }
      audit(PASSKEY_ADDED, { subject: email, client: client.ip, session: who.record.id });
      return "added";
    },

    offerSignIn(origin, binding) {
      const ticket = { ...grant(), origin, bind: bindingOf(binding) };
      return {
        ticket: tickets.sign(SIGN_IN_BY_PASSKEY, ticket),
        publicKey: {
          challenge: ticket.jti,
          timeout: CHALLENGE_MS,
          rpId,
          // None in particular: authenticators offer those that they have.
          allowCredentials: [],
          userVerification: "required",
        },
      };
    },

    async signIn(sent) {
      const { answer, origin } = sent;
      const ticket = await ticketOf(SIGN_IN_BY_PASSKEY, sent);
      if (ticket === undefined) return undefined;
      if (ticket.origin !== origin) return refuse("wrong_host", sent);
      const seen = await records.get(answer.id);
      if (seen === undefined) return refuse("unknown", sent);
      const { record: passkey } = seen;
      const email = passkey.email as Address;
      if (!seals.isOurs(answer.id, passkey)) return refuse("broken_seal", sent);
      const expected = { challenge: ticket.jti, origin, rpId };
      const { verifyAssertion } = await import("./verify.ts");
      const counter = await verified(verifyAssertion(answer, passkey, expected), sent, email);
      if (counter === undefined) return undefined;
      if (!policy.allows(email)) return refuse("not_allowed", sent, email);
      const old = await sessions.findAll(sent.oldSessions, origin);
      const { client, request, next } = sent;
      const vouched = await hooks.judgeSignIn({ email, method: "passkey", client, request, next });
      if (!(await spent.spend(ticket.jti, ticket.expiresAt))) return refuse("spent", sent, email);
      const noted = await use(answer.id, email, counter);
      if (noted !== "used") return refuse(noted, sent, email);
      return start(sent, email, vouched, old);
    },

    list,

    async remove(id, who, client) {
      const { email } = who.record;
      const seen = await records.get(id);
      if (seen?.record.email !== email || (await records.take(id)) === undefined) return false;
      audit(PASSKEY_REMOVED, { subject: email, client: client.ip, session: who.record.id });
      return true;
    },

    async renewSeals() {
      const old = (await records.find({ most: Number.MAX_SAFE_INTEGER })).filter(({ id, record }) =>
        seals.isOld(id, record),
      );
      for (const [at, seen] of old.entries()) {
        const { seal: _, ...passkey } = seen.record;
        await records.replace(seen, seals.seal(seen.id, passkey), "light");
        if (at % STEP === STEP - 1) await setImmediate();
      }
      return old.length;
    },

    async removeAll(email) {
      for (const _ of await records.takeAll("email", email))
        audit(PASSKEY_REMOVED, { subject: email, client: undefined, session: undefined });
    },
  };
}
