import { type Declaration, type OptionsOf, unset } from "../option/option.ts";
import { freshJwtSecret, freshSessionKey, instant, jwtSecret, sessionKey } from "./values.ts";

export type SecretOptions = OptionsOf<typeof SECRET_OPTIONS>;

export const SECRET_OPTIONS = {
  jwtSecret: {
    name: "RUNEGATE_JWT_SECRET",
    parse: jwtSecret,
    default: { described: "random per start", text: (known): string => freshJwtSecret(known.random) },
    help: "Signs login links: at least 32 bytes.",
    production: "required",
    secret: true,
    basic: true,
  },
  sessionKey: {
    name: "RUNEGATE_SESSION_KEY",
    parse: sessionKey,
    default: { described: "random per start", text: (known): string => freshSessionKey(known.random) },
    help: "Keys what the store keeps of session cookies: at least 64 bytes, or 128 hex digits.",
    production: "required",
    secret: true,
    basic: true,
  },
  jwtSecretPrevious: {
    name: "RUNEGATE_JWT_SECRET_PREVIOUS",
    parse: jwtSecret,
    default: unset(""),
    help: "The secret before the last change: still accepted, never used to issue.",
    secret: true,
  },
  sessionKeyPrevious: {
    name: "RUNEGATE_SESSION_KEY_PREVIOUS",
    parse: sessionKey,
    default: unset(""),
    help: "The key before the last change: still accepted, never used to issue.",
    secret: true,
  },
  jwtSecretNext: {
    name: "RUNEGATE_JWT_SECRET_NEXT",
    parse: jwtSecret,
    default: unset(""),
    help: "The secret after the next change: accepted already, not used to issue, for machines that change one after the other.",
    secret: true,
  },
  sessionKeyNext: {
    name: "RUNEGATE_SESSION_KEY_NEXT",
    parse: sessionKey,
    default: unset(""),
    help: "The key after the next change: accepted already, not used to issue, for machines that change one after the other.",
    secret: true,
  },
  /** Milliseconds since the Unix epoch. */
  secretsRotated: {
    name: "RUNEGATE_SECRETS_ROTATED",
    parse: instant,
    default: unset(""),
    help: "When the secrets were changed last, as `runegate secrets rotate` writes it, such as `2026-03-01T09:00:00Z`.",
  },
} satisfies Declaration;
