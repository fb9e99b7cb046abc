import { describe, expect, test } from "bun:test";
import { isAllowed } from "../../src/access/decision.ts";
import { loadAccess, loadConfiguration, readAccess } from "../../src/config/configuration.ts";
import { loadOptions } from "../../src/config/load.ts";
import { parseRoutes, policyOf } from "../../src/config/routes.ts";
import { parseAddress } from "../../src/identity/address.ts";
import { ConfigError, describe as inWords } from "../../src/option/finding.ts";
import { routeOf, routesIn } from "../support/routes.ts";
import { testMachine } from "../support/surroundings.ts";

/** `routes.toml`: what it takes, and what it says of what it does not. */

const LISTED = { RUNEGATE_ALLOWED_EMAILS: "ada@example.org" };

function problemsOf(toml: string, env = LISTED): string[] {
  try {
    routesIn(toml, env);
  } catch (error) {
    if (error instanceof ConfigError) return error.problems.map(inWords);
    throw error;
  }
  return [];
}

const account = (keys: string) => `[[service_accounts]]\nname = "backup"\n${keys}`;
const one = (keys: string) => `[[routes]]\nname = "lab"\ntarget = "http://10.0.0.2:3000"\n${keys}`;

describe("a route is refused", () => {
  test.each([
    [
      "C10: the host and path of another",
      `${one("")}\n${one("").replace("lab", "b")}`,
      /has the host and the path of lab/,
    ],
    ["the name of another", `${one(`path = "/a"`)}\n${one(`path = "/b"`)}`, /is there twice/],
    ["C13: Cookie set", one(`set_headers = { Cookie = "a=b" }`), /not for a route to change: cookie/],
    ["Host set", one(`set_headers = { host = "x" }`), /not for a route to change: host/],
    ["identity set", one(`set_headers = { "X-Runegate-User" = "x" }`), /not for a route to change/],
    ["Authorization in the open", one(`set_headers = { Authorization = "Basic x" }`), /Authorization_file/],
    ["a placeholder that is none", one(`set_headers = { "X-A" = "$\{secret}" }`), /stands for nothing/],
    ["a header with a line feed", one(`set_headers = { "X-A" = "a\\nb" }`), /not a value for a header/],
    ["C14: a public path with a query", one(`public_paths = ["/x?y"]`), /is not a path/],
    ["C14: a public path with a fragment", one(`public_paths = ["/x#y"]`), /is not a path/],
    ["C14: a public path without a slash", one(`public_paths = ["x"]`), /is not a path/],
    ["a public path in an odd spelling", one(`public_paths = ["/x/../y"]`), /is not a path/],
    ["a public path with a pattern", one(`public_paths = ["/x/*/y"]`), /has a \* in it/],
    ["Runegate's own path", one(`path = "/_runegate"`), /is one of Runegate's own/],
    ["Runegate's own path, disguised", one(`path = "/_RUNEGATE/x"`), /is one of Runegate's own/],
    ["a path that is taken off before", one(`path = "/proxy/lab"`), /path is below \/proxy/],
    [
      "a public path that is taken off before",
      one(`public_paths = ["/x", "/proxy/*"]`),
      /public_paths is below \/proxy/,
    ],
    ["a host with a port", one(`host = "a.example.org:8080"`), /is not a host name/],
    ["a host with a scheme", one(`host = "https://a.example.org"`), /is not a host name/],
    ["a wildcard in the middle", one(`host = "a.*.example.org"`), /is not a host name/],
    [
      "an unknown key",
      one(`alow = ["anyone"]`),
      /alow is not a key of this file: Did you mean allow\?|allow/,
    ],
    ["an unknown key of the defaults", `[defaults]\nhots = "x"\n${one("")}`, /defaults\.hots/],
    [
      "an unknown route of a service account",
      `${one("")}\n${account('routes = ["x"]')}`,
      /names the route .x. in backup/,
    ],
    ["two service accounts of one name", `${one("")}\n${account("")}\n${account("")}`, /has .backup. twice/],
    [
      "a service account with an odd network",
      `${one("")}\n${account('networks = ["10.0.0.1/8"]')}`,
      /beyond its prefix/,
    ],
    ["a group of a provider's", one('allow = ["group:oidc:x"]'), /group:oidc:x/],
    ["a service account with an unknown key", `${one("")}\n${account("route = 1")}`, /route is not a key/],
    ["an unknown group", one(`allow = ["group:staff"]`), /no group .staff./],
    ["nobody allowed", one("allow = []"), /names nobody/],
    ["two ways to say where it is", one(`targets = ["http://10.0.0.3:1"]`), /more than one way/],
    ["no target", `[[routes]]\nname = "lab"`, /target is missing/],
    ["nothing to strip", one("strip_path = true"), /no path to take off/],
    ["max_age under five minutes", one(`max_age = "4m"`), /out of range/],
    [
      "any certificate across the internet",
      one("tls_verify = false").replace("10.0.0.2", "8.8.8.8"),
      /across the internet/,
    ],
    ["a certificate's file that is not there", one(`tls_ca_file = "/nonexistent/ca.pem"`), /does not exist/],
    ["a name in capitals", one("").replace("lab", "Lab"), /is not a name/],
  ])("%s", (_, toml, problem) => {
    expect(problemsOf(toml).join("\n")).toMatch(problem);
  });

  test("with the line and the place, and all of them together", () => {
    const toml = `[groups]\nstaff = ["grace"]\n\n${one(`allow = ["group:nobody"]\nmax_body = "lots"`)}`;
    const problems = problemsOf(toml);
    expect(problems).toHaveLength(3);
    expect(problems[0]).toMatch(/^routes\.toml:2:1: groups\.staff/);
    expect(problems[1]).toMatch(/^routes\.toml:8:1: routes\[0\]\.max_body/);
    expect(problems[2]).toMatch(/^routes\.toml:1:1: groups has no group .nobody., which the route lab names/);
  });

  test("where nobody may sign in and it says nothing of who may", () => {
    expect(
      problemsOf(one(""), { RUNEGATE_ALLOWED_EMAILS: "", RUNEGATE_ALLOW_ANY_EMAIL: "false" } as never),
    ).toEqual([expect.stringContaining("is open to nobody")]);
  });
});

test("what a route leaves out is the default of the file, then that of the environment", () => {
  const [lab, other] = routesIn(
    `[defaults]\nmax_body = "1MiB"\nidentity = "none"\n${one("")}\n${one(`max_body = "2MiB"\nhost = "b.example.org"`).replace("lab", "b")}`,
    { ...LISTED, RUNEGATE_CONNECT_TIMEOUT: "3s" },
  );
  expect([lab?.maxBody, lab?.identity, lab?.host, lab?.connectTimeout]).toEqual([
    2 ** 20,
    "none",
    "app.example.org",
    3000,
  ]);
  expect([other?.maxBody, other?.host]).toEqual([2 ** 21, "b.example.org"]);
  expect([...(lab?.allow?.addresses ?? [])]).toEqual(["ada@example.org" as never]);
});

test("a host is kept in its normal form", () => {
  expect(routeOf(`host = "BÜCHER.example.org."`).host).toBe("xn--bcher-kva.example.org");
  expect(routeOf(`host = "*.Example.org"`).host).toBe("*.example.org");
});

test("an idle that is longer than a session lasts without use is a warning: the shorter one holds", () => {
  using machine = testMachine();
  const warnings = (idle: string) => {
    machine.write("routes.toml", one(`idle = "${idle}"`));
    const env = { ...LISTED, RUNEGATE_SESSION_IDLE: "1d" };
    return loadAccess({ env }, machine).warnings.map(inWords);
  };
  expect(warnings("24h")).toEqual([]);
  expect(warnings("25h")).toEqual([
    expect.stringMatching(/route lab has an idle longer than RUNEGATE_SESSION_IDLE/),
  ]);
});

test("a service account may use what it names and what names it, and no domain is for it", () => {
  const routes = routesIn(
    `${one('allow = ["@example.org"]')}\n${one('path = "/a"\nallow = ["service:backup"]').replace("lab", "a")}
     ${one('path = "/b"\nallow = ["anyone"]').replace("lab", "b")}\n${account('routes = ["lab"]')}`,
  );
  const services = routes.map(({ name, allow }) => [name, [...(allow?.services ?? [])]]);
  expect(services).toEqual([
    ["lab", ["backup"]],
    ["a", ["backup"]],
    ["b", []],
  ]);
});

test("a service account may use what a group is let into that names it, and not what one is kept out of", () => {
  const text = `[groups]
staff = ["@example.org"]
machines = ["service:backup", "service:other"]
${one('allow = ["group:machines"]\napi_keys = true')}
${one('path = "/a"\nallow = ["group:staff", "service:backup"]\ndeny = ["group:machines"]').replace("lab", "a")}
${one('path = "/b"\nallow = ["group:staff", "@example.org", "anyone"]').replace("lab", "b")}
${account("")}`;
  using machine = testMachine();
  const { options } = loadOptions({ env: LISTED }, machine);
  const { standingOf } = policyOf(options, parseRoutes(text, "routes.toml", options).file);
  const may = (service: string) => {
    const subject = { service };
    const who = { subject, ...standingOf(subject), proof: { kind: "key", id: "" }, provenAt: 0 };
    return routesIn(text).flatMap((route) => (isAllowed(route, who) ? route.name : []));
  };
  expect([may("backup"), may("elsewhere")]).toEqual([["lab"], []]);
  expect([...standingOf({ service: "backup" }).groups]).toEqual(["machines"]);
});

test("a route that takes API keys while they are off is a warning", () => {
  const warnings = (on: string) => {
    using machine = testMachine();
    machine.write("routes.toml", one("api_keys = true"));
    const env = { ...LISTED, RUNEGATE_API_KEYS: on };
    return loadAccess({ env }, machine).warnings.map(inWords);
  };
  expect(warnings("true")).toEqual([]);
  expect(warnings("false")).toEqual([expect.stringMatching(/route lab takes API keys, and they are off/)]);
});

test("a route that takes requests for access which nobody can grant is a warning", () => {
  const warnings = (rest: string, env: Record<string, string>, head = "") => {
    using machine = testMachine();
    machine.write("routes.toml", head + one(`request_access = true\n${rest}`));
    return loadAccess({ env: { ...LISTED, ...env } }, machine).warnings.map(inWords);
  };
  const on = { RUNEGATE_DYNAMIC_USERS: "true" };
  expect(warnings("", {})).toEqual([
    expect.stringMatching(/route lab has request_access, and nobody can be/),
  ]);
  expect(warnings("", on)).toEqual([expect.stringMatching(/route lab has request_access, and nobody who/)]);
  expect(warnings('approvers = ["ada@example.org"]', on)).toEqual([]);
  expect(warnings("", { ...on, RUNEGATE_ADMINS: "ada@example.org" })).toEqual([]);
  expect(warnings("", on, '[groups]\nadmins = ["ada@example.org"]\n')).toEqual([]);
});

test.each([
  ["nobody", "[]"],
  ["everybody", '["anyone"]'],
  ["a service", '["service:backup"]'],
])("approvers are not %s", (_, approvers) => {
  expect(() => routesIn(one(`request_access = true\napprovers = ${approvers}`))).toThrow(ConfigError);
});

test("whoever decides about access may sign in, and RUNEGATE_ADMINS are administrators", () => {
  using machine = testMachine();
  const { options } = loadOptions({ env: { ...LISTED, RUNEGATE_ADMINS: "root@example.org" } }, machine);
  const text = one('allow = ["ada@example.org"]\napprovers = ["grace@elsewhere.example"]');
  const policy = policyOf(options, parseRoutes(text, "routes.toml", options).file);
  const standing = (email: string) => {
    const address = parseAddress(email);
    return [policy.allows(address), [...policy.standingOf({ email: address }).groups]];
  };
  expect(standing("grace@elsewhere.example")).toEqual([true, []]);
  expect(standing("root@example.org")).toEqual([true, ["admins"]]);
});

test("impersonation is off unless said, takes three words, and a route of many hosts is warned about", () => {
  const of = (keys: string) => routesIn(one(keys))[0]?.impersonation;
  expect([of(""), of('impersonation = "read_only"'), of('impersonation = "allow"')]).toEqual([
    "deny",
    "read_only",
    "allow",
  ]);
  expect(() => of('impersonation = "yes"')).toThrow();
  const warnings = (keys: string) => {
    using machine = testMachine();
    machine.write("routes.toml", one(keys));
    return loadAccess({ env: LISTED }, machine).warnings.map(inWords);
  };
  const many = 'host = "*.example.org"\n';
  expect([warnings(many), warnings('impersonation = "allow"')]).toEqual([[], []]);
  expect(warnings(`${many}impersonation = "allow"`)).toEqual([
    expect.stringMatching(/route lab has many hosts, and impersonation is for one/),
  ]);
});

describe("beside the options", () => {
  const files = (toml: string) => {
    const machine = testMachine();
    machine.write("routes.toml", toml);
    machine.write("email.toml", EMAIL);
    return machine;
  };

  test("a target of the environment is refused, with where it goes", () => {
    using machine = files(one(`allow = ["ada@example.org"]`));
    const load = () => loadConfiguration({ env: { RUNEGATE_TARGET_SERVICE: "http://127.0.0.1:1" } }, machine);
    expect(load).toThrow(ConfigError);
    try {
      load();
    } catch (error) {
      if (!(error instanceof ConfigError)) throw error;
      expect(error.problems.map(inWords).join()).toMatch(
        /RUNEGATE_TARGET_SERVICE is set, and so is .*routes\.toml/,
      );
    }
  });

  test("in production, a file that says who may is list enough", () => {
    const env = {
      RUNEGATE_ENV: "production",
      RUNEGATE_BASE_URL: "https://app.example.org",
      RUNEGATE_JWT_SECRET: "s".repeat(32),
      RUNEGATE_SESSION_KEY: "k".repeat(64),
    };
    using machine = files(one(`allow = ["ada@example.org"]`));
    expect(loadConfiguration({ env }, machine).routesFile?.routes).toHaveLength(1);
    using open = files(one(""));
    expect(() => loadConfiguration({ env }, open)).toThrow(ConfigError);
    // What is wrong elsewhere does not bring that back.
    for (const [toml, more] of [
      ["[[routes", {}],
      [one(`allow = ["ada@example.org"]`), { RUNEGATE_MAX_BODY: "much" }],
    ] as const) {
      using broken = files(toml);
      const { problems } = readAccess({ env: { ...env, ...more } }, broken);
      expect(problems.map(inWords)).toEqual([expect.not.stringContaining("nobody may sign in")]);
    }
  });

  test("a file that is named has to be there", () => {
    using machine = testMachine();
    expect(() =>
      loadConfiguration({ env: { RUNEGATE_ROUTES: "/nonexistent/routes.toml" } }, machine),
    ).toThrow(ConfigError);
  });
});

const EMAIL = `smtp_host = "127.0.0.1"
smtp_port = 2525
smtp_tls = "none"
from_address = "login@example.net"
subject = "Sign in"
body_template = "{login_url} {code}"
`;
