import { networks, originUrl } from "../net/endpoint.ts";
import { isLoopbackHost } from "../net/loopback.ts";
import { type Declaration, type OptionsOf, TRUE_IN_PRODUCTION } from "../option/option.ts";
import { boolean, list } from "../option/values.ts";
import type { RootPathsOption } from "./root-paths.ts";

export type EdgeOptions = OptionsOf<typeof EDGE_OPTIONS>;

export const EDGE_OPTIONS = {
  /** Public origin, no trailing slash. */
  baseUrl: {
    name: "RUNEGATE_BASE_URL",
    parse: origin,
    default: "http://localhost:7870",
    help: "The public origin, as browsers see it; links in mail are built from it alone.",
    production: "required, https unless loopback",
    basic: true,
  },
  trustedProxies: {
    name: "RUNEGATE_TRUSTED_PROXIES",
    parse: networks,
    default: {
      described: "`127.0.0.0/8,::1`; nobody with `RUNEGATE_TLS`, since no proxy is in front then",
      text: (known) => (known.textOf("tls") === "off" ? "127.0.0.0/8,::1" : ""),
    },
    help: "Networks whose `X-Forwarded-*` headers are believed, as a CIDR list; empty trusts nobody.",
    emptyIsValue: true,
    basic: true,
  },
  secureCookie: {
    name: "RUNEGATE_SECURE_COOKIE",
    parse: boolean,
    default: TRUE_IN_PRODUCTION,
    help: "Whether cookies are marked `Secure`, so that browsers send them over https only.",
  },
  /** `"*"` turns the check off for WebSockets only. */
  allowedOrigins: {
    name: "RUNEGATE_ALLOWED_ORIGINS",
    parse: origins,
    default: {
      described: "the base URL's; on loopback its three spellings",
      text: (known) => {
        const own = origin(known.textOf("baseUrl"));
        return [...new Set([own, ...loopbackSpellings(own)])].join(",");
      },
    },
    help:
      "Origins whose pages may open WebSockets and post to Runegate's own paths; " +
      "`*` turns the check off for WebSockets.",
  },
  rootPaths: {
    name: "RUNEGATE_ROOT_PATHS",
    parse: rootPaths,
    default: "auto",
    help:
      "Whose `/login`, `/auth`, `/logout`, `/health` and the like are: with `auto` Runegate's for whoever is not signed " +
      "in, and the application's for whoever is; `true` makes them Runegate's, `false` the application's.",
    words: ["auto", "true", "false"],
  },
} satisfies Declaration;

/** An http(s) origin, without a trailing slash. */
export function origin(text: string): string {
  return originUrl(text, "Write scheme and host only, such as https://app.example.org.").origin;
}

/** Origins, or `*` alone. */
export function origins(text: string): "*" | ReadonlySet<string> {
  return text === "*" ? "*" : new Set(list(origin)(text));
}

export function rootPaths(text: string): RootPathsOption {
  return text.toLowerCase() === "auto" ? "auto" : boolean(text);
}

/** A page on `localhost` and the same page on `127.0.0.1` have different origins, and people type all of them. */
function loopbackSpellings(baseUrl: string): string[] {
  const url = new URL(baseUrl);
  if (!isLoopbackHost(url.hostname)) return [];
  return ["localhost", "127.0.0.1", "[::1]"].map((host) => {
    url.hostname = host;
    return url.origin;
  });
}
