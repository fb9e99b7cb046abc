import type { Declaration, OptionsOf } from "../option/option.ts";
import { boolean, DAY, duration, integer } from "../option/values.ts";

export type LimitsOptions = OptionsOf<typeof LIMITS_OPTIONS>;

export const LIMITS_OPTIONS = {
  rateLimitEnabled: {
    name: "RUNEGATE_RATE_LIMIT_ENABLED",
    parse: boolean,
    default: "true",
    help: "`false` turns the three limits off.",
  },
  /** Requests a minute and client. */
  loginRateLimit: {
    name: "RUNEGATE_LOGIN_RATE_LIMIT",
    parse: integer(0, 100_000),
    default: "5",
    help:
      "Login requests a minute from one client, an IPv4 address or an IPv6 /64; four times as many from a /56, and sixteen " +
      "times from a /48. 0 is no limit.",
  },
  /** Milliseconds. */
  emailCooldown: {
    name: "RUNEGATE_EMAIL_COOLDOWN",
    parse: duration("s", 0, DAY),
    default: "300",
    help: "Time between two mails to one address, all its sub-addresses (`name+…`) counting as another one, unless a link was used in between; a plain number is seconds, 0 is no limit.",
  },
  /** Attempts a minute and client. */
  tokenRateLimit: {
    name: "RUNEGATE_TOKEN_RATE_LIMIT",
    parse: integer(0, 100_000),
    default: "10",
    help: "Attempts a minute from one client to redeem a link or a code; 0 is no limit.",
  },
} satisfies Declaration;
