import { AUTHORIZE_PATH, OIDC_PREFIX } from "../pages/paths.ts";

/** The addresses of the provider's endpoints. */
export const ENDPOINTS = {
  authorize: AUTHORIZE_PATH,
  token: `${OIDC_PREFIX}/token`,
  userinfo: `${OIDC_PREFIX}/userinfo`,
  jwks: `${OIDC_PREFIX}/jwks`,
  revoke: `${OIDC_PREFIX}/revoke`,
  introspect: `${OIDC_PREFIX}/introspect`,
  endSession: `${OIDC_PREFIX}/end_session`,
  deviceAuthorization: `${OIDC_PREFIX}/device_authorization`,
  device: `${OIDC_PREFIX}/device`,
} as const;

/** What stands there in place of the name of a provider of others (`oidc-login/provider.ts`). */
export const ENDPOINT_NAMES: ReadonlySet<string> = new Set(
  Object.values(ENDPOINTS).map((path) => path.slice(OIDC_PREFIX.length + 1)),
);
