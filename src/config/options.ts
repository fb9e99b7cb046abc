import { brandDirectory } from "../brand/directory.ts";
import type { Random } from "../clock.ts";
import { listenAddress, networks, targetAddress } from "../net/endpoint.ts";
import { isLoopbackHost } from "../net/loopback.ts";
import { logLevels } from "../observe/levels.ts";
import type { Parser } from "../option/value-error.ts";
import {
  boolean,
  boundedSize,
  byteSize,
  choice,
  duration,
  fileMode,
  filePath,
  groupName,
  integer,
  socketPath,
} from "../option/values.ts";
import { freshJwtSecret, freshSessionKey, jwtSecret, sessionKey } from "../secret/values.ts";
import { storeLocation } from "../store/location.ts";
import type { Options } from "./types.ts";
import {
  addresses,
  cookieDomain,
  cookieName,
  domains,
  hostHeader,
  landingPath,
  origin,
  origins,
  rootPaths,
} from "./web-values.ts";

/**
 * Every option, declared once. Loading, `runegate check`, `runegate config` and the reference in the README all read
 * this declaration; rules that look at more than one option are in `rules.ts`.
 */

/** What a computed default may depend on: options declared further up, and the world. */
export type Known = {
  readonly production: boolean;
  readonly listen: Options["listen"];
  readonly baseUrl: string;
  /** Whether an option was given rather than left to its default. */
  isGiven(key: keyof Options): boolean;
  readonly random: Random;
  /** A directory for sockets that belongs to this user or service. */
  readonly runtimeDirectory: string;
};

/** A default that is not one fixed text. */
export type ComputedDefault<T> = {
  /** For the reference, in Markdown. */
  readonly described: string;
  /** The default as one would write it in the environment; undefined leaves the option unset. */
  text(known: Known): undefined extends T ? string | undefined : string;
};

export type Option<T> = {
  readonly name: string;
  readonly parse: Parser<T>;
  /** A text is what one would write in the environment, and goes through `parse` like any other. */
  readonly default: string | ComputedDefault<T>;
  /** In Markdown, one sentence or two. */
  readonly help: string;
  /** What production adds, where it does. */
  readonly production?: string;
  /** May be given as `<name>_FILE` or as a systemd credential, and is never shown. */
  readonly secret?: true;
  /** May be given as `<name>_FILE` or as a systemd credential, and is shown without the user and password of a URL. */
  readonly holdsSecret?: true;
  /** An empty value is a value; everywhere else it counts as unset. */
  readonly emptyIsValue?: true;
  /** Another variable, read where this one is unset. */
  readonly alternative?: string;
};

const SECOND = 1_000;
const MINUTE = 60 * SECOND;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;

/** Browsers keep no cookie longer (RFC 6265bis §5.5). */
const LONGEST_COOKIE = 400 * DAY;

const UNSET = (described: string) => ({ described, text: () => undefined });
const ON_IN_PRODUCTION = {
  described: "true in production",
  text: (known: Known) => String(known.production),
};
const OFF_IN_PRODUCTION = {
  described: "on unless production",
  text: (known: Known) => String(!known.production),
};

export const OPTIONS = {
  production: {
    name: "RUNEGATE_ENV",
    parse: (text) => choice("development", "production")(text) === "production",
    default: "development",
    help: "`production` turns on the strict rules marked (P).",
  },
  listen: {
    name: "RUNEGATE_LISTEN",
    parse: listenAddress,
    default: "127.0.0.1:7870",
    help: "Where to listen: address:port, `[::1]:7870`, or `unix:/path`.",
  },
  listenGroup: {
    name: "RUNEGATE_LISTEN_GROUP",
    parse: groupName,
    default: UNSET("unset: as the directory gives it"),
    help: "Group of a unix socket to listen on: a name or a number; the service's user must be a member of it.",
  },
  listenMode: {
    name: "RUNEGATE_LISTEN_MODE",
    parse: fileMode,
    default: {
      described: "`0660` with a group, else `0600`",
      text: (known) => (known.isGiven("listenGroup") ? "0660" : "0600"),
    },
    help:
      "Mode of a unix socket to listen on, in octal. Whoever may write to it may connect, and is believed about " +
      "forwarding headers.",
  },
  target: {
    name: "RUNEGATE_TARGET_SERVICE",
    parse: targetAddress,
    default: "http://127.0.0.1:7860",
    help: "The application: an http or https origin, or `unix:/path`.",
  },
  baseUrl: {
    name: "RUNEGATE_BASE_URL",
    parse: origin,
    default: "http://localhost:7870",
    help: "The public origin, as browsers see it; links in mail are built from it alone.",
    production: "required, https unless loopback",
  },
  jwtSecret: {
    name: "RUNEGATE_JWT_SECRET",
    parse: jwtSecret,
    default: { described: "random per start", text: (known) => freshJwtSecret(known.random) },
    help: "Signs login links: at least 32 bytes.",
    production: "required",
    secret: true,
  },
  sessionKey: {
    name: "RUNEGATE_SESSION_KEY",
    parse: sessionKey,
    default: { described: "random per start", text: (known) => freshSessionKey(known.random) },
    help: "Keys what the store keeps of session cookies: at least 64 bytes, or 128 hex digits.",
    production: "required",
    secret: true,
  },
  jwtSecretPrevious: {
    name: "RUNEGATE_JWT_SECRET_PREVIOUS",
    parse: jwtSecret,
    default: UNSET(""),
    help: "The secret before the last change: still accepted, never used to issue.",
    secret: true,
  },
  sessionKeyPrevious: {
    name: "RUNEGATE_SESSION_KEY_PREVIOUS",
    parse: sessionKey,
    default: UNSET(""),
    help: "The key before the last change: still accepted, never used to issue.",
    secret: true,
  },
  secureCookie: {
    name: "RUNEGATE_SECURE_COOKIE",
    parse: boolean,
    default: ON_IN_PRODUCTION,
    help: "Whether cookies are marked `Secure`, so that browsers send them over https only.",
  },
  cookieDomain: {
    name: "RUNEGATE_COOKIE_DOMAIN",
    parse: cookieDomain,
    default: UNSET("unset: host-only"),
    help: "Sends the session cookie to this domain and all under it.",
  },
  sessionCookieName: {
    name: "RUNEGATE_SESSION_COOKIE_NAME",
    parse: cookieName,
    default: "runegate_id",
    help: "Name of the session cookie; the rules of a `__Host-` or `__Secure-` prefix are enforced.",
  },
  sessionTtl: {
    name: "RUNEGATE_SESSION_TTL",
    parse: duration("s", SECOND, LONGEST_COOKIE),
    default: "14d",
    help: "How long a session lasts at most; a plain number is seconds.",
  },
  sessionIdle: {
    name: "RUNEGATE_SESSION_IDLE",
    parse: duration("s", SECOND, LONGEST_COOKIE),
    default: "3d",
    help: "How long a session lasts without use; a plain number is seconds.",
  },
  magicLinkExpiry: {
    name: "RUNEGATE_MAGIC_LINK_EXPIRY",
    parse: duration("m", SECOND, 7 * DAY),
    default: "15",
    help: "How long a login link and its code are good; a plain number is minutes.",
  },
  linkConfirm: {
    name: "RUNEGATE_LINK_CONFIRM",
    parse: choice("auto", "always", "never"),
    default: "auto",
    help:
      "When opening a link asks for a click first: `auto` in any browser but the one that asked, `always`, " +
      "`never` (mail scanners then spend links).",
  },
  landingPath: {
    name: "RUNEGATE_LANDING_PATH",
    parse: landingPath,
    default: "/",
    help: "Where a login that began nowhere in particular ends.",
  },
  rootPaths: {
    name: "RUNEGATE_ROOT_PATHS",
    parse: rootPaths,
    default: "auto",
    help:
      "Whose `/login`, `/auth`, `/logout`, `/health` and the like are: with `auto` Runegate's for whoever is not signed " +
      "in, and the application's for whoever is; `true` makes them Runegate's, `false` the application's.",
  },
  hostHeader: {
    name: "RUNEGATE_HOST_HEADER",
    parse: hostHeader,
    default: "pass",
    help:
      "The `Host` that the application gets: `pass` what the browser sent, `target` that of the target, or a name. " +
      "With the latter two, `Origin`, `Referer` and redirects are translated with it.",
  },
  allowedEmails: {
    name: "RUNEGATE_ALLOWED_EMAILS",
    parse: addresses,
    default: "",
    help: "Addresses that may sign in, separated by commas.",
    production: "one of the three must be set",
  },
  allowedDomains: {
    name: "RUNEGATE_ALLOWED_DOMAINS",
    parse: domains,
    default: "",
    help: "Domains whose addresses may sign in, matched exactly, separated by commas.",
    production: "one of the three must be set",
  },
  allowAnyEmail: {
    name: "RUNEGATE_ALLOW_ANY_EMAIL",
    parse: boolean,
    default: {
      described: "true in development when none of the three is set",
      text: (known) =>
        String(!known.production && !known.isGiven("allowedEmails") && !known.isGiven("allowedDomains")),
    },
    help: "Whether every address may sign in.",
    production: "one of the three must be set",
  },
  trustedProxies: {
    name: "RUNEGATE_TRUSTED_PROXIES",
    parse: networks,
    default: "127.0.0.0/8,::1",
    help: "Networks whose `X-Forwarded-*` headers are believed, as a CIDR list; empty trusts nobody.",
    emptyIsValue: true,
  },
  rateLimitEnabled: {
    name: "RUNEGATE_RATE_LIMIT_ENABLED",
    parse: boolean,
    default: "true",
    help: "`false` turns the three limits off.",
  },
  loginRateLimit: {
    name: "RUNEGATE_LOGIN_RATE_LIMIT",
    parse: integer(0, 100_000),
    default: "5",
    help:
      "Login requests a minute from one client, an IPv4 address or an IPv6 /64; four times as many from a /56, and sixteen " +
      "times from a /48. 0 is no limit.",
  },
  emailCooldown: {
    name: "RUNEGATE_EMAIL_COOLDOWN",
    parse: duration("s", 0, DAY),
    default: "300",
    help: "Time between two mails to one address, all its sub-addresses (`name+…`) counting as another one, unless a link was used in between; a plain number is seconds, 0 is no limit.",
  },
  tokenRateLimit: {
    name: "RUNEGATE_TOKEN_RATE_LIMIT",
    parse: integer(0, 100_000),
    default: "10",
    help: "Attempts a minute from one client to redeem a link or a code; 0 is no limit.",
  },
  mailCeiling: {
    name: "RUNEGATE_MAIL_CEILING",
    parse: integer(0, 10_000),
    default: "600",
    help:
      "Mails an hour in all, a quarter of them for addresses that are named in `RUNEGATE_ALLOWED_EMAILS` or have signed " +
      "in before; 0 is no limit.",
  },
  brand: {
    name: "RUNEGATE_BRAND",
    parse: brandDirectory,
    default: UNSET(""),
    help:
      "A directory with `logo.svg` or `logo.png` and `style.css`, served at `/_runegate/brand/`. Read at the start and " +
      "at a reload; it must hold nothing but such files, and not be writable for the service.",
  },
  identityHeaders: {
    name: "RUNEGATE_IDENTITY_HEADERS",
    parse: boolean,
    default: "true",
    help: "Whether the application is told who is asking; what clients send under those names is removed either way.",
  },
  allowedOrigins: {
    name: "RUNEGATE_ALLOWED_ORIGINS",
    parse: origins,
    default: {
      described: "the base URL's; on loopback its three spellings",
      text: (known) => [...new Set([known.baseUrl, ...loopbackSpellings(known.baseUrl)])].join(","),
    },
    help:
      "Origins whose pages may open WebSockets and post to Runegate's own paths; " +
      "`*` turns the check off for WebSockets.",
  },
  streamResponses: {
    name: "RUNEGATE_STREAM_RESPONSES",
    parse: boolean,
    default: "true",
    help: "`false` collects a response (up to 2 MiB) before sending it.",
  },
  connectTimeout: {
    name: "RUNEGATE_CONNECT_TIMEOUT",
    parse: duration("s", 100, HOUR),
    default: "10s",
    help: "How long to wait for a connection to the application; a plain number is seconds.",
  },
  responseTimeout: {
    name: "RUNEGATE_RESPONSE_TIMEOUT",
    parse: duration("s", 100, DAY),
    default: "600s",
    help: "How long to wait for the application's response headers; a plain number is seconds.",
  },
  maxBody: {
    name: "RUNEGATE_MAX_BODY",
    parse: byteSize,
    default: "unlimited",
    help: "Largest request body passed on, such as `10MiB` or `1GB`; refused with 413 beyond it.",
  },
  maxMessage: {
    name: "RUNEGATE_MAX_MESSAGE",
    // Each is held whole, so there is no "unlimited".
    parse: boundedSize(2 ** 30),
    default: "64MiB",
    help: "Largest single WebSocket message passed on, either way, uncompressed; up to 1GiB. A longer one closes the connection with 1009.",
  },
  store: {
    name: "RUNEGATE_STORE",
    parse: storeLocation,
    default: "memory",
    help:
      "Where sessions, used links, limits and waiting mail are kept. `memory` forgets at restart; `sqlite:<path>` is " +
      "a file; `valkey://user:password@host:6379/0` (`valkeys://` for TLS; `redis://`, `rediss://` too) is shared by " +
      "several machines.",
    holdsSecret: true,
  },
  workers: {
    name: "RUNEGATE_WORKERS",
    parse: integer(1, 64),
    default: "1",
    help: "Processes that share the port; more than the machine has cores is of no use.",
  },
  debugEndpoints: {
    name: "RUNEGATE_DEBUG_ENDPOINTS",
    parse: boolean,
    default: OFF_IN_PRODUCTION,
    help: "Whether `/_runegate/debug/…` answers.",
  },
  logFormat: {
    name: "RUNEGATE_LOG_FORMAT",
    parse: choice("console", "json"),
    default: "console",
    help: "`console` for people, `json` for one object a line.",
  },
  logLevels: {
    name: "RUNEGATE_LOG",
    parse: logLevels,
    default: "info",
    help:
      "A level (error, warn, info, debug, trace, off), or `module=level,…`; unknown modules are ignored. " +
      "`RUST_LOG` counts where this is unset.",
    alternative: "RUST_LOG",
  },
  requestLogs: {
    name: "RUNEGATE_REQUEST_LOGS",
    parse: boolean,
    default: OFF_IN_PRODUCTION,
    help: "Whether each request is one line in the log.",
  },
  emailConfig: {
    name: "RUNEGATE_EMAIL_CONFIG",
    parse: filePath,
    default: UNSET("`/etc/runegate/config/email.toml`, else `config/email.toml`"),
    help: "How mail is sent and what it says. Without one, development shows mail at `/_runegate/mailbox`.",
    production: "the file is required",
  },
  controlSocket: {
    name: "RUNEGATE_CONTROL_SOCKET",
    parse: (text) => (text === "off" ? undefined : socketPath(text)),
    default: {
      described: "in the runtime directory",
      text: (known) => `${known.runtimeDirectory}/control-${instanceName(known.listen)}.sock`,
    },
    help: "Unix socket on which `runegate sessions` reaches the running instance; `off` for none.",
  },
} satisfies { readonly [Key in keyof Options]: Option<Options[Key]> };

export type OptionKey = keyof typeof OPTIONS;

/** The options in the order of the declaration, which is the order they are shown in. */
export const OPTION_LIST: readonly (readonly [OptionKey, Option<unknown>])[] = Object.entries(
  OPTIONS as { [Key in OptionKey]: Option<unknown> },
).map(([key, option]) => [key as OptionKey, option]);

/** Whether an option's value may be in a file of its own. */
export function isConfidential(option: Option<unknown>): boolean {
  return option.secret === true || option.holdsSecret === true;
}

/** Says where the other options are; read from the process environment alone, so it is not one of them. */
export const ENV_FILE = {
  name: "RUNEGATE_ENV_FILE",
  described: "`/etc/runegate/runegate.env`, else `.env`",
  help: "A file of `NAME=value` lines, read for what the environment does not set.",
} as const;

/** A page on `localhost` and the same page on `127.0.0.1` have different origins, and people type all of them. */
function loopbackSpellings(baseUrl: string): string[] {
  const url = new URL(baseUrl);
  if (!isLoopbackHost(url.hostname)) return [];
  return ["localhost", "127.0.0.1", "[::1]"].map((host) => {
    url.hostname = host;
    return url.origin;
  });
}

/** Tells apart the instances of one machine that share a runtime directory. */
function instanceName(listen: Options["listen"]): string {
  return listen.kind === "tcp" ? String(listen.port) : Bun.hash(listen.path).toString(36);
}

/** Every name the environment may hold, for the search for misspelt ones. */
export const OPTION_NAMES: readonly string[] = [
  ENV_FILE.name,
  ...OPTION_LIST.flatMap(([, option]) =>
    isConfidential(option) ? [option.name, `${option.name}_FILE`] : [option.name],
  ),
];
