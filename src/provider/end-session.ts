import { type ExtraHeaders, failure, page, redirect } from "../edge/answer.ts";
import type { Arrival } from "../edge/arrival.ts";
import { readFields } from "../edge/body.ts";
import { NO_REFERRER } from "../hand-off/begin.ts";
import type { House } from "../house.ts";
import { createSignOut } from "../login/sign-out.ts";
import { createVisits } from "../login/visit.ts";
import { said } from "../pages/language.ts";
import { goOnPage, loggedOutPage } from "../pages/pages.ts";
import { type Parameters, parametersIn } from "./answers.ts";
import type { Client } from "./client.ts";
import { endSessionPage } from "./pages.ts";
import { ENDPOINTS } from "./paths.ts";
import type { ProviderService } from "./service.ts";

/** `/end_session` (OpenID Connect RP-Initiated Logout 1.0): an application sends somebody to sign out. */
export function createEndSession(house: House, service: ProviderService) {
  const visits = createVisits(house);
  const signOut = createSignOut(house);

  type Asked = {
    readonly client: Client | undefined;
    /** One that is registered for that client; anything else is as if it were not there. */
    readonly back: string | undefined;
    readonly state: string | undefined;
    /** The session that the application means. */
    readonly sid: string | undefined;
  };

  /** @returns undefined for what does not fit together. @throws {StoreUnavailable} */
  async function read(sent: Parameters): Promise<Asked | undefined> {
    const { id_token_hint: hint, client_id: id, post_logout_redirect_uri: wanted, state } = sent;
    const claims = hint === undefined ? undefined : await service.tokens.open("JWT", hint);
    if (hint !== undefined && claims === undefined) return undefined;
    if (claims !== undefined && id !== undefined && claims.aud !== id) return undefined;
    const client = service.clientOf(claims === undefined ? (id ?? "") : String(claims.aud));
    const back = client?.postLogoutRedirectUris.find((one) => one === wanted);
    if (wanted !== undefined && back === undefined) return undefined;
    return { client, back, state, sid: claims === undefined ? undefined : String(claims.sid) };
  }

  async function show(arrival: Arrival): Promise<Response> {
    visits.stayHome(arrival);
    const { parameters, twice } = parametersIn(arrival.target.search);
    const asked = twice === undefined ? await read(parameters) : undefined;
    if (asked === undefined) return failure(arrival, WRONG);
    const found = await visits.findSession(arrival);
    if (found === undefined) return leave(arrival, asked);
    // Whoever holds the token of this very session asks for its end in the name of its owner.
    if (asked.sid === service.sidOf(found.record.id)) {
      const { headers, note } = await signOut(arrival);
      return leave(arrival, asked, headers, note);
    }
    const { client, back = "", state = "" } = asked;
    const shown = { email: found.record.email, client: client?.id ?? "", back, state };
    return page(endSessionPage(arrival.lookOf(arrival), shown));
  }

  /** Our page's button; or an application's form, which the session's cookie does not come with. */
  async function post(arrival: Arrival): Promise<Response> {
    visits.stayHome(arrival);
    const { confirm, ...sent } = await readFields(arrival.request);
    if (confirm === undefined)
      return redirect(303, `${ENDPOINTS.endSession}?${new URLSearchParams(sent)}`, [NO_REFERRER]);
    house.guardPost(arrival);
    const asked = await read(parametersIn(`${new URLSearchParams(sent)}`).parameters);
    if (asked === undefined) return failure(arrival, WRONG);
    const { headers, note } = await signOut(arrival);
    return leave(arrival, asked, headers, note);
  }

  function leave(
    arrival: Arrival,
    { back, state }: Asked,
    headers: ExtraHeaders = [],
    note?: string,
  ): Response {
    const look = arrival.lookOf(arrival);
    if (back === undefined) return page(loggedOutPage(look, note), 200, headers);
    const query =
      state === undefined ? "" : `${back.includes("?") ? "&" : "?"}${new URLSearchParams({ state })}`;
    const href = back + query;
    if (arrival.method !== "POST") return redirect(302, href, [...headers, NO_REFERRER]);
    return page(goOnPage(look, { href }), 200, [...headers, NO_REFERRER, ["Refresh", `0; url=${href}`]]);
  }

  return { show, post };
}

const WRONG = {
  status: 400,
  error: "invalid_request",
  title: said("provider.wrongTitle"),
  message: said("provider.wrongAddress"),
} as const;
