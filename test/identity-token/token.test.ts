import { describe, expect, test } from "bun:test";
import { decodeJwt } from "jose";
import type { Route } from "../../src/access/route.ts";
import { loadOptions } from "../../src/config/load.ts";
import { routesOf } from "../../src/config/routes.ts";
import { parseAddress } from "../../src/identity/address.ts";
import { NO_GROUPS, type Principal } from "../../src/identity/principal.ts";
import { createIdentityKeys } from "../../src/identity-token/keys.ts";
import { createIdentityTokens, publicPlace } from "../../src/identity-token/token.ts";
import { createKeys } from "../../src/secret/keys.ts";
import { testClock, testRandom } from "../support/clock.ts";
import { testMachine } from "../support/surroundings.ts";

/** When a token is made anew, for whom, and what is kept meanwhile. */

const MINUTE = 60_000;

function stage(env: Record<string, string> = {}) {
  using machine = testMachine();
  const { options } = loadOptions({ env: { RUNEGATE_IDENTITY_MODE: "jwt", ...env } }, machine);
  const [route] = routesOf(options, undefined);
  if (route === undefined) throw new Error("there is always one");
  const clock = testClock();
  const secrets = createKeys(options);
  const keys = createIdentityKeys(options, secrets, clock);
  let signatures = 0;
  const counted = {
    ...keys,
    signing() {
      signatures++;
      return keys.signing();
    },
  };
  const tokens = createIdentityTokens({ ...options, secrets, keys: counted, clock, random: testRandom() });
  return {
    ...tokens,
    clock,
    route,
    get signatures() {
      return signatures;
    },
    /** What waits for its turn is done. */
    settle: () => new Promise<void>((resolve) => void setImmediate(resolve)),
  };
}

const ADA: Principal = {
  subject: { email: parseAddress("ada@example.org") },
  groups: NO_GROUPS,
  proof: { kind: "session", id: "one" },
  provenAt: 0,
};

describe("one token", () => {
  test("serves a login for half its life, and is then replaced behind the request that finds it", async () => {
    const at = stage();
    const first = at.identityToken(ADA, at.route);
    at.clock.advance(5 * MINUTE - 1);
    expect(at.identityToken(ADA, at.route)).toBe(first);
    await at.settle();
    expect(at.signatures).toBe(1);
    at.clock.advance(1);
    expect(at.identityToken(ADA, at.route)).toBe(first);
    expect(at.identityToken(ADA, at.route)).toBe(first);
    expect(at.signatures).toBe(1);
    await at.settle();
    expect(at.signatures).toBe(2);
    const second = at.identityToken(ADA, at.route) ?? "";
    expect([second === first, decodeJwt(second).exp]).toEqual([false, at.clock.now() / 1000 + 600]);
  });

  test("is not handed out shortly before it runs out, nor where the clock was set back", () => {
    const at = stage();
    const first = at.identityToken(ADA, at.route);
    at.clock.advance(7.5 * MINUTE);
    const second = at.identityToken(ADA, at.route);
    expect(second).not.toBe(first);
    at.clock.setWall(at.clock.now() - 1);
    expect(at.identityToken(ADA, at.route)).not.toBe(second);
  });

  test.each<[string, Partial<Principal>, string]>([
    ["another login", { proof: { kind: "session", id: "two" } }, "sid"],
    ["another kind of proof", { proof: { kind: "key", id: "one" } }, "key_id"],
  ])("is not for %s", (_, change, claim) => {
    const at = stage();
    const first = decodeJwt(at.identityToken(ADA, at.route) ?? "");
    const other = decodeJwt(at.identityToken({ ...ADA, ...change }, at.route) ?? "");
    expect(other[claim]).not.toEqual(first[claim]);
    expect(at.signatures).toBe(2);
  });

  test("is made at every start of a route's own", () => {
    const at = stage();
    const lab: Route = { ...at.route, path: "/lab" };
    expect(decodeJwt(at.identityToken(ADA, at.route) ?? "").aud).toBe("http://localhost:7870");
    expect(decodeJwt(at.identityToken(ADA, lab) ?? "").aud).toBe("http://localhost:7870/lab");
    expect(at.identityToken(ADA, { ...at.route, identity: "headers" })).toBeUndefined();
    expect(at.identityToken(ADA, { ...at.route, identity: "none" })).toBeUndefined();
  });
});

test("G8: other groups are in a new token at once", () => {
  const at = stage();
  const groupsOf = (groups: ReadonlySet<string>) =>
    decodeJwt(at.identityToken({ ...ADA, groups }, at.route) ?? "").groups;
  expect(groupsOf(new Set(["admins", "staff"]))).toEqual(["admins", "staff"]);
  expect(groupsOf(new Set(["staff"]))).toEqual(["staff"]);
  expect(groupsOf(NO_GROUPS)).toBeUndefined();
  expect(at.signatures).toBe(3);
  // The same ones in another set are no others.
  groupsOf(new Set(["a", "b"]));
  groupsOf(new Set(["a", "b"]));
  expect(at.signatures).toBe(4);
});

describe("what is kept", () => {
  test("goes with the login, for all routes", () => {
    const at = stage();
    const lab: Route = { ...at.route, path: "/lab" };
    const before = [at.route, lab].map((route) => at.identityToken(ADA, route));
    at.forgetIdentity({ kind: "session", id: "another" });
    expect([at.route, lab].map((route) => at.identityToken(ADA, route))).toEqual(before);
    at.forgetIdentity(ADA.proof);
    [at.route, lab].map((route) => at.identityToken(ADA, route));
    expect(at.signatures).toBe(4);
  });

  test("is ten thousand tokens at most, and those longest unused go first", () => {
    const at = stage({
      RUNEGATE_DOWNSTREAM_JWT_ALG: "HS256",
      RUNEGATE_DOWNSTREAM_JWT_SECRET: "h".repeat(32),
    });
    const lab: Route = { ...at.route, path: "/lab" };
    const use = (id: number) => {
      const who = { ...ADA, proof: { kind: "session", id: `${id}` } };
      for (const route of [at.route, lab]) at.identityToken(who, route);
    };
    for (let id = 0; id < 5_000; id++) use(id);
    expect(at.signatures).toBe(10_000);
    use(0);
    expect(at.signatures).toBe(10_000);
    use(5_000);
    use(0);
    expect(at.signatures).toBe(10_002);
    use(1);
    expect(at.signatures).toBe(10_004);
  });
});

describe("claims that only some have", () => {
  const claimsOf = (change: Partial<Principal>) => {
    const at = stage();
    return decodeJwt(at.identityToken({ ...ADA, ...change }, at.route) ?? "");
  };

  test("a service has no address", () => {
    const claims = claimsOf({ subject: { service: "backup" }, proof: { kind: "key", id: "k1" } });
    expect(claims).toMatchObject({ sub: "service:backup", amr: ["key"], key_id: "k1" });
    expect(claims).not.toHaveProperty("email");
    expect(claims).not.toHaveProperty("email_verified");
  });

  test("an operator who acts for somebody is named", () => {
    const actor = parseAddress("root@example.org");
    const claims = claimsOf({ actor, proof: { kind: "impersonation", id: "i" } });
    expect(claims).toMatchObject({ sub: "ada@example.org", act: { sub: actor }, amr: ["impersonation"] });
  });
});

test.each([
  ["issuer", { RUNEGATE_DOWNSTREAM_JWT_ISS: "runegate" }, { iss: "runegate" }],
  ["audience", { RUNEGATE_DOWNSTREAM_JWT_AUD: "apps" }, { aud: "apps" }],
])("%s is what the options say", (_, env: Record<string, string>, claims) => {
  const at = stage(env);
  expect(decodeJwt(at.identityToken(ADA, at.route) ?? "")).toMatchObject(claims);
});

test("a life is what the options say", () => {
  const at = stage({ RUNEGATE_DOWNSTREAM_JWT_TTL: "90" });
  const { iat = 0, exp = 0 } = decodeJwt(at.identityToken(ADA, at.route) ?? "");
  expect(exp - iat).toBe(90);
});

test.each([
  [undefined, "/", "https://app.example.org", "https://app.example.org"],
  [undefined, "/", "http://localhost:7870", "http://localhost:7870"],
  ["lab.example.org", "/x", "https://app.example.org:8443", "https://lab.example.org:8443/x"],
  ["*.example.org", "/", "https://app.example.org", "https://*.example.org"],
])("the place of host %s, path %s below %s is %s", (host, path, baseUrl, place) => {
  expect(publicPlace({ host, path }, baseUrl)).toBe(place);
});
