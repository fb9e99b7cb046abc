import type { Client } from "./client.ts";
import { ENDPOINTS } from "./paths.ts";
import { SCOPES } from "./request.ts";

/** What clients read to set themselves up (OpenID Connect Discovery §3, RFC 8414 §2). */
export function discoveryOf(issuer: string, clients: readonly Pick<Client, "device">[]): object {
  const at = (path: string) => issuer + path;
  const byDevice = clients.some(({ device }) => device);
  const authenticated = ["client_secret_basic", "client_secret_post"];
  return {
    issuer,
    authorization_endpoint: at(ENDPOINTS.authorize),
    token_endpoint: at(ENDPOINTS.token),
    userinfo_endpoint: at(ENDPOINTS.userinfo),
    jwks_uri: at(ENDPOINTS.jwks),
    revocation_endpoint: at(ENDPOINTS.revoke),
    introspection_endpoint: at(ENDPOINTS.introspect),
    end_session_endpoint: at(ENDPOINTS.endSession),
    ...(byDevice ? { device_authorization_endpoint: at(ENDPOINTS.deviceAuthorization) } : {}),
    scopes_supported: SCOPES,
    response_types_supported: ["code"],
    response_modes_supported: ["query"],
    grant_types_supported: [
      "authorization_code",
      "refresh_token",
      ...(byDevice ? ["urn:ietf:params:oauth:grant-type:device_code"] : []),
    ],
    subject_types_supported: ["public"],
    id_token_signing_alg_values_supported: ["RS256", "ES256"],
    token_endpoint_auth_methods_supported: [...authenticated, "none"],
    revocation_endpoint_auth_methods_supported: [...authenticated, "none"],
    introspection_endpoint_auth_methods_supported: authenticated,
    code_challenge_methods_supported: ["S256"],
    prompt_values_supported: ["none", "login", "consent", "select_account"],
    claims_supported: [
      ...["iss", "sub", "aud", "exp", "iat", "auth_time", "nonce", "amr", "sid", "at_hash", "azp"],
      ...["email", "email_verified", "name", "preferred_username", "groups"],
    ],
    authorization_response_iss_parameter_supported: true,
    backchannel_logout_supported: true,
    backchannel_logout_session_supported: true,
    claims_parameter_supported: false,
    request_parameter_supported: false,
    request_uri_parameter_supported: false,
  };
}
