import { ROOT_PATHS } from "../edge/root-paths.ts";
import { cutTarget } from "../edge/target.ts";
import type { ListenAddress } from "../net/endpoint.ts";
import { isPrivate, parseIp } from "../net/ip.ts";
import { isLoopbackHost } from "../net/loopback.ts";
import { readableByOthers } from "../option/files.ts";
import { OPTIONS, type OptionKey, type Options } from "./options.ts";

/** The rules that look at more than one option, or at whether one was given. (P) in CONTRACT section 9 means production. */

export type Given = (key: OptionKey) => boolean;

/** What a rule objects to. `error` keeps Runegate from starting. */
export type Verdict = {
  readonly severity: "error" | "warning";
  readonly key: OptionKey;
  readonly problem: string;
  readonly remedy: string;
};

/** Those that rooms declare, with and without the prefix that they have where cookies are `Secure`. */
const OTHER_COOKIES = /^(?:__Host-)?runegate_(?:login|as|bind|device|kept|last|oidc|approval|language)$/;

export type Rule = {
  /** The rule is asked only if the values of all of these are good, and no rule before it has refused one of them. */
  readonly needs: readonly OptionKey[];
  /** Must look at the options in `needs` only. */
  check(options: Options, given: Given): Verdict | undefined;
};

function rule<Key extends OptionKey>(
  needs: readonly Key[],
  check: (options: Pick<Options, Key>, given: Given) => Verdict | undefined,
): Rule {
  return { needs, check };
}

function error(key: OptionKey, problem: string, remedy: string): Verdict {
  return { severity: "error", key, problem, remedy };
}

function warning(key: OptionKey, problem: string, remedy: string): Verdict {
  return { severity: "warning", key, problem, remedy };
}

const requiredInProduction = (key: OptionKey, remedy: string): Rule =>
  rule(["production"], (options, given) =>
    options.production && !given(key) ? error(key, "is required in production", remedy) : undefined,
  );

const isHttps = (baseUrl: string) => baseUrl.startsWith("https:");
const hostOf = (baseUrl: string) => new URL(baseUrl).hostname;
const isLoopback = (baseUrl: string) => isLoopbackHost(hostOf(baseUrl));

/** Not so where routes say who may use them. */
export const NOBODY_MAY = "is not set, and neither are the other two, so nobody may sign in";

const isAnyPort = (address: ListenAddress | undefined) => address?.kind === "tcp" && address.port === 0;

const MAKE_SECRETS = "Add one with `runegate secrets --env-file /etc/runegate/runegate.env`.";

export const RULES: readonly Rule[] = [
  requiredInProduction("baseUrl", "Set it to the address people type, such as https://app.example.org."),
  requiredInProduction("jwtSecret", MAKE_SECRETS),
  requiredInProduction("sessionKey", MAKE_SECRETS),

  ...(["jwtSecret", "sessionKey"] as const).map((key) =>
    rule([`${key}Previous`, `${key}Next`], (options) =>
      options[`${key}Previous`] !== undefined && options[`${key}Next`] !== undefined
        ? error(
            `${key}Next`,
            `is set beside ${OPTIONS[`${key}Previous`].name}, and of two changes one comes after the other`,
            "Run `runegate secrets rotate --finish` first, or take it out.",
          )
        : undefined,
    ),
  ),

  rule(["production", "baseUrl"], ({ production, baseUrl }) =>
    production && !isHttps(baseUrl) && !isLoopback(baseUrl)
      ? error(
          "baseUrl",
          "is not https",
          "Put a TLS-terminating proxy in front and write its https origin, or have RUNEGATE_TLS on.",
        )
      : undefined,
  ),

  rule(["tls", "baseUrl"], ({ tls, baseUrl }) =>
    tls !== "off" && !isHttps(baseUrl)
      ? error("tls", "is on while the base URL is http", `Write ${OPTIONS.baseUrl.name} with https.`)
      : undefined,
  ),

  rule(["tls", "listen"], ({ tls, listen }) =>
    tls !== "off" && listen.kind === "unix"
      ? error("tls", "takes an address to listen on, and not a unix socket", `Change ${OPTIONS.listen.name}.`)
      : undefined,
  ),

  rule(["tls", "tlsCert"], ({ tls, tlsCert }) =>
    tls === "files" && tlsCert === undefined
      ? error("tlsCert", "is not set, and TLS takes certificates", "Name a file, or a folder of several.")
      : undefined,
  ),

  rule(["tls", "listen", "httpListen", "acmeDnsHook"], ({ tls, listen, httpListen, acmeDnsHook }) => {
    const isAnswered =
      httpListen === undefined ? listen.kind === "tcp" && listen.port === 443 : httpListen !== "off";
    return tls === "acme" && !isAnswered && acmeDnsHook === undefined
      ? warning(
          "httpListen",
          "has plain http answered nowhere, and an authority comes to port 80 before it gives a certificate",
          "Write where port 80 leads to, such as [::]:80.",
        )
      : undefined;
  }),

  rule(["acmeWildcards", "acmeDnsHook"], ({ acmeWildcards, acmeDnsHook }) =>
    acmeWildcards.length > 0 && acmeDnsHook === undefined
      ? error(
          "acmeWildcards",
          "has wildcards, which are proved in DNS alone",
          `Set ${OPTIONS.acmeDnsHook.name}.`,
        )
      : undefined,
  ),

  rule(["acmeEabId", "acmeEabKey"], ({ acmeEabId, acmeEabKey }) =>
    (acmeEabId === undefined) !== (acmeEabKey === undefined)
      ? error(
          acmeEabId === undefined ? "acmeEabId" : "acmeEabKey",
          "is not set, and the other half of the account is",
          "Write both as the authority gives them, or neither.",
        )
      : undefined,
  ),

  rule(["tls"], ({ tls }, given) => {
    const idle = (["tlsCert", "tlsKey", "httpListen"] as const).find(given);
    return tls === "off" && idle !== undefined
      ? warning(
          idle,
          `means nothing without ${OPTIONS.tls.name}`,
          `Set ${OPTIONS.tls.name}, or leave it out.`,
        )
      : undefined;
  }),

  rule(["signIn", "dynamicUsers"], ({ signIn, dynamicUsers }) =>
    signIn === "anyone" && !dynamicUsers
      ? warning(
          "signIn",
          "sends links to strangers, who can be let in to nothing",
          `Set ${OPTIONS.dynamicUsers.name}=true, or leave it out.`,
        )
      : undefined,
  ),

  rule(["baseUrl", "listen"], ({ listen }, given) =>
    !given("baseUrl") && listen.kind === "tcp" && listen.port !== 7870 && listen.port !== 0
      ? warning(
          "baseUrl",
          `is not set, so links point to http://localhost:7870 while Runegate listens on port ${listen.port}`,
          `Set it, for example to http://localhost:${listen.port}.`,
        )
      : undefined,
  ),

  rule(["production", "allowedEmails", "allowedDomains", "allowAnyEmail", "admins"], (options, given) => {
    const { production, allowedEmails, allowedDomains, allowAnyEmail, admins } = options;
    const listed = allowedEmails.size + allowedDomains.size > 0;
    if (allowAnyEmail && listed) {
      return warning(
        "allowAnyEmail",
        "is true, so the lists of addresses and domains have no effect",
        "Set it to false to let only those in.",
      );
    }
    if (allowAnyEmail && !given("allowAnyEmail")) {
      return warning(
        "allowAnyEmail",
        "is not set, and neither is a list, so every address may sign in",
        `Set ${OPTIONS.allowedEmails.name} or ${OPTIONS.allowedDomains.name}; production refuses to start without.`,
      );
    }
    // Administrators may sign in, and let others in.
    if (allowAnyEmail || listed || admins.size > 0) return undefined;
    const verdict = production ? error : warning;
    return verdict(
      "allowedEmails",
      NOBODY_MAY,
      `Set ${OPTIONS.allowedEmails.name} or ${OPTIONS.allowedDomains.name}, or ${OPTIONS.allowAnyEmail.name}=true.`,
    );
  }),

  rule(["secureCookie", "baseUrl"], ({ secureCookie, baseUrl }) => {
    if (!secureCookie || isHttps(baseUrl)) return undefined;
    return isLoopback(baseUrl)
      ? warning(
          "secureCookie",
          "is true while the base URL is http, and some browsers then keep no cookie even on loopback",
          "Set it to false if signing in seems to have no effect.",
        )
      : error(
          "secureCookie",
          "is true while the base URL is http, so browsers would drop the cookie and nobody could sign in",
          "Use an https base URL, or set this to false.",
        );
  }),

  rule(["production", "secureCookie", "baseUrl"], ({ production, secureCookie, baseUrl }) =>
    production && !secureCookie && isHttps(baseUrl)
      ? warning(
          "secureCookie",
          "is false, so the session cookie also travels over plain http",
          "Leave it out: the default in production is true.",
        )
      : undefined,
  ),

  rule(["cookieDomain", "baseUrl"], ({ cookieDomain, baseUrl }) => {
    const host = hostOf(baseUrl);
    if (cookieDomain === undefined || host === cookieDomain || host.endsWith(`.${cookieDomain}`))
      return undefined;
    return error(
      "cookieDomain",
      `does not contain the base URL's host ${host}, so browsers would drop the cookie`,
      "Write that host or a domain above it, or leave the option out.",
    );
  }),

  rule(["sessionCookieName"], ({ sessionCookieName }) =>
    OTHER_COOKIES.test(sessionCookieName)
      ? error("sessionCookieName", "is the name of another cookie of Runegate's own", "Choose another name.")
      : undefined,
  ),

  // RFC 6265bis §4.1.3; browsers compare the prefixes without regard to case.
  rule(["sessionCookieName", "secureCookie", "cookieDomain"], (options) => {
    const { sessionCookieName, secureCookie, cookieDomain } = options;
    const prefix = /^__(?:host|secure|http)-/i.exec(sessionCookieName)?.[0];
    if (prefix === undefined) return undefined;
    const remedy = (name: string, value: string) =>
      `Set ${name}${value}, or choose a name without the prefix.`;
    if (!secureCookie) {
      return error(
        "sessionCookieName",
        `starts with ${prefix}, which browsers accept only on Secure cookies`,
        remedy(OPTIONS.secureCookie.name, "=true"),
      );
    }
    if (prefix.toLowerCase() === "__host-" && cookieDomain !== undefined) {
      return error(
        "sessionCookieName",
        `starts with ${prefix}, which browsers accept only on cookies without a domain`,
        remedy(OPTIONS.cookieDomain.name, " to nothing"),
      );
    }
    return undefined;
  }),

  rule(["sessionTtl", "sessionIdle"], ({ sessionTtl, sessionIdle }, given) =>
    given("sessionIdle") && sessionIdle > sessionTtl
      ? warning(
          "sessionIdle",
          `is longer than ${OPTIONS.sessionTtl.name}, so it never ends a session`,
          "Shorten it, or leave it out.",
        )
      : undefined,
  ),

  rule(["identityHeaders", "identityMode"], ({ identityHeaders, identityMode }) =>
    !identityHeaders && (identityMode === "headers" || identityMode === "both")
      ? error(
          "identityMode",
          `is ${identityMode}, and ${OPTIONS.identityHeaders.name} is false`,
          `Leave ${OPTIONS.identityHeaders.name} out.`,
        )
      : undefined,
  ),

  rule(["downstreamJwtBearer", "downstreamJwtHeader"], (options) =>
    options.downstreamJwtBearer && options.downstreamJwtHeader !== "authorization"
      ? error(
          "downstreamJwtBearer",
          `is true, and the token goes in ${options.downstreamJwtHeader}`,
          `Set ${OPTIONS.downstreamJwtHeader.name}=Authorization, or leave this out.`,
        )
      : undefined,
  ),

  rule(["downstreamJwtKeyFile", "downstreamJwtKey"], ({ downstreamJwtKeyFile: file, downstreamJwtKey }) =>
    file !== undefined && downstreamJwtKey !== undefined
      ? error(
          "downstreamJwtKey",
          `is set, and so is ${OPTIONS.downstreamJwtKeyFile.name}`,
          "Keep one and remove the other.",
        )
      : undefined,
  ),

  rule(["downstreamJwtKeyFile"], ({ downstreamJwtKeyFile: file }) => {
    const exposed = file && readableByOthers(file.path, file.mode, file.uid);
    return exposed && warning("downstreamJwtKeyFile", `(${file.path}) ${exposed.problem}`, exposed.remedy);
  }),

  rule(["downstreamJwtAlg", "downstreamJwtKeyFile", "downstreamJwtKey"], (options) => {
    const { downstreamJwtAlg: alg, downstreamJwtKeyFile: file, downstreamJwtKey } = options;
    const [first] = file?.keys ?? downstreamJwtKey ?? [];
    if (first === undefined) {
      return alg === "RS256"
        ? error(
            "downstreamJwtAlg",
            "is RS256, and there is no key for it",
            `Name a file with one in ${OPTIONS.downstreamJwtKeyFile.name}, or leave this out.`,
          )
        : undefined;
    }
    return alg === first.alg
      ? undefined
      : error(
          "downstreamJwtAlg",
          `is ${alg}, and the first of the keys that are given signs by ${first.alg}`,
          `Write ${first.alg}, or bring another key.`,
        );
  }),

  rule(
    ["downstreamJwtAlg", "downstreamJwtSecret"],
    ({ downstreamJwtAlg: alg, downstreamJwtSecret: secret }) => {
      if (alg === "HS256" && secret === undefined) {
        return error(
          "downstreamJwtAlg",
          "is HS256, and there is no secret for it",
          `Set ${OPTIONS.downstreamJwtSecret.name}, or leave this out.`,
        );
      }
      return alg !== "HS256" && secret !== undefined
        ? warning("downstreamJwtSecret", `has no effect with ${alg}`, "Remove it.")
        : undefined;
    },
  ),

  // Whoever verifies with it could sign login links, and make sessions.
  rule(
    ["downstreamJwtSecret", "jwtSecret", "sessionKey", "jwtSecretPrevious", "sessionKeyPrevious"],
    ({ downstreamJwtSecret: secret, ...options }) =>
      secret !== undefined &&
      [options.jwtSecret, options.sessionKey, options.jwtSecretPrevious, options.sessionKeyPrevious].some(
        (own) => own !== undefined && Bun.deepEquals(own, secret),
      )
        ? error(
            "downstreamJwtSecret",
            "is one of Runegate's own secrets",
            "Make another with `runegate secrets`.",
          )
        : undefined,
  ),

  rule(["landingPath", "rootPaths", "debugEndpoints"], ({ landingPath, rootPaths, debugEndpoints }) => {
    const { path } = cutTarget(landingPath, 0);
    if (rootPaths === false || !ROOT_PATHS.some((root) => root === path)) return undefined;
    const forDebugging = path.startsWith("/debug/");
    // With `auto`, whoever has just signed in gets the application's page of that name.
    if (forDebugging ? !debugEndpoints : rootPaths === "auto") return undefined;
    return error(
      "landingPath",
      `is ${path}, which Runegate answers itself`,
      `Write another path of the application, or set ${OPTIONS.rootPaths.name}=${forDebugging ? "false" : "auto"}.`,
    );
  }),

  rule(["trustedProxies"], ({ trustedProxies }) =>
    trustedProxies.some((network) => network.prefix === 0)
      ? warning(
          "trustedProxies",
          "trusts every address there is, so anybody can pretend to come from anywhere",
          "Write the addresses of the proxies in front.",
        )
      : undefined,
  ),

  rule(["allowedOrigins", "baseUrl"], ({ allowedOrigins, baseUrl }) => {
    if (allowedOrigins === "*") {
      return warning(
        "allowedOrigins",
        "is *, so pages of any site can open WebSockets in the name of whoever visits them",
        "Write the origins that need it.",
      );
    }
    return allowedOrigins.has(baseUrl)
      ? undefined
      : error(
          "allowedOrigins",
          `does not have the base URL's own origin ${baseUrl}, so the application's pages could open no WebSocket`,
          "Add it to the list.",
        );
  }),

  rule(["listen", "checkListen", "listenMode", "listenGroup"], (options, given) => {
    const { listen, checkListen, listenMode } = options;
    const key = given("listenMode") ? "listenMode" : "listenGroup";
    if (listen.kind === "tcp" && checkListen?.kind !== "unix") {
      return given(key)
        ? warning(key, "has no effect on an address and port", `Leave it out, or listen on unix:/path.`)
        : undefined;
    }
    return (listenMode & 0o002) === 0
      ? undefined
      : warning(
          "listenMode",
          "lets everybody on this machine connect, and be believed about who they are a proxy for",
          `Write 0660, and the proxy's group into ${OPTIONS.listenGroup.name}.`,
        );
  }),

  rule(["listen", "target"], ({ listen, target }) => {
    const loop =
      listen.kind === "unix"
        ? target.kind === "unix" && target.path === listen.path
        : target.kind === "tcp" &&
          target.port === listen.port &&
          isLoopbackHost(target.hostname) &&
          (isLoopbackHost(listen.hostname) || /^[0:.]+$/.test(listen.hostname));
    return loop
      ? error(
          "target",
          "is the address Runegate itself listens on",
          `Write the application's, or change ${OPTIONS.listen.name}.`,
        )
      : undefined;
  }),

  rule(["listen", "checkListen"], ({ listen, checkListen }) =>
    checkListen !== undefined && Bun.deepEquals(listen, checkListen) && !isAnyPort(listen)
      ? error(
          "checkListen",
          `is that of ${OPTIONS.listen.name}`,
          "Write another one, or leave it out: checks are answered there too.",
        )
      : undefined,
  ),

  ...(["listen", "checkListen"] as const).map((key) =>
    rule(["metricsListen", key], ({ metricsListen, [key]: other }) =>
      metricsListen !== undefined && Bun.deepEquals(other, metricsListen) && !isAnyPort(other)
        ? error("metricsListen", `is that of ${OPTIONS[key].name}`, "Write another one: visitors come there.")
        : undefined,
    ),
  ),

  rule(["metricsListen"], ({ metricsListen }) => {
    if (metricsListen === undefined) return undefined;
    const { hostname } = metricsListen;
    return isLoopbackHost(hostname) || isPrivate(hostname)
      ? undefined
      : warning(
          "metricsListen",
          `is ${hostname}, where whoever reaches it reads the metrics without being asked who they are`,
          "Write an address of this machine, such as 127.0.0.1:9870, or of a private network.",
        );
  }),

  rule(["production", "debugEndpoints"], ({ production, debugEndpoints }) =>
    production && debugEndpoints
      ? warning("debugEndpoints", "is on in production", "Turn it off when you are done.")
      : undefined,
  ),

  rule(["production", "store"], ({ production, store }) =>
    production && store.kind === "memory"
      ? warning(
          "store",
          "is memory, so a restart ends every session and forgets which links were used",
          "Write sqlite:/var/lib/runegate/runegate.db to keep them, or expect people to sign in again.",
        )
      : undefined,
  ),

  rule(["oidcIssuer", "oidcAudiences"], ({ oidcIssuer, oidcAudiences }) =>
    oidcIssuer !== undefined && oidcAudiences.length === 0
      ? error(
          "oidcAudiences",
          `is empty, so a token that ${OPTIONS.oidcIssuer.name} signed for somebody else would be good here`,
          "Write what stands in the `aud` of tokens for Runegate.",
        )
      : undefined,
  ),

  ...(["captchaSiteKey", "captchaSecret"] as const).map((key) =>
    rule(["captcha", key], ({ captcha, [key]: value }) =>
      (captcha === "turnstile" || captcha === "hcaptcha") && value === undefined
        ? error(
            key,
            `is not set, and ${captcha} has none that would do for all`,
            `Write the one ${captcha} gave you.`,
          )
        : undefined,
    ),
  ),

  // WebAuthn §5.1.3: a name, of a page whose connection nobody can read or change.
  rule(["passkeys", "baseUrl"], ({ passkeys, baseUrl }) => {
    const host = hostOf(baseUrl);
    const isLocal = host === "localhost" || host.endsWith(".localhost");
    const isAddress = parseIp(host.replace(/^\[|\]$/g, "")) !== undefined;
    return passkeys && (isAddress || !(isLocal || isHttps(baseUrl)))
      ? error(
          "passkeys",
          `is true, and browsers have passkeys for no page like ${baseUrl}`,
          "Use an https base URL with a host name, or http://localhost, or set this to false.",
        )
      : undefined;
  }),

  rule(["production", "passkeys", "store"], ({ production, passkeys, store }) =>
    production && passkeys && store.kind === "memory"
      ? warning(
          "passkeys",
          "is true, and a restart forgets all passkeys",
          "Write sqlite:/var/lib/runegate/runegate.db as the store to keep them.",
        )
      : undefined,
  ),

  ...(["listen", "checkListen"] as const).flatMap((key) => [
    rule(["workers", key], (options) =>
      options.workers > 1 && options[key]?.kind === "unix"
        ? error(
            "workers",
            `is ${options.workers}, and a unix socket cannot be shared by several processes`,
            `Write 1, or let ${OPTIONS[key].name} be an address and a port.`,
          )
        : undefined,
    ),

    rule(["workers", key], (options) =>
      options.workers > 1 && isAnyPort(options[key])
        ? error(
            "workers",
            `is ${options.workers}, and the system would give each process another port`,
            `Let ${OPTIONS[key].name} name a port.`,
          )
        : undefined,
    ),
  ]),
];
