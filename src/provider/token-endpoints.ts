import { json } from "../edge/answer.ts";
import type { Arrival } from "../edge/arrival.ts";
import type { House } from "../house.ts";
import { OAuthError, oauthAnswer, type Parameters, readParameters, tokenJson } from "./answers.ts";
import { CLIENT_TOKENS_REVOKED } from "./audit.ts";
import { createAuthentication } from "./authentication.ts";
import type { Client } from "./client.ts";
import type { DeviceGrant } from "./device.ts";
import type { ProviderService, TokenAnswer } from "./service.ts";
import { seconds } from "./tokens.ts";

/** What programs ask for: `/token`, `/userinfo`, `/introspect`, `/revoke`. */

export const DEVICE_GRANT = "urn:ietf:params:oauth:grant-type:device_code";

export type CountToken = (client: string, grant: string, outcome: string) => void;

export function createTokenEndpoints(
  house: House,
  service: ProviderService,
  deviceGrant: DeviceGrant,
  count: CountToken,
) {
  const { audit } = house;
  const authenticate = createAuthentication(house, service.clientOf);

  /** @throws {OAuthError} as in RFC 6749 §5.2 */
  function grant(client: Client, sent: Parameters): Promise<TokenAnswer> {
    const { grant_type: kind, code, redirect_uri: redirectUri, code_verifier: verifier = "" } = sent;
    if (kind === undefined) throw new OAuthError("invalid_request", "grant_type is missing.");
    if (kind === "authorization_code") {
      if (code === undefined || redirectUri === undefined)
        throw new OAuthError("invalid_request", "code or redirect_uri is missing.");
      return service.redeem(client, { code, redirectUri, verifier });
    }
    if (kind === "refresh_token") {
      const { refresh_token: token, scope } = sent;
      if (token === undefined) throw new OAuthError("invalid_request", "refresh_token is missing.");
      return service.refresh(client, token, scope);
    }
    if (kind === DEVICE_GRANT) return deviceGrant(client, sent.device_code);
    throw new OAuthError("unsupported_grant_type", "This grant_type is not supported.");
  }

  async function token(arrival: Arrival): Promise<Response> {
    let [client, kind] = ["", "none"];
    try {
      const sent = await readParameters(arrival.request);
      kind = KINDS.get(sent.grant_type ?? "") ?? "other";
      const asking = await authenticate(arrival, sent);
      client = asking.id;
      const answer = tokenJson(await grant(asking, sent));
      count(client, kind, "ok");
      return answer;
    } catch (error) {
      if (error instanceof OAuthError) count(client, kind, error.error);
      return oauthAnswer(error);
    }
  }

  /** OpenID Connect Core §5.3, RFC 6750 §2. */
  async function userinfo(arrival: Arrival): Promise<Response> {
    try {
      const token = await bearerOf(arrival);
      if (token === undefined)
        throw new OAuthError("invalid_request", "There is no access token.", 401, [BEARER]);
      const access = await service.access(token);
      if (access === undefined)
        throw new OAuthError("invalid_token", "It is none, or not good any more.", 401, [
          ["WWW-Authenticate", `${BEARER[1]}, error="invalid_token"`],
        ]);
      return tokenJson(await service.claimsOf(access));
    } catch (error) {
      return oauthAnswer(error);
    }
  }

  /** RFC 7662. Of another client's tokens, nothing is said. */
  async function introspect(arrival: Arrival): Promise<Response> {
    try {
      const sent = await readParameters(arrival.request);
      const client = await authenticate(arrival, sent);
      if (client.secret === undefined)
        throw new OAuthError("unauthorized_client", "It takes a client with a secret.", 403);
      if (sent.token === undefined) throw new OAuthError("invalid_request", "token is missing.");
      return json(await stateOf(client, sent.token));
    } catch (error) {
      return oauthAnswer(error);
    }
  }

  async function stateOf(client: Client, token: string): Promise<object> {
    const access = await service.access(token);
    if (access?.client.id === client.id) {
      const { email } = access.principal.subject;
      return { active: true, token_type: "Bearer", username: email, ...access.claims };
    }
    const refresh = await service.refreshable(token);
    if (refresh?.client.id !== client.id) return { active: false };
    const { email } = refresh.principal.subject;
    return {
      ...{ active: true, client_id: client.id, username: email, scope: refresh.scope },
      ...{ sub: await service.subOf(email), exp: seconds(refresh.until), iss: service.issuer },
    };
  }

  /** RFC 7009. What is no token of the client's is none that it has to give back. */
  async function revoke(arrival: Arrival): Promise<Response> {
    try {
      const sent = await readParameters(arrival.request);
      const client = await authenticate(arrival, sent);
      if (sent.token === undefined) throw new OAuthError("invalid_request", "token is missing.");
      const family = await service.familyOf(sent.token);
      if (family?.client === client.id && (await service.records.families.take(family.id)))
        audit(CLIENT_TOKENS_REVOKED, { by: client.id, actor: client.id, subject: undefined });
      return tokenJson({});
    } catch (error) {
      return oauthAnswer(error);
    }
  }

  return { token, userinfo, introspect, revoke };
}

const BEARER = ["WWW-Authenticate", 'Bearer realm="runegate"'] as const;

const KINDS = new Map([
  ["authorization_code", "code"],
  ["refresh_token", "refresh"],
  [DEVICE_GRANT, "device"],
]);

/** @throws {OAuthError} where it is there in two ways (RFC 6750 §2). */
async function bearerOf(arrival: Arrival): Promise<string | undefined> {
  const { authorization } = arrival.headers;
  const [, header] = /^bearer +([\w.~+/=-]+) *$/i.exec(authorization ?? "") ?? [];
  const type = arrival.headers["content-type"] ?? "";
  const isForm =
    arrival.method === "POST" && type.toLowerCase().startsWith("application/x-www-form-urlencoded");
  const field = isForm ? (await readParameters(arrival.request)).access_token : undefined;
  if (authorization !== undefined && field !== undefined)
    throw new OAuthError("invalid_request", "The token is there in two ways.");
  return header ?? field;
}
