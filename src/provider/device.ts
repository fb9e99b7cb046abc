import { isRecent } from "../api/own.ts";
import { type Failure, failure, page, Refusal, redirect } from "../edge/answer.ts";
import type { Arrival } from "../edge/arrival.ts";
import { readFields } from "../edge/body.ts";
import type { House } from "../house.ts";
import type { Address } from "../identity/address.ts";
import { limitRefusal } from "../limits/answer.ts";
import { drawCode, parseCode, shownCode } from "../login/code.ts";
import { createVisits } from "../login/visit.ts";
import { MINUTE, SECOND } from "../option/values.ts";
import { said } from "../pages/language.ts";
import { DEVICE_PATH, loginHref } from "../pages/paths.ts";
import { MAX_USER_AGENT } from "../session/binding.ts";
import type { Found } from "../session/session.ts";
import type { Seen } from "../store/records.ts";
import { StoreUnavailable } from "../store/records.ts";
import { OAuthError, oauthAnswer, readParameters, tokenJson } from "./answers.ts";
import { CLIENT_DEVICE, CLIENT_REFUSED } from "./audit.ts";
import { createAuthentication } from "./authentication.ts";
import type { Client } from "./client.ts";
import { deviceCodePage, deviceDonePage, devicePage } from "./pages.ts";
import type { Device } from "./records.ts";
import { SCOPES } from "./request.ts";
import type { Sealed } from "./sealed-records.ts";
import type { ProviderService, TokenAnswer } from "./service.ts";

/** Letting programs in that cannot show a page (RFC 8628): they show a code, which somebody types where they are signed in. */

/** Of a program that asks whether it is let in by now. @throws {OAuthError} @throws {StoreUnavailable} */
export type DeviceGrant = (client: Client, deviceCode: string | undefined) => Promise<TokenAnswer>;

const GOOD_MS = 10 * MINUTE;
const INTERVAL = 5 * SECOND;
/** Of 31^8 codes, 10,000 at most are taken: one try will do. */
const MOST_TRIES = 5;

type SeenDevice = Seen<Sealed<Device>>;

export function createDevice(house: House, service: ProviderService) {
  const { limiter, audit, clock, random, guardPost, routes } = house;
  const { devices } = service.records;
  const visits = createVisits(house);
  const authenticate = createAuthentication(house, service.clientOf);
  const codeKey = house.keys.for("provider device code", "session").current;
  const hash = (text: string) => new Bun.CryptoHasher("sha256", codeKey).update(text).digest("base64url");
  const url = routes.home.origin + DEVICE_PATH;

  /** RFC 8628 §3.1. */
  async function begin(arrival: Arrival): Promise<Response> {
    try {
      const sent = await readParameters(arrival.request);
      const client = await authenticate(arrival, sent);
      if (!client.device)
        throw new OAuthError("unauthorized_client", "clients.toml does not say device = true of it.");
      const rate = await limiter.loginRequest(arrival.client);
      if (!rate.allowed) throw new OAuthError("slow_down", "Too many of them. Try again in a minute.", 429);
      const asked = new Set((sent.scope ?? "openid").split(" "));
      if (!asked.has("openid")) throw new OAuthError("invalid_scope", "The scope openid is missing.");
      const deviceCode = service.draw();
      const code = await keep(arrival, client, SCOPES.filter((one) => asked.has(one)).join(" "), deviceCode);
      return tokenJson({
        device_code: deviceCode,
        user_code: shownCode(code),
        verification_uri: url,
        verification_uri_complete: `${url}?user_code=${shownCode(code)}`,
        expires_in: GOOD_MS / SECOND,
        interval: INTERVAL / SECOND,
      });
    } catch (error) {
      return oauthAnswer(error);
    }
  }

  async function keep(arrival: Arrival, client: Client, scope: string, deviceCode: string): Promise<string> {
    const askedAt = clock.now();
    for (let tries = 0; tries < MOST_TRIES; tries++) {
      const code = drawCode(random, "letters");
      if ((await ofCode(code)) !== undefined) continue;
      const userAgent = (arrival.headers["user-agent"] ?? "").slice(0, MAX_USER_AGENT);
      const one: Device = {
        ...{ client: client.id, scope, code: hash(code), ip: arrival.client.ip, userAgent, askedAt },
        ...{ goodUntil: askedAt + GOOD_MS, state: "waiting", email: "", session: "" },
        ...{ polledAt: 0, interval: INTERVAL },
      };
      if (await devices.add(hash(deviceCode), one, askedAt + 2 * GOOD_MS, "light")) return code;
    }
    throw new StoreUnavailable("no code was free");
  }

  async function ofCode(code: string): Promise<SeenDevice | undefined> {
    const [seen] = await devices.find({ where: { code: hash(code) }, most: 1 });
    return seen;
  }

  const grant: DeviceGrant = async (client, deviceCode) => {
    if (deviceCode === undefined) throw new OAuthError("invalid_request", "device_code is missing.");
    const seen = await devices.get(hash(deviceCode));
    if (seen === undefined || seen.record.client !== client.id)
      throw new OAuthError("invalid_grant", "There is no such device code.");
    const { record, id } = seen;
    const now = clock.now();
    if (now >= record.goodUntil) throw new OAuthError("expired_token", "Nobody let it in in time.");
    if (record.state === "denied") throw new OAuthError("access_denied", "It was not let in.");
    if (record.state === "waiting") {
      const tooSoon = now - record.polledAt < record.interval;
      const interval = record.interval + (tooSoon ? INTERVAL : 0);
      await devices.replace(seen, { ...record, polledAt: now, interval }, "light");
      if (tooSoon) throw new OAuthError("slow_down", `Wait ${interval / SECOND} seconds between.`);
      throw new OAuthError("authorization_pending", "Nobody has let it in yet.");
    }
    if (!(await devices.take(id))) throw new OAuthError("invalid_grant", "It was used.");
    const standing = await service.standingOf(client, record.session, record.scope);
    if (standing?.principal.subject.email !== record.email || standing === undefined)
      throw new OAuthError("access_denied", "Whoever let it in may not use it any more.");
    const family = service.draw();
    await service.begin(standing, family);
    return service.issue(standing, family, 0, "");
  };

  /** Whoever may let something in, having signed in lately. @returns what to answer to others */
  async function decider(arrival: Arrival, back: string): Promise<Found | Response> {
    const found = await visits.findSession(arrival);
    if (found !== undefined && isRecent(found.principal, clock.now())) return found;
    return redirect(arrival.method === "POST" ? 303 : 302, loginHref(back, found !== undefined));
  }

  /** @throws {Refusal} if no further code may be tried. */
  async function countTry({ client }: Arrival, { record: { email } }: Found): Promise<void> {
    const ofClient = await limiter.redemption(client);
    const rate = ofClient.allowed ? await limiter.approvalCode(email as Address) : ofClient;
    if (rate.allowed) return;
    audit(CLIENT_REFUSED, { client: client.ip, by: undefined, reason: "rate_limited", subject: email });
    throw new Refusal(limitRefusal("IP", rate.retryAfterMs));
  }

  /** What is open to be decided, by the code that was typed. */
  async function waiting(
    code: string | undefined,
  ): Promise<{ seen: SeenDevice; client: Client } | undefined> {
    const seen = code === undefined ? undefined : await ofCode(code);
    const client = seen && service.clientOf(seen.record.client);
    if (seen === undefined || client === undefined) return undefined;
    const { state, goodUntil } = seen.record;
    return state === "waiting" && clock.now() < goodUntil ? { seen, client } : undefined;
  }

  async function show(arrival: Arrival): Promise<Response> {
    const { search } = arrival.target;
    if (!visits.isHome(arrival)) return redirect(302, url + search);
    const typed = new URLSearchParams(search).get("user_code") ?? "";
    const code = parseCode(typed);
    const found = await decider(
      arrival,
      code === undefined ? DEVICE_PATH : `${DEVICE_PATH}?user_code=${code}`,
    );
    if (found instanceof Response) return found;
    const look = arrival.lookOf(arrival);
    if (typed === "") return page(deviceCodePage(look));
    await countTry(arrival, found);
    const open = await waiting(code);
    if (code === undefined || open === undefined)
      return page(deviceCodePage(look, NO_SUCH_CODE.message), NO_SUCH_CODE.status);
    const { seen, client } = open;
    const shown = { client, device: seen.record, email: found.record.email, code };
    return page(devicePage(look, { ...shown, ip: arrival.client.ip, now: clock.now() }));
  }

  async function decide(arrival: Arrival): Promise<Response> {
    guardPost(arrival);
    visits.stayHome(arrival);
    const { user_code: typed = "", allow } = await readFields(arrival.request);
    const code = parseCode(typed);
    const found = await decider(
      arrival,
      code === undefined ? DEVICE_PATH : `${DEVICE_PATH}?user_code=${code}`,
    );
    if (found instanceof Response) return found;
    await countTry(arrival, found);
    const open = await waiting(code);
    if (open === undefined) return failure(arrival, NO_SUCH_CODE);
    const { seen, client } = open;
    const { email, id: session } = found.record;
    const isLetIn = allow === "true" && service.mayUse(client, found.principal);
    const state = isLetIn ? "approved" : "denied";
    if (!(await devices.replace(seen, { ...seen.record, state, email, session })))
      return failure(arrival, NO_SUCH_CODE);
    audit(CLIENT_DEVICE, { subject: email, by: client.id, reason: state, client: arrival.client.ip });
    return page(deviceDonePage(arrival.lookOf(arrival), isLetIn), isLetIn || allow !== "true" ? 200 : 403);
  }

  return { begin, grant, show, decide };
}

const NO_SUCH_CODE: Failure = {
  status: 404,
  error: "invalid_code",
  title: said("approve.overTitle"),
  message: said("approve.over"),
};
