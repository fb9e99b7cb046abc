import { type Failure, failure, page, redirect } from "../edge/answer.ts";
import type { Arrival } from "../edge/arrival.ts";
import { readFields } from "../edge/body.ts";
import { NO_REFERRER } from "../hand-off/begin.ts";
import type { House } from "../house.ts";
import { limitRefusal } from "../limits/answer.ts";
import { createVisits } from "../login/visit.ts";
import { HOUR } from "../option/values.ts";
import { said } from "../pages/language.ts";
import { goOnPage } from "../pages/pages.ts";
import { AUTHORIZE_PATH, loginHref, nextToSend } from "../pages/paths.ts";
import { sameSecret } from "../secret/compare.ts";
import type { Found } from "../session/session.ts";
import { CLIENT_CONSENT, CLIENT_REFUSED } from "./audit.ts";
import { choosePage, consentPage } from "./pages.ts";
import { type AuthorizeRequest, answerHref, type RequestError, SINCE, understand } from "./request.ts";
import type { ProviderService } from "./service.ts";

/** `/authorize`: from an application to the sign-in, and back with a code (OpenID Connect Core §3.1.2). */
export function createAuthorize(house: House, service: ProviderService) {
  const { audit, clock, guardPost } = house;
  const { issuer, clientOf, tokens } = service;
  const visits = createVisits(house);
  const consentKey = house.keys.for("provider consent", "session").current;

  /** To the application. From a page of ours it takes a page: a form of ours may lead to this host only, redirects included. */
  function go(arrival: Arrival, href: string): Response {
    const from = URL.parse(arrival.headers.referer ?? "")?.origin;
    if (arrival.method !== "POST" && from !== arrival.origin) return redirect(302, href, [NO_REFERRER]);
    return page(goOnPage(arrival.lookOf(arrival), { href }), 200, [
      NO_REFERRER,
      ["Refresh", `0; url=${href}`],
    ]);
  }

  function refuse(arrival: Arrival, what: RequestError, email?: string): Response {
    const { error, description, redirectUri, state, client } = what;
    audit(CLIENT_REFUSED, { client: arrival.client.ip, by: client.id, reason: error, subject: email });
    return go(arrival, answerHref(redirectUri, issuer, { error, error_description: description, state }));
  }

  const no = (
    { client, redirectUri, state }: AuthorizeRequest,
    error: string,
    description: string,
  ): RequestError => ({ error, description, redirectUri, state, client });

  async function authorize(arrival: Arrival): Promise<Response> {
    visits.stayHome(arrival);
    return answer(arrival, arrival.target.search);
  }

  /** From a page of the application's: the session's cookie does not come with it, so it is asked for by GET. */
  async function authorizeByForm(arrival: Arrival): Promise<Response> {
    visits.stayHome(arrival);
    const search = `${new URLSearchParams(await readFields(arrival.request))}`;
    return redirect(303, `${AUTHORIZE_PATH}?${search}`, [NO_REFERRER]);
  }

  async function answer(arrival: Arrival, search: string): Promise<Response> {
    const understood = understand(search, clientOf);
    if ("refused" in understood) {
      audit(CLIENT_REFUSED, { ...NOBODY, client: arrival.client.ip, reason: understood.refused });
      return failure(arrival, WRONG[understood.refused]);
    }
    if ("error" in understood) return refuse(arrival, understood);
    const { since } = understood.request;
    // Nobody can have signed in after a time to come: they would be sent to do so for ever.
    const request =
      since !== undefined && since > clock.now()
        ? { ...understood.request, since: undefined }
        : understood.request;
    const found = await visits.findSession(arrival);
    const hinted = await subHinted(request);
    if (hinted === "unknown")
      return refuse(arrival, no(request, "invalid_request", "id_token_hint is no token of this client."));
    const other =
      found !== undefined && hinted !== undefined && hinted !== (await service.subOf(found.record.email));
    const isBack = request.since !== undefined;
    if (found === undefined || isTooOld(request, found) || (other && !isBack))
      return signIn(arrival, search, request, found);
    if (other) return refuse(arrival, no(request, "login_required", "Somebody else is signed in."));
    if (request.prompt.has("select_account") && !isBack) return choose(arrival, search, request, found);
    return proceed(arrival, search, request, found);
  }

  /** Whether they are to sign in again. */
  function isTooOld({ prompt, maxAge, since }: AuthorizeRequest, { principal }: Found): boolean {
    const { provenAt } = principal;
    const now = clock.now();
    // They came back from that, in time: what they did since is not too long ago.
    if (since !== undefined && provenAt < since) return true;
    if (since !== undefined && now - since < SIGNING_IN_MS) return false;
    if (prompt.has("login")) return true;
    return maxAge !== undefined && now - provenAt >= Math.max(maxAge, 1);
  }

  function signIn(
    arrival: Arrival,
    search: string,
    request: AuthorizeRequest,
    found: Found | undefined,
  ): Response {
    const { prompt, since = clock.now() } = request;
    if (prompt.has("none"))
      return refuse(arrival, no(request, "login_required", "Nobody is signed in, or too long ago."));
    const next = backTo(search, request, `${since}`);
    if (nextToSend(next) === "")
      return refuse(arrival, no(request, "invalid_request", "The request is too long to sign in with."));
    return redirect(302, loginHref(next, found !== undefined), [NO_REFERRER]);
  }

  /** Where a sign-in comes back to: what was asked for before it has been done then. */
  function backTo(search: string, { prompt }: AuthorizeRequest, since: string): string {
    const back = new URLSearchParams(search);
    back.delete("prompt");
    if (prompt.has("consent")) back.set("prompt", "consent");
    back.set(SINCE, since);
    return `${AUTHORIZE_PATH}?${back}`;
  }

  function choose(arrival: Arrival, search: string, request: AuthorizeRequest, found: Found): Response {
    const goOn = backTo(search, request, "0");
    const again = loginHref(backTo(search, request, `${clock.now()}`), true);
    const { client } = request;
    return page(choosePage(arrival.lookOf(arrival), { client, email: found.record.email, goOn, again }));
  }

  /** By which client knows whom it expects; `unknown` for a hint that is none. */
  async function subHinted({ idTokenHint, client }: AuthorizeRequest): Promise<string | undefined> {
    if (idTokenHint === undefined) return undefined;
    const claims = await tokens.open("JWT", idTokenHint);
    return claims?.aud === client.id ? String(claims.sub) : "unknown";
  }

  async function proceed(
    arrival: Arrival,
    search: string,
    request: AuthorizeRequest,
    found: Found,
  ): Promise<Response> {
    const { client, prompt } = request;
    const { email } = found.record;
    if (!service.mayUse(client, found.principal))
      return refuse(arrival, no(request, "access_denied", "This person may not use it."), email);
    const isAsked = prompt.has("consent") || client.consent === "first";
    if (isAsked && (prompt.has("consent") || !(await service.agreed(request, email)))) {
      if (prompt.has("none"))
        return refuse(arrival, no(request, "consent_required", "The person has to agree first."), email);
      const sent = search.replace(/^\?/, "");
      const token = consentToken(found, sent);
      const { scope } = request;
      return page(consentPage(arrival.lookOf(arrival), { client, email, scope, request: sent, token }));
    }
    return succeed(arrival, request, found);
  }

  async function succeed(arrival: Arrival, request: AuthorizeRequest, found: Found): Promise<Response> {
    const { client, scope, redirectUri, state } = request;
    const rate = await house.limiter.clientCode(found.record.id);
    if (!rate.allowed) {
      const who = { subject: found.record.email, by: client.id };
      audit(CLIENT_REFUSED, { ...who, client: arrival.client.ip, reason: "rate_limited" });
      // Here and not at the application: one that sends people back at once would go on with that.
      return failure(arrival, limitRefusal("IP", rate.retryAfterMs));
    }
    const code = await service.code(request, { client, scope, principal: found.principal });
    return go(arrival, answerHref(redirectUri, issuer, { code, state }));
  }

  /** Who has not seen the page cannot send its form: good in one session, and for one request. */
  const consentToken = ({ record }: Pick<Found, "record">, search: string) =>
    new Bun.CryptoHasher("sha256", consentKey).update(`${record.id} ${search}`).digest("base64url");

  async function consent(arrival: Arrival): Promise<Response> {
    guardPost(arrival);
    visits.stayHome(arrival);
    const { request: search = "", token = "", agree } = await readFields(arrival.request);
    const found = await visits.findSession(arrival);
    const understood = understand(search, clientOf);
    if (found === undefined || !sameSecret(token, consentToken(found, search)) || !("request" in understood))
      return failure(arrival, OLD_PAGE);
    const { request } = understood;
    const { email } = found.record;
    const reason = agree === "true" ? "agreed" : "declined";
    audit(CLIENT_CONSENT, { subject: email, by: request.client.id, reason });
    if (reason === "declined")
      return refuse(arrival, no(request, "access_denied", "The person did not agree."), email);
    if (!service.mayUse(request.client, found.principal))
      return refuse(arrival, no(request, "access_denied", "This person may not use it."), email);
    await service.agree(request, email);
    return succeed(arrival, request, found);
  }

  return { authorize, authorizeByForm, consent };
}

/** Nobody takes longer to sign in. */
const SIGNING_IN_MS = HOUR;

const NOBODY = { by: undefined, subject: undefined };

const wrong = (error: string, message: Failure["message"]): Failure => ({
  status: 400,
  error,
  title: said("provider.wrongTitle"),
  message,
});

const WRONG = {
  unknown_client: wrong("unknown_client", said("provider.unknownClient")),
  wrong_redirect_uri: wrong("wrong_redirect_uri", said("provider.wrongAddress")),
  twice: wrong("invalid_request", said("provider.twice")),
} as const;

const OLD_PAGE = wrong("old_page", said("provider.oldPage"));
