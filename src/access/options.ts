import { addresses, domains } from "../identity/values.ts";
import { type Declaration, type OptionsOf, unset } from "../option/option.ts";
import { boolean, choice, filePath } from "../option/values.ts";

export type AccessOptions = OptionsOf<typeof ACCESS_OPTIONS>;

const ONE_OF_THREE = "one of the three must be set";

const SIGN_IN = ["allowed", "anyone"] as const;

export const ACCESS_OPTIONS = {
  allowedEmails: {
    name: "RUNEGATE_ALLOWED_EMAILS",
    parse: addresses,
    default: "",
    help: "Addresses that may sign in, separated by commas.",
    production: ONE_OF_THREE,
    basic: true,
  },
  allowedDomains: {
    name: "RUNEGATE_ALLOWED_DOMAINS",
    parse: domains,
    default: "",
    help: "Domains whose addresses may sign in, matched exactly, separated by commas.",
    production: ONE_OF_THREE,
    basic: true,
  },
  allowAnyEmail: {
    name: "RUNEGATE_ALLOW_ANY_EMAIL",
    parse: boolean,
    default: {
      described: "true in development when none of the three is set",
      text: ({ production, isGiven }): string =>
        String(!production && !isGiven("allowedEmails") && !isGiven("allowedDomains")),
    },
    help: "Whether every address may sign in.",
    production: ONE_OF_THREE,
  },
  admins: {
    name: "RUNEGATE_ADMINS",
    parse: addresses,
    default: "",
    help: "Administrators, separated by commas, besides the group `admins` of routes.toml. Nobody is made one while it runs.",
  },
  dynamicUsers: {
    name: "RUNEGATE_DYNAMIC_USERS",
    parse: boolean,
    default: "false",
    help: "Whether administrators may let people in, and shut them out, while it runs (`runegate users`).",
  },
  signIn: {
    name: "RUNEGATE_SIGN_IN",
    parse: choice(...SIGN_IN),
    default: "allowed",
    help:
      "Who gets a login link: those who are `allowed` something, or `anyone`, who can then use what is granted to them " +
      "and nothing else.",
    words: SIGN_IN,
  },
  routes: {
    name: "RUNEGATE_ROUTES",
    parse: filePath,
    default: unset("`/etc/runegate/config/routes.toml`, else `config/routes.toml`, where there is one"),
    help: "A file with several applications by host and path, each with its own people.",
  },
} satisfies Declaration;
