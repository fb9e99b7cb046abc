import { isLoopbackHost } from "../net/loopback.ts";
import { type Declaration, type OptionsOf, unset } from "../option/option.ts";
import { quote, ValueError } from "../option/value-error.ts";
import { boolean, list } from "../option/values.ts";

export type BearerOptions = OptionsOf<typeof BEARER_OPTIONS>;

export const BEARER_OPTIONS = {
  /** As written: it is compared as a text. */
  oidcIssuer: {
    name: "RUNEGATE_OIDC_ISSUER",
    parse: providerUrl,
    default: unset("unset: off"),
    help:
      "An OpenID provider whose signed tokens the management API takes as `Authorization: Bearer`; exactly what their `iss` says. " +
      "They open no application.",
  },
  oidcAudiences: {
    name: "RUNEGATE_OIDC_AUDIENCES",
    parse: list(audience),
    default: "",
    help: "What a token may be for, separated by commas: one of them must be in its `aud`. Needed with an issuer.",
  },
  oidcJwksUrl: {
    name: "RUNEGATE_OIDC_JWKS_URL",
    parse: providerUrl,
    default: unset("what the provider publishes"),
    help: "Where the provider's public keys are.",
  },
  oidcSubjectClaim: {
    name: "RUNEGATE_OIDC_SUBJECT_CLAIM",
    parse: claimName,
    default: "email",
    help:
      "The claim with the address of whoever asks. With `email`, `email_verified` must be true; name another only if nobody can choose " +
      "its value freely. `sub` may be no address: then it is the name of a program.",
  },
  oidcGroupsClaim: {
    name: "RUNEGATE_OIDC_GROUPS_CLAIM",
    parse: claimName,
    default: "groups",
    help: "The claim with their groups, a list or a text with blanks; or the path to one, such as `realm_access.roles`.",
  },
  oidcAdminGroup: {
    name: "RUNEGATE_OIDC_ADMIN_GROUP",
    parse: claimName,
    default: "admin",
    help: "The group there whose members are administrators.",
  },
  oidcAdminGroupCaseInsensitive: {
    name: "RUNEGATE_OIDC_ADMIN_GROUP_CASE_INSENSITIVE",
    parse: boolean,
    default: "false",
    help: "Whether that group may be written in capitals or not.",
  },
} satisfies Declaration;

/** Https, or this machine: who may answer for the provider decides who gets in. */
export function providerUrl(text: string): string {
  const url = /^https?:\/\/[^\s?#\\@]+$/.test(text) ? URL.parse(text) : null;
  if (url !== null && (url.protocol === "https:" || isLoopbackHost(url.hostname))) return text;
  throw new ValueError(
    `is not an https URL: ${quote(text)}`,
    "Write one such as https://id.example.org/realms/main, without a query.",
  );
}

function audience(text: string): string {
  if (text.length <= 256) return text;
  throw new ValueError("is too long", "Write at most 256 characters.");
}

function claimName(text: string): string {
  if (/^[\x21-\x7e]{1,256}$/.test(text)) return text;
  throw new ValueError(`is not a name: ${quote(text)}`, "Write a word of ASCII.");
}
