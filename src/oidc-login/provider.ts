import { contentsOf, groupName, routeName } from "../access/routes-file.ts";
import { providerUrl } from "../bearer/options.ts";
import { type ListOfTables, listOf, type TableOf, table, text } from "../option/table.ts";
import { quote, ValueError } from "../option/value-error.ts";
import { OWN_PREFIX } from "../pages/paths.ts";

/** `[[providers]]` in `routes.toml`: OpenID providers that people may sign in with. */

const PROVIDER = table(
  {
    name: {
      name: "name",
      parse: text(routeName),
      example: "keycloak",
      help: "Its name in addresses and in the audit: `a-z`, `0-9`, `-`, up to 32 characters.",
    },
    title: {
      name: "title",
      parse: text(title),
      example: "Keycloak",
      help: 'What the login page calls it: "Continue with …". By default its name.',
      optional: true,
    },
    /** As written: it is compared as a text. */
    issuer: {
      name: "issuer",
      parse: text(providerUrl),
      example: "https://id.example.org/realms/main",
      help: "Exactly what the provider calls itself: the `issuer` at its `/.well-known/openid-configuration`.",
    },
    clientId: {
      name: "client_id",
      parse: text(token),
      example: "runegate",
      help: "The name that the provider gave to this client.",
    },
    clientSecret: {
      name: "client_secret_file",
      parse: text(secretIn),
      example: "/etc/runegate/secrets/keycloak",
      help: "A file with the secret that it gave to it.",
    },
    scopes: {
      name: "scopes",
      parse: scopes,
      example: ["openid", "email", "groups"],
      help: "What is asked for. `openid` always is.",
      default: ["openid", "email"],
    },
    emailVerifiedClaim: {
      name: "email_verified_claim",
      parse: text(token),
      example: "xms_edov",
      help: "The claim that is `true` where the provider has made sure of the address. Name another only if no user can set it.",
      default: "email_verified",
    },
    groupsClaim: {
      name: "groups_claim",
      parse: text(token),
      example: "realm_access.roles",
      help: "The claim with somebody's groups there, a list or a text with blanks; or the path to one.",
      default: "groups",
    },
    groups: {
      name: "groups",
      entry: (value) => text(groupName)(value),
      example: { "lab-staff": "staff" },
      help:
        "Groups there, and the group here whose members they are for as long as they stay signed in. " +
        "One that only providers have members for is an empty list below `[groups]`.",
    },
  },
  undefined,
  "error",
);

export const PROVIDERS = {
  name: "providers",
  tables: PROVIDER,
  help: "An OpenID provider each, to sign in with.",
} as const satisfies ListOfTables;

export type Provider = TableOf<typeof PROVIDER.keys>;

/** As people call it. */
export const titleOf = ({ title, name }: Pick<Provider, "title" | "name">): string => title ?? name;

export const startPath = ({ name }: Pick<Provider, "name">) => `${OWN_PREFIX}/oidc/${name}`;
/** What has to be registered at the provider, below the base URL. */
export const callbackPath = (provider: Pick<Provider, "name">) => `${startPath(provider)}/callback`;
export const logoutPath = (provider: Pick<Provider, "name">) => `${startPath(provider)}/backchannel-logout`;

function title(written: string): string {
  if (written.trim() !== "" && written.length <= 60 && !/[\p{Cc}\u2028\u2029]/u.test(written))
    return written.trim();
  throw new ValueError("is no title", "Write a line of at most 60 characters.");
}

function token(written: string): string {
  if (/^[\x21-\x7e]{1,256}$/.test(written)) return written;
  throw new ValueError(`is not a word: ${quote(written)}`, "Write ASCII without blanks.");
}

function secretIn(path: string): string {
  const secret = contentsOf(path).replace(/[\r\n]+$/, "");
  if (secret !== "") return secret;
  throw new ValueError(`names an empty file: ${quote(path)}`, "Write the client's secret into it.");
}

function scopes(value: unknown): readonly string[] {
  return [...new Set(["openid", ...listOf(token)(value)])];
}
