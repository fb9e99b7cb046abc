import { describe, expect, test } from "bun:test";
import { generateKeyPairSync } from "node:crypto";
import { join } from "node:path";
import { readOptions } from "../../src/config/load.ts";
import { ROOT_PATHS } from "../../src/edge/root-paths.ts";
import { testMachine } from "../support/surroundings.ts";

/** A production configuration that nothing is wrong with but the memory store. */
const PRODUCTION = {
  RUNEGATE_ENV: "production",
  RUNEGATE_BASE_URL: "https://app.example.org",
  RUNEGATE_JWT_SECRET: "j".repeat(32),
  RUNEGATE_SESSION_KEY: "s".repeat(64),
  RUNEGATE_ALLOWED_DOMAINS: "example.org",
};
const DEVELOPMENT = { RUNEGATE_ALLOWED_DOMAINS: "example.org" };

type Env = Record<string, string | undefined>;

/** `error:NAME` and `warning:NAME` of everything found, with the names short. */
function findings(env: Env): string[] {
  using machine = testMachine();
  const { problems, warnings } = readOptions({ env }, machine);
  const short = (name: string) => name.replace("RUNEGATE_", "");
  return [
    ...problems.map(({ option }) => `error:${short(option)}`),
    ...warnings.map(({ option }) => `warning:${short(option)}`),
  ];
}

describe("production", () => {
  const table: [string, Env, string[]][] = [
    ["good", {}, []],
    // What would follow from a value that is missing, or refused, is not said: it will be another one.
    ["no base URL", { RUNEGATE_BASE_URL: undefined }, ["error:BASE_URL"]],
    ["an empty base URL", { RUNEGATE_BASE_URL: "" }, ["error:BASE_URL"]],
    [
      "no base URL, with what depends on it",
      {
        RUNEGATE_BASE_URL: "",
        RUNEGATE_LISTEN: "127.0.0.1:8000",
        RUNEGATE_COOKIE_DOMAIN: "example.org",
        RUNEGATE_ALLOWED_ORIGINS: "https://app.example.org",
      },
      ["error:BASE_URL"],
    ],
    [
      "nothing but empty lines",
      { RUNEGATE_ALLOWED_DOMAINS: "", RUNEGATE_COOKIE_DOMAIN: "" },
      ["error:ALLOWED_EMAILS"],
    ],
    ["certificates are ordered", { RUNEGATE_TLS: "acme" }, []],
    [
      "all names are proved in DNS",
      { RUNEGATE_TLS: "acme", RUNEGATE_HTTP_LISTEN: "off", RUNEGATE_ACME_DNS_HOOK: "/hook" },
      [],
    ],
    [
      "wildcards without what proves them",
      { RUNEGATE_TLS: "acme", RUNEGATE_ACME_WILDCARDS: "*.example.org" },
      ["error:ACME_WILDCARDS"],
    ],
    [
      "what is no wildcard",
      {
        RUNEGATE_TLS: "acme",
        RUNEGATE_ACME_DNS_HOOK: "/hook",
        RUNEGATE_ACME_WILDCARDS: "*.org a.example.org *.*.b.org *.a_b.c",
      },
      ["error:ACME_WILDCARDS"],
    ],
    [
      "certificates are ordered, and no plain http is answered",
      { RUNEGATE_TLS: "acme", RUNEGATE_HTTP_LISTEN: "off" },
      ["warning:HTTP_LISTEN"],
    ],
    [
      "certificates are ordered, and nobody knows where plain http comes in",
      { RUNEGATE_TLS: "acme", RUNEGATE_LISTEN: "0.0.0.0:8443" },
      ["warning:HTTP_LISTEN"],
    ],
    [
      "certificates are ordered behind ports that lead elsewhere",
      { RUNEGATE_TLS: "acme", RUNEGATE_LISTEN: "0.0.0.0:8443", RUNEGATE_HTTP_LISTEN: "0.0.0.0:8080" },
      [],
    ],
    [
      "half of an authority's account",
      { RUNEGATE_TLS: "acme", RUNEGATE_ACME_EAB_KID: "kid-1" },
      ["error:ACME_EAB_HMAC"],
    ],
    ["no secret", { RUNEGATE_JWT_SECRET: undefined }, ["error:JWT_SECRET"]],
    ["no key", { RUNEGATE_SESSION_KEY: undefined }, ["error:SESSION_KEY"]],
    ["nobody allowed", { RUNEGATE_ALLOWED_DOMAINS: undefined }, ["error:ALLOWED_EMAILS"]],
    [
      "nobody allowed, in so many words",
      { RUNEGATE_ALLOWED_DOMAINS: undefined, RUNEGATE_ALLOW_ANY_EMAIL: "false" },
      ["error:ALLOWED_EMAILS"],
    ],
    ["everybody allowed", { RUNEGATE_ALLOWED_DOMAINS: undefined, RUNEGATE_ALLOW_ANY_EMAIL: "true" }, []],
    ["everybody and a list", { RUNEGATE_ALLOW_ANY_EMAIL: "true" }, ["warning:ALLOW_ANY_EMAIL"]],
    ["http", { RUNEGATE_BASE_URL: "http://app.example.org" }, ["error:BASE_URL"]],
    ["http on loopback", { RUNEGATE_BASE_URL: "http://127.0.0.1:7870" }, ["warning:SECURE_COOKIE"]],
    ["a cookie that is not Secure", { RUNEGATE_SECURE_COOKIE: "false" }, ["warning:SECURE_COOKIE"]],
    ["debug endpoints", { RUNEGATE_DEBUG_ENDPOINTS: "true" }, ["warning:DEBUG_ENDPOINTS"]],
    // What cannot be judged because its value is wrong is not reported a second time.
    ["a wrong base URL", { RUNEGATE_BASE_URL: "app.example.org" }, ["error:BASE_URL"]],
    ["a wrong list", { RUNEGATE_ALLOWED_DOMAINS: "*" }, ["error:ALLOWED_DOMAINS"]],
  ];
  test.each(table)("%s", (_, env, expected) => {
    expect(findings({ ...PRODUCTION, ...env })).toEqual([...expected, "warning:STORE"].sort(errorsFirst));
  });
});

/** Keeps the order of what is equal: problems are listed before warnings. */
function errorsFirst(a: string, b: string): number {
  return Number(b.startsWith("error")) - Number(a.startsWith("error"));
}

describe("development", () => {
  const table: [string, Env, string[]][] = [
    ["nothing set", { RUNEGATE_ALLOWED_DOMAINS: undefined }, ["warning:ALLOW_ANY_EMAIL"]],
    [
      "nobody allowed",
      { RUNEGATE_ALLOWED_DOMAINS: undefined, RUNEGATE_ALLOW_ANY_EMAIL: "false" },
      ["warning:ALLOWED_EMAILS"],
    ],
    ["another port without a base URL", { RUNEGATE_LISTEN: "127.0.0.1:8000" }, ["warning:BASE_URL"]],
    [
      "another port with a base URL",
      { RUNEGATE_LISTEN: "127.0.0.1:8000", RUNEGATE_BASE_URL: "http://localhost:8000" },
      [],
    ],
    ["http elsewhere", { RUNEGATE_BASE_URL: "http://app.example.org" }, []],
    [
      "Secure over http elsewhere",
      { RUNEGATE_BASE_URL: "http://app.example.org", RUNEGATE_SECURE_COOKIE: "true" },
      ["error:SECURE_COOKIE"],
    ],
    ["Secure over http on loopback", { RUNEGATE_SECURE_COOKIE: "true" }, ["warning:SECURE_COOKIE"]],
    ["everything trusted", { RUNEGATE_TRUSTED_PROXIES: "0.0.0.0/0" }, ["warning:TRUSTED_PROXIES"]],
    ["any origin", { RUNEGATE_ALLOWED_ORIGINS: "*" }, ["warning:ALLOWED_ORIGINS"]],
    ["not its own origin", { RUNEGATE_ALLOWED_ORIGINS: "https://a.example" }, ["error:ALLOWED_ORIGINS"]],
    ["idle beyond the end", { RUNEGATE_SESSION_IDLE: "15d" }, ["warning:SESSION_IDLE"]],
    ["a short end with the default idle", { RUNEGATE_SESSION_TTL: "1h" }, []],
    ["proxying to itself", { RUNEGATE_TARGET_SERVICE: "http://localhost:7870" }, ["error:TARGET_SERVICE"]],
    [
      "proxying to itself, listening everywhere",
      { RUNEGATE_LISTEN: "[::]:7870", RUNEGATE_TARGET_SERVICE: "http://[::1]:7870" },
      ["error:TARGET_SERVICE"],
    ],
    [
      "proxying to its own socket",
      { RUNEGATE_LISTEN: "unix:/a", RUNEGATE_TARGET_SERVICE: "unix:/a" },
      ["error:TARGET_SERVICE"],
    ],
    ["a socket's mode", { RUNEGATE_LISTEN: "unix:/a", RUNEGATE_LISTEN_MODE: "0660" }, []],
    [
      "a socket's group",
      { RUNEGATE_LISTEN: "unix:/a", RUNEGATE_LISTEN_GROUP: "www-data", RUNEGATE_LISTEN_MODE: "660" },
      [],
    ],
    [
      "a socket that is everybody's",
      { RUNEGATE_LISTEN: "unix:/a", RUNEGATE_LISTEN_MODE: "0666" },
      ["warning:LISTEN_MODE"],
    ],
    ...["127.0.0.1:9870", ":9870", "[::1]:9870", "10.0.0.1:9870", "192.168.1.2:9870", "[fd00::1]:9870"].map(
      (address): [string, Env, string[]] => [
        `metrics at ${address}`,
        { RUNEGATE_METRICS_LISTEN: address },
        [],
      ],
    ),
    ...["0.0.0.0:9870", "[::]:9870", "203.0.113.1:9870"].map((address): [string, Env, string[]] => [
      `metrics at ${address}`,
      { RUNEGATE_METRICS_LISTEN: address },
      ["warning:METRICS_LISTEN"],
    ]),
    ["metrics where visitors come", { RUNEGATE_METRICS_LISTEN: "127.0.0.1:7870" }, ["error:METRICS_LISTEN"]],
    [
      "metrics where edges ask",
      { RUNEGATE_CHECK_LISTEN: "127.0.0.1:7871", RUNEGATE_METRICS_LISTEN: "127.0.0.1:7871" },
      ["error:METRICS_LISTEN"],
    ],
    ["metrics at a socket", { RUNEGATE_METRICS_LISTEN: "unix:/a" }, ["error:METRICS_LISTEN"]],
    ["a mode of no socket", { RUNEGATE_LISTEN_MODE: "0660" }, ["warning:LISTEN_MODE"]],
    ["a group of no socket", { RUNEGATE_LISTEN_GROUP: "www-data" }, ["warning:LISTEN_GROUP"]],
    [
      "no identity headers, and a token",
      { RUNEGATE_IDENTITY_HEADERS: "false", RUNEGATE_IDENTITY_MODE: "jwt" },
      [],
    ],
    [
      "no identity headers, and both",
      { RUNEGATE_IDENTITY_HEADERS: "no", RUNEGATE_IDENTITY_MODE: "both" },
      ["error:IDENTITY_MODE"],
    ],
    ["a kind of identity that is none", { RUNEGATE_IDENTITY_MODE: "saml" }, ["error:IDENTITY_MODE"]],
    [
      "a secret that signs no tokens",
      { RUNEGATE_DOWNSTREAM_JWT_SECRET: "h".repeat(32) },
      ["warning:DOWNSTREAM_JWT_SECRET"],
    ],
    [
      "a bearer in Authorization",
      { RUNEGATE_DOWNSTREAM_JWT_BEARER: "true", RUNEGATE_DOWNSTREAM_JWT_HEADER: "Authorization" },
      [],
    ],
    ...["/_runegate/keys", "/login", "keys", "/a/../b", "/a?b", "/:all", "/"].map(
      (path): [string, Env, string[]] => [
        `keys at ${path}`,
        { RUNEGATE_DOWNSTREAM_JWKS_PATH: path },
        ["error:DOWNSTREAM_JWKS_PATH"],
      ],
    ),
    ["the same port elsewhere", { RUNEGATE_TARGET_SERVICE: "http://10.0.0.2:7870" }, []],
  ];
  test.each(table)("%s", (_, env, expected) => {
    expect(findings({ ...DEVELOPMENT, ...env })).toEqual(expected);
  });
});

describe("the landing path", () => {
  const landing = (path: string, env: Env) =>
    findings({ ...DEVELOPMENT, RUNEGATE_LANDING_PATH: path, ...env });
  const always = { RUNEGATE_ROOT_PATHS: "true" };
  const quiet = { RUNEGATE_DEBUG_ENDPOINTS: "false" };

  test.each([...ROOT_PATHS])("%s must be the application's for whoever has just signed in", (path) => {
    const forDebugging = path.startsWith("/debug/");
    expect(landing(`${path}?x#y`, always)).toEqual(["error:LANDING_PATH"]);
    expect(landing(path, {})).toEqual(forDebugging ? ["error:LANDING_PATH"] : []);
    expect(landing(path, quiet)).toEqual([]);
    expect(landing(path, { ...always, ...quiet })).toEqual(forDebugging ? [] : ["error:LANDING_PATH"]);
    expect(landing(path, { RUNEGATE_ROOT_PATHS: "false" })).toEqual([]);
  });
  test("may begin like one of Runegate's own", () => {
    for (const path of ["/logins", "/login/", "/health/live", "/debug"]) {
      expect(landing(path, always)).toEqual([]);
    }
  });
});

describe("cookies", () => {
  const https = { RUNEGATE_BASE_URL: "https://app.example.org", RUNEGATE_SECURE_COOKIE: "true" };
  const table: [string, Env, string[]][] = [
    ["the host as domain", { ...https, RUNEGATE_COOKIE_DOMAIN: "app.example.org" }, []],
    ["a domain above", { ...https, RUNEGATE_COOKIE_DOMAIN: ".example.org" }, []],
    ["another domain", { ...https, RUNEGATE_COOKIE_DOMAIN: "example.com" }, ["error:COOKIE_DOMAIN"]],
    ["an end that is no suffix", { ...https, RUNEGATE_COOKIE_DOMAIN: "ample.org" }, ["error:COOKIE_DOMAIN"]],
    ["a domain below", { ...https, RUNEGATE_COOKIE_DOMAIN: "a.app.example.org" }, ["error:COOKIE_DOMAIN"]],
    ["__Host-", { ...https, RUNEGATE_SESSION_COOKIE_NAME: "__Host-id" }, []],
    [
      "__Host- with a domain",
      { ...https, RUNEGATE_SESSION_COOKIE_NAME: "__Host-id", RUNEGATE_COOKIE_DOMAIN: "example.org" },
      ["error:SESSION_COOKIE_NAME"],
    ],
    [
      "__secure- with a domain",
      { ...https, RUNEGATE_SESSION_COOKIE_NAME: "__secure-id", RUNEGATE_COOKIE_DOMAIN: "example.org" },
      [],
    ],
    ["__host- without Secure", { RUNEGATE_SESSION_COOKIE_NAME: "__host-id" }, ["error:SESSION_COOKIE_NAME"]],
    [
      "__Secure- without Secure",
      { RUNEGATE_SESSION_COOKIE_NAME: "__Secure-id" },
      ["error:SESSION_COOKIE_NAME"],
    ],
  ];
  test.each(table)("%s", (_, env, expected) => {
    expect(findings({ ...DEVELOPMENT, ...env })).toEqual(expected);
  });
});

test("the session's cookie has the name of no other of Runegate's own", async () => {
  const source = join(import.meta.dir, "../../src");
  const names = new Set<string>();
  for (const path of new Bun.Glob("*/{cookie*,choice}.ts").scanSync(source)) {
    const text = await Bun.file(join(source, path)).text();
    for (const [, name = ""] of text.matchAll(/"((?:__Host-)?runegate_\w+)"/g)) names.add(name);
  }
  expect(names.size).toBe(16);
  for (const name of names) {
    const env = { ...PRODUCTION, RUNEGATE_STORE: "sqlite:/x.db", RUNEGATE_SESSION_COOKIE_NAME: name };
    expect([name, findings(env)]).toEqual([name, ["error:SESSION_COOKIE_NAME"]]);
  }
});

describe("passkeys", () => {
  const table: [string, Env, string[]][] = [
    ["on this machine", { RUNEGATE_BASE_URL: "http://localhost:7870" }, []],
    ["on a name of this machine", { RUNEGATE_BASE_URL: "http://app.localhost:7870" }, []],
    ["without TLS", { RUNEGATE_BASE_URL: "http://app.example.org" }, ["error:PASSKEYS"]],
    ["on this machine's address", { RUNEGATE_BASE_URL: "http://127.0.0.1:7870" }, ["error:PASSKEYS"]],
    ["on an address", { RUNEGATE_BASE_URL: "https://192.0.2.7" }, ["error:PASSKEYS"]],
    ["on an IPv6 address", { RUNEGATE_BASE_URL: "https://[2001:db8::7]" }, ["error:PASSKEYS"]],
    ["on an address, left off", { RUNEGATE_BASE_URL: "https://192.0.2.7", RUNEGATE_PASSKEYS: "false" }, []],
    ["in production, kept", { ...PRODUCTION, RUNEGATE_STORE: "sqlite:/x.db" }, []],
    ["in production, in memory", PRODUCTION, ["warning:STORE", "warning:PASSKEYS"]],
  ];
  test.each(table)("%s", (_, env, expected) => {
    expect(findings({ ...DEVELOPMENT, RUNEGATE_PASSKEYS: "true", ...env })).toEqual(expected);
  });
});

test.each([
  [0o600, []],
  [0o644, ["warning:DOWNSTREAM_JWT_PRIVATE_KEY_PATH"]],
])("a private key of mode %o", (mode, expected) => {
  using machine = testMachine();
  const { privateKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
  const path = machine.write("key.pem", privateKey.export({ type: "pkcs8", format: "pem" }), mode);
  expect(
    findings({
      ...PRODUCTION,
      RUNEGATE_STORE: "sqlite:/x.db",
      RUNEGATE_DOWNSTREAM_JWT_PRIVATE_KEY_PATH: path,
    }),
  ).toEqual(expected);
});

describe("a captcha", () => {
  const keys = { RUNEGATE_CAPTCHA_SITE_KEY: "site", RUNEGATE_CAPTCHA_SECRET: "secret" };
  test.each<[string, Env, string[]]>([
    ["off", {}, []],
    ["work, which takes no keys", { RUNEGATE_CAPTCHA: "work" }, []],
    ["turnstile with both", { RUNEGATE_CAPTCHA: "turnstile", ...keys }, []],
    ["hcaptcha with both", { RUNEGATE_CAPTCHA: "hcaptcha", ...keys }, []],
    [
      "turnstile with neither",
      { RUNEGATE_CAPTCHA: "turnstile" },
      ["error:CAPTCHA_SITE_KEY", "error:CAPTCHA_SECRET"],
    ],
    [
      "hcaptcha without its secret",
      { RUNEGATE_CAPTCHA: "hcaptcha", RUNEGATE_CAPTCHA_SITE_KEY: "a" },
      ["error:CAPTCHA_SECRET"],
    ],
    ["another", { RUNEGATE_CAPTCHA: "recaptcha" }, ["error:CAPTCHA"]],
    [
      "a site key that could leave its attribute",
      { RUNEGATE_CAPTCHA_SITE_KEY: 'a" onload="' },
      ["error:CAPTCHA_SITE_KEY"],
    ],
    ["a secret with a line break", { RUNEGATE_CAPTCHA_SECRET: "a\nb" }, ["error:CAPTCHA_SECRET"]],
    ["when nobody says", { RUNEGATE_CAPTCHA_WHEN: "sometimes" }, ["error:CAPTCHA_WHEN"]],
    ["on an error, something else", { RUNEGATE_CAPTCHA_ON_ERROR: "ask" }, ["error:CAPTCHA_ON_ERROR"]],
  ])("%s", (_, env, expected) => expect(findings({ ...DEVELOPMENT, ...env })).toEqual(expected));
});

describe("what has no effect alone is said", () => {
  test.each<[string, Env, string[]]>([
    ["certificates without TLS", { RUNEGATE_TLS_CERT: "/c.pem" }, ["warning:TLS_CERT"]],
    ["plain http beside TLS, without it", { RUNEGATE_HTTP_LISTEN: ":80" }, ["warning:HTTP_LISTEN"]],
    ["links to strangers, who can be given nothing", { RUNEGATE_SIGN_IN: "anyone" }, ["warning:SIGN_IN"]],
    ["links to strangers", { RUNEGATE_SIGN_IN: "anyone", RUNEGATE_DYNAMIC_USERS: "true" }, []],
  ])("%s", (_, env, expected) => {
    expect(findings({ ...DEVELOPMENT, ...env })).toEqual(expected);
  });
});
