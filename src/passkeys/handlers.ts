import type { AccountVisitor } from "../account/section.ts";
import { isRecent } from "../api/own.ts";
import {
  type ExtraHeaders,
  type Failure,
  failure,
  json,
  Refusal,
  redirect,
  SIGN_IN,
  unauthenticated,
} from "../edge/answer.ts";
import type { Arrival } from "../edge/arrival.ts";
import { readFields, readJson } from "../edge/body.ts";
import { isNavigation } from "../edge/navigation.ts";
import { BINDING_BYTES } from "../hand-off/cookie.ts";
import type { House } from "../house.ts";
import type { Address } from "../identity/address.ts";
import { limitRefusal } from "../limits/answer.ts";
import { createVisits } from "../login/visit.ts";
import { said } from "../pages/language.ts";
import { ACCOUNT_PATH, loginHref } from "../pages/paths.ts";
import type { Html } from "../pages/template.ts";
import { describeDevice, recognizeDevice } from "../session/device.ts";
import type { Found } from "../session/session.ts";
import { readAssertion, readAttestation } from "./answer.ts";
import { PASSKEY_REFUSED } from "./audit.ts";
import { createPasskeyNotice } from "./notice.ts";
import { passkeysPart, signInPart } from "./pages.ts";
import { createPasskeyService, type Offer } from "./service.ts";

/** What is asked of passkeys over HTTP. */

export type PasskeyHandlers = ReturnType<typeof createPasskeyHandlers>;

const MAX_NAME = 60;
/** What the page of the account is asked to say. */
const REMOVED = "passkey-removed";

export function createPasskeyHandlers(house: House) {
  const { options, routes, sessions, sessionCookie, bindingCookie, clock } = house;
  const service = createPasskeyService({
    ...house,
    ...options,
    rpId: new URL(options.baseUrl).hostname,
    store: house.stores,
    log: house.loggers("login"),
  });

  const visits = createVisits(house);
  const tell = createPasskeyNotice(house);
  const findSession = async (arrival: Arrival) => sessions.find(sessionCookie.read(arrival), arrival);

  /** Whoever is signed in, on the host where people do that. @throws {Refusal} */
  async function owner(arrival: Arrival): Promise<Found> {
    house.guardPost(arrival);
    // What runs on a further host must not be able to add a way in that is good on all of them.
    if (arrival.origin !== routes.home.origin) throw new Refusal(WRONG_HOST);
    const found = await findSession(arrival);
    if (found === undefined) throw new Refusal(unauthenticated(arrival.origin));
    return found;
  }

  /** The same, if they signed in a short while ago. @throws {Refusal} */
  async function recentOwner(arrival: Arrival): Promise<Found> {
    const found = await owner(arrival);
    if (isRecent(found.principal, clock.now())) return found;
    throw new Refusal({
      ...TOO_LONG_AGO,
      fields: { login_url: arrival.origin + loginHref(ACCOUNT_PATH, true) },
    });
  }

  /** @throws {Refusal} if no further attempt may be made. */
  async function countAttempt({ client }: Arrival): Promise<void> {
    const outcome = await house.limiter.redemption(client);
    if (outcome.allowed) return;
    house.audit(PASSKEY_REFUSED, { client: client.ip, reason: "rate_limited", subject: undefined });
    throw new Refusal(limitRefusal("IP", outcome.retryAfterMs));
  }

  /** Sent again if it is there already, so that it lasts; one serves all tabs. */
  function bindingOf(arrival: Arrival): string {
    return (
      bindingCookie.read(arrival) ?? Buffer.from(house.random.bytes(BINDING_BYTES)).toString("base64url")
    );
  }

  function offered(offer: Offer, binding: string): Response {
    return json(offer, 200, [["Set-Cookie", bindingCookie.line(binding)]]);
  }

  const deviceOf = (arrival: Arrival) =>
    describeDevice(arrival.lookOf(arrival).language, recognizeDevice(arrival.headers["user-agent"] ?? null));
  const sentBy = (arrival: Arrival) => ({
    client: arrival.client,
    origin: arrival.origin,
    binding: bindingCookie.read(arrival),
  });

  return {
    /** On the page of the account. */
    async section({ found, look, arrival, done }: AccountVisitor) {
      const passkeys = await service.list(found.record.email as Address);
      const again = isRecent(found.principal, clock.now()) ? undefined : loginHref(ACCOUNT_PATH, true);
      const content = passkeysPart(look, { passkeys, again, device: deviceOf(arrival) });
      const notice = done === REMOVED ? said("passkeys.removed") : undefined;
      return { heading: said("passkeys.heading"), content, notice };
    },

    async offerRegistration(arrival: Arrival): Promise<Response> {
      const found = await recentOwner(arrival);
      const binding = bindingOf(arrival);
      const offer = await service.offerRegistration(found.record.email as Address, binding);
      return offer === "full" ? failure(arrival, FULL) : offered(offer, binding);
    },

    async register(arrival: Arrival): Promise<Response> {
      const who = await recentOwner(arrival);
      await countAttempt(arrival);
      const { answer, ticket, text } = readAttestation(await readJson(arrival.request));
      const name = nameFrom(text("name")) || deviceOf(arrival);
      const added = await service.register({ ...sentBy(arrival), answer, ticket, who, name });
      if (added === undefined) return failure(arrival, NOT_ADDED);
      if (added === "full") return failure(arrival, FULL);
      if (options.newDeviceMail) await tell(arrival, who.record.email);
      return json({ message: "Added." }, 201);
    },

    async remove(arrival: Arrival): Promise<Response> {
      const who = await owner(arrival);
      const { id = "" } = await readFields(arrival.request);
      const removed = await service.remove(id, who, arrival.client);
      if (isNavigation(arrival.request.headers))
        return redirect(303, `${ACCOUNT_PATH}?done=${removed ? REMOVED : ""}`);
      return removed ? json({ message: "Removed." }) : failure(arrival, NO_SUCH_PASSKEY);
    },

    offerSignIn(arrival: Arrival): Response {
      house.guardPost(arrival);
      const binding = bindingOf(arrival);
      return offered(service.offerSignIn(arrival.origin, binding), binding);
    },

    async signIn(arrival: Arrival): Promise<Response> {
      house.guardPost(arrival);
      await countAttempt(arrival);
      const { answer, ticket, text } = readAssertion(await readJson(arrival.request));
      const started = await service.signIn({
        ...sentBy(arrival),
        answer,
        ticket,
        request: arrival.id,
        next: visits.nextOf(arrival, text("next")),
        userAgent: arrival.headers["user-agent"] ?? "",
        keep: options.remember === "always" || text("remember") === "true",
        oldSessions: sessionCookie.read(arrival),
      });
      if (started === undefined) return failure(arrival, NOT_SIGNED_IN);
      const { cookie, record } = started;
      const { origin } = arrival;
      const next = visits.onward(arrival, text("next"));
      const cookies =
        origin === routes.home.origin
          ? [...sessionCookie.issue(cookie, record.brief), ...(await house.devices.signedIn(arrival, record))]
          : sessionCookie.issueHere(sessions.cookieFor(record.id, origin), record.brief);
      const lines: ExtraHeaders = cookies.map((line) => ["Set-Cookie", line]);
      const headers = [...lines, ...house.keptPosts.remember(record.email as Address)];
      return json({ message: "Signed in.", next }, 200, headers);
    },

    disown: service.removeAll,
    renewSeals: service.renewSeals,

    /** On the login page. */
    wayIn: (arrival: Arrival, next: string): Html => signInPart(arrival.lookOf(arrival), next),
  };
}

/** As it is shown: one line, without what cannot be seen. */
function nameFrom(typed: string | undefined): string {
  const line = (typed ?? "").replace(/[\p{C}\s]+/gu, " ").trim();
  return [...line].slice(0, MAX_NAME).join("");
}

const WRONG_HOST: Failure = {
  status: 421,
  error: "wrong_host",
  title: said("passkeys.elsewhereTitle"),
  message: said("passkeys.elsewhere"),
  action: SIGN_IN,
};

const TOO_LONG_AGO: Failure = {
  status: 403,
  error: "sign_in_again",
  title: said("passkeys.oldTitle"),
  message: said("passkeys.old"),
};

const FULL: Failure = {
  status: 409,
  error: "too_many_passkeys",
  title: said("passkeys.fullTitle"),
  message: said("passkeys.full"),
};

const NOT_ADDED: Failure = {
  status: 400,
  error: "invalid_passkey",
  title: said("passkeys.notAddedTitle"),
  message: said("passkeys.notAdded"),
};

const NO_SUCH_PASSKEY: Failure = {
  status: 404,
  error: "not_found",
  title: said("notFound.title"),
  message: said("passkeys.none"),
};

const NOT_SIGNED_IN: Failure = {
  status: 401,
  error: "invalid_passkey",
  title: said("passkeys.invalidTitle"),
  message: said("passkeys.invalid"),
  action: SIGN_IN,
};
