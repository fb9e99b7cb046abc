import { describe, expect, test } from "bun:test";
import { decide, mayGoOn, type Question } from "../../src/access/decision.ts";
import { explain } from "../../src/access/explain.ts";
import { parseAddress } from "../../src/identity/address.ts";
import type { Principal } from "../../src/identity/principal.ts";
import { signedIn } from "../support/principal.ts";
import { routeOf } from "../support/routes.ts";

/** The one decision, and what is said of why. */

const MINUTE = 60_000;
const ADA = signedIn("s");
const STAFF: Principal = { ...signedIn("t", "grace@example.org"), groups: new Set(["staff"]) };
const ADMIN: Principal = { ...signedIn("a", "root@example.org"), groups: new Set(["admins"]) };
const SCRIPT: Principal = { ...ADA, subject: { service: "backup" }, proof: { kind: "key", id: "k" } };

/** An administrator who may look as somebody else. */
const LOOKING: Principal = {
  ...{ ...ADA, proof: { kind: "impersonation", id: "i" }, actor: parseAddress("root@example.org") },
  readOnly: true,
};

function ask(keys: string, facts: Partial<Omit<Question, "route">> = {}) {
  const question: Question = {
    route: routeOf(keys),
    who: ADA,
    method: "GET",
    headers: {},
    client: { ip: "192.0.2.1" },
    path: "/x",
    upgrade: false,
    originAllowed: true,
    preflight: false,
    closed: false,
    now: MINUTE,
    ...facts,
  };
  const verdict = decide(question);
  const said =
    verdict.verdict === "allow"
      ? verdict.principal === undefined
        ? "allow nobody"
        : "allow"
      : verdict.verdict === "challenge"
        ? `challenge${verdict.again ? " again" : ""}${verdict.refused ? " refused" : ""}`
        : verdict.reason;
  return [said, explain(question, verdict)];
}

const PUBLIC = 'allow = ["ada@example.org"]\npublic_paths = ["/x"]';

test("F10: who may only look reads, and does nothing else", () => {
  const by = (method: string) => ask("", { who: LOOKING, method })[0];
  for (const method of ["GET", "HEAD", "OPTIONS"]) expect([method, by(method)]).toEqual([method, "allow"]);
  for (const method of ["POST", "PUT", "PATCH", "DELETE", "CONNECT", "QUERY", "get"])
    expect([method, by(method)]).toEqual([method, "read_only"]);
});

describe("a request that asks to be taken for one of another method is by none that a rule names", () => {
  const DELETE = { "x-http-method-override": "DELETE" };
  const SCOPED: Principal = {
    ...{ ...ADA, proof: { kind: "key", id: "k" } },
    scope: { routes: undefined, methods: new Set(["GET"]), paths: undefined, networks: [] },
  };
  test.each<[what: string, keys: string, facts: Parameters<typeof ask>[1], said: string]>([
    ["who may only look", "", { who: LOOKING }, "read_only"],
    ["a public path", PUBLIC, { who: undefined }, "challenge"],
    ["a public path, for whoever may use the rest too", PUBLIC, {}, "allow"],
    ["a route that takes some", 'methods = ["GET"]', {}, "method"],
    ["a key that is good for some", "api_keys = true", { who: SCOPED }, "key_scope"],
    [
      "a preflight that would pass",
      "cors_preflight = true",
      { who: undefined, method: "OPTIONS", preflight: true },
      "challenge",
    ],
    ["where no rule goes by it", "", {}, "allow"],
  ])("%s", (_, keys, facts, said) => {
    expect(ask(keys, { ...facts, headers: DELETE })[0]).toBe(said);
  });

  test.each([
    ...["x-http-method", "x-method-override", "x_http_method_override", "x.http-method", "x-http_method"],
  ])("by %s", (name) => {
    for (const value of ["delete", "DELETE", " Patch ", "GET, DELETE", "x"])
      expect([value, ask("", { who: LOOKING, headers: { [name]: value } })[0]]).toEqual([value, "read_only"]);
    // It says what is so anyway.
    expect(ask("", { who: LOOKING, headers: { [name]: "get" } })[0]).toBe("allow");
  });
});

describe("decided", () => {
  test.each<[what: string, keys: string, facts: Parameters<typeof ask>[1], said: string, why: RegExp]>([
    ["nobody", "", { who: undefined }, "challenge", /not signed in/],
    ["a proof that is worth nothing", "", { who: "refused" }, "challenge refused", /worth nothing/],
    ["by address", 'allow = ["ada@example.org"]', {}, "allow", /^ada@example\.org is in allow/],
    ["by domain", 'allow = ["@example.org"]', {}, "allow", /^@example\.org is in allow/],
    ["a sub-domain is another", 'allow = ["@org"]', {}, "not_allowed", /Neither they nor a group/],
    ["by group", 'allow = ["group:staff"]', { who: STAFF }, "allow", /^group:staff is in allow/],
    ["anyone", 'allow = ["anyone"]', {}, "allow", /^anyone is in allow/],
    [
      "deny wins",
      'allow = ["anyone"]\ndeny = ["ada@example.org"]',
      {},
      "not_allowed",
      /^ada@example\.org is in deny/,
    ],
    [
      "deny of a group wins",
      'allow = ["grace@example.org"]\ndeny = ["group:staff"]',
      { who: STAFF },
      "not_allowed",
      /^group:staff is in deny/,
    ],
    ["everybody", 'allow = ["public"]', { who: undefined }, "allow nobody", /open to everybody/],
    ["a public path", PUBLIC, { who: undefined }, "allow nobody", /^\/x is open to everybody/],
    ["a public path, told who", PUBLIC, {}, "allow", /^\/x is open to everybody/],
    [
      "a public path, for who may not use the rest",
      PUBLIC,
      { who: STAFF },
      "allow nobody",
      /^\/x is open to everybody/,
    ],
    [
      "a public path, for who signed in too long ago",
      `${PUBLIC}\nmax_age = "5m"`,
      { now: 5 * MINUTE },
      "allow nobody",
      /^\/x is open to everybody/,
    ],
    [
      "open to everybody, and denied",
      `allow = ["public"]\ndeny = ["ada@example.org"]`,
      {},
      "allow nobody",
      /open to everybody/,
    ],
    [
      "a public path, by a method that is not",
      PUBLIC,
      { who: undefined, method: "POST" },
      "challenge",
      /not signed in/,
    ],
    [
      "a public path with a proof that is worth nothing",
      PUBLIC,
      { who: "refused" },
      "allow nobody",
      /^\/x is open/,
    ],
    ["another path", PUBLIC, { who: undefined, path: "/xy" }, "challenge", /not signed in/],
    ["another spelling", PUBLIC, { who: undefined, path: "/%78" }, "challenge", /not signed in/],
    ["a method that is not taken", 'methods = ["GET"]', { method: "PUT" }, "method", /takes GET only/],
    ["a WebSocket where none is taken", "websocket = false", { upgrade: true }, "websocket", /no WebSockets/],
    [
      "a foreign page's WebSocket",
      "",
      { upgrade: true, originAllowed: false },
      "origin",
      /not one of the route's/,
    ],
    [
      "a foreign page's WebSocket on a public path",
      PUBLIC,
      { who: undefined, upgrade: true, originAllowed: false },
      "origin",
      /not one/,
    ],
    ["F10: reading by who may only look", "", { who: LOOKING }, "allow", /./],
    ["F10: a WebSocket of who may only look", "", { who: LOOKING, upgrade: true }, "read_only", /nothing/],
    [
      "F10: a change on a public path, of who may only look",
      `${PUBLIC}\npublic_methods = ["POST"]`,
      { who: LOOKING, method: "POST" },
      "read_only",
      /nothing/,
    ],
    [
      "what was meant in another's name, on a public path",
      PUBLIC,
      { who: { rejected: "impersonation_ended" } },
      "impersonation_ended",
      /over/,
    ],
    ["a preflight", "", { who: undefined, method: "OPTIONS", preflight: true }, "challenge", /not signed in/],
    [
      "a preflight that passes",
      "cors_preflight = true",
      { who: ADA, method: "OPTIONS", preflight: true },
      "allow nobody",
      /preflight/,
    ],
    [
      "a key where keys count",
      'api_keys = true\nallow = ["service:backup"]',
      { who: SCRIPT },
      "allow",
      /^service:backup is in allow/,
    ],
    ["a key where none counts", 'allow = ["service:backup"]', { who: SCRIPT }, "not_allowed", /by key/],
    [
      "a service of no list",
      'api_keys = true\nallow = ["anyone"]',
      { who: SCRIPT },
      "not_allowed",
      /Neither/,
    ],
    ["signed in too long ago", 'max_age = "5m"', { now: 5 * MINUTE }, "challenge again", /too long ago/],
    ["not yet", 'max_age = "5m"', { now: 5 * MINUTE - 1 }, "allow", /in allow/],
    [
      "left alone for too long",
      'idle = "5m"',
      { who: { ...ADA, rested: 5 * MINUTE } },
      "challenge again",
      /too long ago/,
    ],
    ["not so long", 'idle = "5m"', { who: { ...ADA, rested: 5 * MINUTE - 1 } }, "allow", /in allow/],
    [
      "a key rests as long as it likes",
      'idle = "5m"\napi_keys = true',
      { who: { ...ADA, proof: SCRIPT.proof } },
      "allow",
      /in allow/,
    ],
    ["closed", "", { closed: true }, "maintenance", /maintenance/],
    ["closed, for nobody too", PUBLIC, { closed: true, who: undefined }, "maintenance", /maintenance/],
    ["closed, not for administrators", "", { closed: true, who: ADMIN }, "allow", /in allow/],
  ])("%s", (_, keys, facts, said, why) => {
    const withAllow = keys.includes("allow =") ? keys : `${keys}\nallow = ["anyone"]`;
    expect(ask(withAllow, facts)).toEqual([said, expect.stringMatching(why)]);
  });
});

describe("what is open may go on", () => {
  const route = routeOf('allow = ["ada@example.org"]\nmax_age = "5m"');
  test.each<[what: string, facts: Parameters<typeof mayGoOn>, goesOn: boolean]>([
    ["as long as the next request would be let through", [route, ADA, false, MINUTE], true],
    ["C12: not past max_age", [route, ADA, false, 5 * MINUTE], false],
    ["not for somebody else", [route, STAFF, false, MINUTE], false],
    ["not on a route that is no more", [undefined, ADA, false, MINUTE], false],
    ["not while it is closed", [route, ADA, true, MINUTE], false],
    ["for administrators while it is closed", [{ ...route, allow: undefined }, ADMIN, true, MINUTE], true],
  ])("%s", (_, facts, goesOn) => {
    expect(mayGoOn(...facts)).toBe(goesOn);
  });
});
