import { type Client, clientTitle } from "../provider/client.ts";
import { ENDPOINTS } from "../provider/paths.ts";

/** What to type into applications that are to sign people in with Runegate. */

export type SettingsFor = {
  readonly name: string;
  /** How the address ends that it wants people back at. */
  readonly callback: string;
  lines(at: At): readonly string[];
};

type At = {
  readonly issuer: string;
  readonly client: Client;
  /** In place of the secret, which is not shown. */
  readonly secret: string;
};

const discovery = ({ issuer }: At) => `${issuer}/.well-known/openid-configuration`;

const GENERIC: SettingsFor = {
  name: "any application",
  callback: "",
  lines: (at) => [
    `Issuer                 ${at.issuer}`,
    `Discovery              ${discovery(at)}`,
    `Client ID              ${at.client.id}`,
    `Client secret          ${at.secret}`,
    `Scopes                 openid email profile groups`,
    `Authorization          ${at.issuer}${ENDPOINTS.authorize}`,
    `Token                  ${at.issuer}${ENDPOINTS.token}`,
    `UserInfo               ${at.issuer}${ENDPOINTS.userinfo}`,
    `Keys (JWKS)            ${at.issuer}${ENDPOINTS.jwks}`,
    `Logout                 ${at.issuer}${ENDPOINTS.endSession}`,
    `PKCE                   S256${at.client.secret === undefined ? ", required" : ", if it can"}`,
    `Signed by              ${at.client.algorithm}`,
    "Who it is              sub (stable), email, preferred_username, groups",
  ],
};

const APPLICATIONS: readonly SettingsFor[] = [
  {
    name: "Grafana",
    callback: "/login/generic_oauth",
    lines: (at) => [
      "[auth.generic_oauth]",
      "enabled = true",
      "name = Runegate",
      `client_id = ${at.client.id}`,
      `client_secret = ${at.secret}`,
      "scopes = openid email profile groups",
      `auth_url = ${at.issuer}${ENDPOINTS.authorize}`,
      `token_url = ${at.issuer}${ENDPOINTS.token}`,
      `api_url = ${at.issuer}${ENDPOINTS.userinfo}`,
      `signout_redirect_url = ${at.issuer}${ENDPOINTS.endSession}?client_id=${at.client.id}`,
      "login_attribute_path = email",
      "groups_attribute_path = groups",
      "role_attribute_path = contains(groups[*], 'admins') && 'Admin' || 'Viewer'",
      "use_pkce = true",
      "use_refresh_token = true",
    ],
  },
  {
    name: "Gitea",
    callback: "/callback",
    lines: (at) => [
      "Site administration, Identity & access, Authentication sources, Add:",
      "  Type OAuth2, provider OpenID Connect; its name is part of the redirect URI",
      `  Client ID (Key)      ${at.client.id}`,
      `  Client secret        ${at.secret}`,
      `  Discovery URL        ${discovery(at)}`,
      "  Additional scopes    email profile groups",
      "  Claim for groups     groups",
      "In app.ini, so that accounts are made by themselves. Not ACCOUNT_LINKING = auto:",
      "that gives ada@example.org's account to ada@example.com.",
      "  [oauth2_client]",
      "  ENABLE_AUTO_REGISTRATION = true",
      "  USERNAME = email",
    ],
  },
  {
    name: "JupyterHub",
    callback: "/hub/oauth_callback",
    lines: (at) => [
      "# jupyterhub_config.py",
      "from oauthenticator.generic import GenericOAuthenticator",
      "c.JupyterHub.authenticator_class = GenericOAuthenticator",
      `c.GenericOAuthenticator.client_id = "${at.client.id}"`,
      `c.GenericOAuthenticator.client_secret = "${at.secret}"`,
      `c.GenericOAuthenticator.oauth_callback_url = "${at.client.redirectUris[0] ?? ""}"`,
      `c.GenericOAuthenticator.authorize_url = "${at.issuer}${ENDPOINTS.authorize}"`,
      `c.GenericOAuthenticator.token_url = "${at.issuer}${ENDPOINTS.token}"`,
      `c.GenericOAuthenticator.userdata_url = "${at.issuer}${ENDPOINTS.userinfo}"`,
      `c.GenericOAuthenticator.logout_redirect_url = "${at.issuer}${ENDPOINTS.endSession}?client_id=${at.client.id}"`,
      'c.GenericOAuthenticator.scope = ["openid", "email", "profile", "groups"]',
      'c.GenericOAuthenticator.username_claim = "email"',
      'c.GenericOAuthenticator.auth_state_groups_key = "oauth_user.groups"',
      "c.GenericOAuthenticator.allow_all = True   # Runegate decides who may",
    ],
  },
  {
    name: "Nextcloud",
    callback: "/apps/user_oidc/code",
    lines: (at) => [
      "occ app:install user_oidc",
      "occ user_oidc:provider runegate \\",
      `  --clientid="${at.client.id}" --clientsecret="${at.secret}" \\`,
      `  --discoveryuri="${discovery(at)}" \\`,
      '  --scope="openid email profile groups" --unique-uid=0 --mapping-uid=sub \\',
      "  --mapping-email=email --mapping-display-name=name --mapping-groups=groups --group-provisioning=1",
    ],
  },
  {
    name: "Portainer",
    callback: "",
    lines: (at) => [
      "Settings, Authentication, OAuth, Custom:",
      "  Use SSO, Automatic user provisioning: on",
      `  Client ID            ${at.client.id}`,
      `  Client secret        ${at.secret}`,
      `  Authorization URL    ${at.issuer}${ENDPOINTS.authorize}`,
      `  Access token URL     ${at.issuer}${ENDPOINTS.token}`,
      `  Resource URL         ${at.issuer}${ENDPOINTS.userinfo}`,
      `  Redirect URL         ${at.client.redirectUris[0] ?? ""}`,
      `  Logout URL           ${at.issuer}${ENDPOINTS.endSession}?client_id=${at.client.id}`,
      "  User identifier      email",
      "  Scopes               openid email profile groups",
      "  Auth style           In params",
    ],
  },
  {
    name: "Argo CD",
    callback: "/auth/callback",
    lines: (at) => [
      "# ConfigMap argocd-cm",
      "oidc.config: |",
      "  name: Runegate",
      `  issuer: ${at.issuer}`,
      `  clientID: ${at.client.id}`,
      "  clientSecret: $oidc.runegate.clientSecret   # of the Secret argocd-secret",
      "  requestedScopes: [openid, email, profile, groups]",
      `  logoutURL: ${at.issuer}${ENDPOINTS.endSession}?id_token_hint={{token}}`,
      "# ConfigMap argocd-rbac-cm",
      "scopes: '[groups, email]'",
      "policy.csv: |",
      "  g, admins, role:admin",
    ],
  },
  {
    name: "Proxmox",
    callback: "",
    lines: (at) => [
      "pveum realm add runegate --type openid \\",
      `  --issuer-url ${at.issuer} --client-id ${at.client.id} --client-key '${at.secret}' \\`,
      "  --username-claim email --autocreate 1 --scopes 'email profile groups' \\",
      "  --groups-claim groups --groups-autocreate 1",
      "The redirect URI is the address of its web page, such as https://pve.example.org:8006, without a slash at the end.",
    ],
  },
];

const folded = (name: string) => name.toLowerCase().replace(/[^a-z0-9]/g, "");

export const APPLICATION_NAMES: readonly string[] = APPLICATIONS.map(({ name }) => name);

/** @param named by the operator; else it is guessed from what the client is called. Undefined for a name that is not known. */
export function settingsFor(client: Client, named: string | undefined): SettingsFor | undefined {
  if (named !== undefined)
    return [...APPLICATIONS, GENERIC].find(
      ({ name }) => folded(name) === folded(named) || (named === "any" && name === GENERIC.name),
    );
  const called = folded(client.id + clientTitle(client));
  return APPLICATIONS.find(({ name }) => called.includes(folded(name))) ?? GENERIC;
}

export const settingsIn = (application: SettingsFor, at: Omit<At, "secret">): readonly string[] =>
  application.lines({
    ...at,
    secret: at.client.secret === undefined ? "(none: a public client)" : "(the line in its secret_file)",
  });
