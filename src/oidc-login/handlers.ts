import { routeFor } from "../access/routes.ts";
import { providerUrl } from "../bearer/options.ts";
import { createProviderKeys, ProviderUnavailable } from "../bearer/provider-keys.ts";
import {
  type ExtraHeaders,
  type Failure,
  failure,
  json,
  Refusal,
  redirect,
  SIGN_IN,
} from "../edge/answer.ts";
import type { Arrival } from "../edge/arrival.ts";
import { readFields } from "../edge/body.ts";
import { isDeliberate } from "../edge/navigation.ts";
import { cutTarget } from "../edge/target.ts";
import { NO_REFERRER } from "../hand-off/begin.ts";
import type { HookFacts, Vouched } from "../hooks/hooks.ts";
import type { House } from "../house.ts";
import type { Address } from "../identity/address.ts";
import { limitRefusal } from "../limits/answer.ts";
import { REDEEMED } from "../login/audit.ts";
import { SignInDenied } from "../login/denied.ts";
import { partsOf } from "../login/next.ts";
import { createSpentTickets } from "../login/spent.ts";
import { createVisits } from "../login/visit.ts";
import { type Said, said } from "../pages/language.ts";
import { loginHref } from "../pages/paths.ts";
import { sameSecret } from "../secret/compare.ts";
import { createTickets, type Grant, TicketError } from "../secret/ticket.ts";
import { agentOf } from "../session/device.ts";
import { OnHold } from "../session/hold.ts";
import { revoke } from "../session/revoke.ts";
import type { NewSession } from "../session/start.ts";
import type { LimitOutcome } from "../store/limits.ts";
import { OIDC_LOGOUT_REFUSED, OIDC_REFUSED } from "./audit.ts";
import { addressIn, groupsIn } from "./claims.ts";
import { type Answer, AnswerError, createProviderClient } from "./client.ts";
import type { OidcCookie } from "./cookie.ts";
import { createLogins } from "./logins.ts";
import { LogoutTokenError, verifyLogoutToken } from "./logout-token.ts";
import { callbackPath, type Provider, titleOf } from "./provider.ts";
import { OIDC_LOGIN, OIDC_LOGIN_MS, type OidcLogin } from "./ticket.ts";

/** Signing in with one OpenID provider: to it, back from it, and out when it says so. */

export type OidcHandlers = ReturnType<typeof createOidcHandlers>;

/** The clocks of a provider and of ours may differ by so much. */
const CLOCK_SKEW_MS = 30_000;
const SECRET_BYTES = 32;

export function createOidcHandlers(house: House, provider: Provider, cookie: OidcCookie) {
  const { options, routes, policy, sessions, sessionCookie, limiter, hooks, audit, clock } = house;
  const log = house.loggers("login");
  const redirectUri = options.baseUrl + callbackPath(provider);
  const client = createProviderClient({ ...house, provider, redirectUri, log });
  const keys = createProviderKeys({
    ...{ issuer: provider.issuer, jwksUrl: undefined, checkUrl: providerUrl },
    ...{ fetch: house.fetch, clock, log },
  });
  const tickets = createTickets(house.keys, { audience: options.baseUrl, clock });
  const spent = createSpentTickets(house.stores, clock);
  const logins = createLogins(house.stores);
  const title = titleOf(provider);
  const draw = () => Buffer.from(house.random.bytes(SECRET_BYTES)).toString("base64url");
  const visits = createVisits(house);

  /** Says why not, to the visitor in general and to the operator in particular. */
  function refuse(arrival: Arrival, reason: string, what: Failure, email?: Address): Response {
    audit(OIDC_REFUSED, { client: arrival.client.ip, by: provider.name, reason, subject: email });
    return failure(arrival, { ...what, headers: [...(what.headers ?? []), NO_REFERRER] });
  }

  function refuseTooMany(arrival: Arrival, outcome: LimitOutcome): Response | undefined {
    return outcome.allowed
      ? undefined
      : refuse(arrival, "rate_limited", limitRefusal("IP", outcome.retryAfterMs));
  }

  /** With what somebody wrote or where they go, which a page of ours must not lose. */
  const onPage = (what: Failure, next: string): Failure => ({
    ...what,
    action: { ...SIGN_IN, href: loginHref(next) },
  });

  /** @throws {Refusal} */
  function checkPlace(arrival: Arrival): void {
    // The cookie, and the address that the provider knows, are those of the host where people sign in.
    visits.stayHome(arrival);
    if (!isDeliberate(arrival.method, arrival.request.headers)) throw new Refusal(NOT_A_NAVIGATION);
  }

  /** Whether it takes more than that the provider knows them from before. */
  async function wantsAgain(arrival: Arrival, next: string): Promise<boolean> {
    const { origin, path } = partsOf(next, arrival.origin);
    const site = routes.siteAt(origin);
    if (site !== undefined && routeFor(site, cutTarget(path, 0).path)?.maxAge !== undefined) return true;
    // Whoever is signed in is on the login page because that was too long ago.
    return (await visits.findSession(arrival)) !== undefined;
  }

  async function start(arrival: Arrival): Promise<Response> {
    checkPlace(arrival);
    const tooMany = refuseTooMany(arrival, await limiter.loginRequest(arrival.client));
    if (tooMany !== undefined) return tooMany;
    const next = visits.nextOf(arrival, new URLSearchParams(arrival.target.search).get("next"));
    const issuedAt = clock.now();
    const login: OidcLogin = {
      provider: provider.name,
      nonce: draw(),
      verifier: draw(),
      next,
      again: await wantsAgain(arrival, next),
    };
    const grant: Grant = { jti: draw(), issuedAt, expiresAt: issuedAt + OIDC_LOGIN_MS };
    let href: string;
    try {
      href = await client.authorizationUrl(login, grant.jti);
    } catch (error) {
      if (!(error instanceof ProviderUnavailable)) throw error;
      return refuse(arrival, "provider_away", onPage(away(title), next));
    }
    const line = cookie.line(tickets.sign(OIDC_LOGIN, { ...login, ...grant }));
    return redirect(303, href, [NO_REFERRER, ["Set-Cookie", line]]);
  }

  /** @returns why there is none, where there is none that this browser may come back with. */
  async function ticketOf(arrival: Arrival, query: URLSearchParams): Promise<(OidcLogin & Grant) | string> {
    const kept = cookie.read(arrival);
    if (kept === undefined) return "no_cookie";
    let login: OidcLogin & Grant;
    try {
      login = await tickets.verify(OIDC_LOGIN, kept);
    } catch (error) {
      if (error instanceof TicketError) return `token_${error.problem}`;
      throw error;
    }
    if (login.provider !== provider.name) return "other_provider";
    const [state, ...others] = query.getAll("state");
    if (state === undefined || others.length > 0 || !sameSecret(state, login.jti)) return "wrong_state";
    return login;
  }

  async function callback(arrival: Arrival): Promise<Response> {
    checkPlace(arrival);
    const tooMany = refuseTooMany(arrival, await limiter.redemption(arrival.client));
    if (tooMany !== undefined) return tooMany;
    const query = new URLSearchParams(arrival.target.search);
    const login = await ticketOf(arrival, query);
    if (typeof login === "string") return refuse(arrival, login, NOT_YOURS);
    const response = await finish(arrival, login);
    // Whatever came of it, it is over.
    response.headers.append("Set-Cookie", cookie.expired);
    return response;
  }

  async function finish(arrival: Arrival, login: OidcLogin & Grant): Promise<Response> {
    const { next } = login;
    const no = (reason: string, what: (title: string) => Failure, email?: Address) =>
      refuse(arrival, reason, onPage(what(title), next), email);
    const old = await sessions.findAll(sessionCookie.read(arrival), arrival.origin);
    if (!(await spent.spend(login.jti, login.expiresAt))) return no("spent", () => NOT_YOURS);
    let answer: Answer;
    try {
      answer = await client.exchange(new URL(redirectUri + arrival.target.search), login, login.jti);
    } catch (error) {
      if (error instanceof ProviderUnavailable) return no("provider_away", away);
      if (!(error instanceof AnswerError)) throw error;
      log.info("an OpenID provider's answer was refused", { provider: provider.name, reason: error.message });
      return error.isRefusal ? no("provider_refused", refusedThere) : no("bad_answer", notGood);
    }
    const { authTime } = answer;
    if (login.again && (authTime === undefined || authTime * 1000 < login.issuedAt - CLOCK_SKEW_MS))
      return no("not_again", notAgain);
    const found = addressIn(answer.who, provider);
    if ("problem" in found) return no(found.problem, noAddress);
    const groups = groupsIn(answer.claims, provider);
    const { email } = found;
    if (!policy.allows(email, groups)) return no("not_allowed", () => NOT_ALLOWED, email);
    // Known there from before, they have shown nobody just now who they are.
    const provenAt = login.again ? undefined : Math.floor((authTime ?? 0) * 1000);
    const about = { email, method: "oidc" as const, client: arrival.client, request: arrival.id, next };
    let vouched: Vouched;
    try {
      vouched = await hooks.judgeSignIn(about);
    } catch (error) {
      if (error instanceof SignInDenied) throw new Refusal(onPage(error.failure, next));
      throw error;
    }
    const who = { email, groups, ...vouched, provenAt };
    const headers = await signIn(arrival, who, about, answer);
    for (const { record } of old) {
      // The new session stands; the old one, if it cannot be ended now, runs out by itself.
      await sessions.end(record.id).catch(() => {});
    }
    return redirect(302, visits.onward(arrival, next), headers);
  }

  /** @throws {OnHold} */
  async function signIn(
    arrival: Arrival,
    who: Required<Pick<NewSession, "email" | "groups" | "added" | "maxAge" | "provenAt">>,
    about: HookFacts,
    { sub, sid }: Answer,
  ): Promise<ExtraHeaders> {
    const { email } = who;
    const { ip } = arrival.client;
    const { cookie: value, record } = await sessions
      .start({
        ...{ ...who, ip, userAgent: arrival.headers["user-agent"] ?? "", method: "oidc" },
        keep: options.remember === "always",
      })
      .catch((error: unknown) => {
        if (error instanceof OnHold)
          audit(OIDC_REFUSED, { client: ip, by: provider.name, reason: "on_hold", subject: email });
        throw error;
      });
    try {
      await logins.add(record, { provider: provider.name, sub, sid });
    } catch (error) {
      // It could not be ended by the provider, so it does not begin.
      await sessions.end(record.id).catch(() => {});
      throw error;
    }
    await hooks.tell("sign_in", { ...about, login: record.id });
    audit(REDEEMED, {
      ...{ subject: email, client: ip, agent: agentOf(record.userAgent), by: `oidc:${provider.name}` },
      session: record.id,
    });
    const lines = [
      ...sessionCookie.issue(value, record.brief),
      ...(await house.devices.signedIn(arrival, record)),
    ].map((line) => ["Set-Cookie", line] as const);
    return [NO_REFERRER, ...lines, ...house.keptPosts.remember(email)];
  }

  /** OpenID Connect Back-Channel Logout 1.0 §2.5, §2.8: by the provider itself, which no browser is between. */
  async function endLogins(arrival: Arrival): Promise<Response> {
    const no = (reason: string, what: Failure) => {
      audit(OIDC_LOGOUT_REFUSED, { client: arrival.client.ip, by: provider.name, reason });
      return failure(arrival, what);
    };
    const { logout_token: token = "" } = await readFields(arrival.request);
    try {
      const { jti, expiresAt, sub, sid } = await verifyLogoutToken(token, provider, keys, clock);
      const mark = `${provider.name} ${jti}`;
      if ((await spent.useOf(mark)) !== undefined) return no("spent", BAD_LOGOUT);
      const ended = await logins.find({ provider: provider.name, sub, sid });
      await revoke(house, ended, () => `oidc:${provider.name}`);
      // Marked at the end: what a store that stumbles did not do may be sent again.
      if (!(await spent.spend(mark, expiresAt))) return no("spent", BAD_LOGOUT);
      return json({});
    } catch (error) {
      if (error instanceof ProviderUnavailable) return no("provider_away", away(title));
      if (!(error instanceof LogoutTokenError)) throw error;
      return no(error.message, BAD_LOGOUT);
    }
  }

  return { start, callback, endLogins };
}

const NOT_A_NAVIGATION: Failure = {
  status: 400,
  error: "not_a_navigation",
  title: said("handOff.ownTabTitle"),
  message: said("handOff.ownTab"),
};

/** The browser was not sent there by us, or not lately, or is back for the second time. */
const NOT_YOURS: Failure = {
  status: 401,
  error: "oidc_state",
  title: said("oidc.oldTitle"),
  message: said("oidc.old"),
  action: SIGN_IN,
};

const NOT_ALLOWED: Failure = {
  status: 403,
  error: "not_allowed",
  title: said("oidc.notAllowedTitle"),
  message: said("oidc.notAllowed"),
};

const BAD_LOGOUT: Failure = {
  status: 400,
  error: "invalid_request",
  title: said("request.title"),
  message: "This logout token is not valid here.",
};

const notSignedIn = (status: number, error: string, message: (of: { provider: string }) => Said) => {
  return (provider: string): Failure => ({
    status,
    error,
    title: said("oidc.failedTitle"),
    message: message({ provider }),
  });
};
const away = notSignedIn(503, "provider_unavailable", (of) => said("oidc.away", of));
const refusedThere = notSignedIn(401, "provider_refused", (of) => said("oidc.refused", of));
const notGood = notSignedIn(401, "invalid_answer", (of) => said("oidc.notGood", of));
const notAgain = notSignedIn(401, "sign_in_again", (of) => said("oidc.notAgain", of));
const noAddress = notSignedIn(403, "no_address", (of) => said("oidc.noAddress", of));
