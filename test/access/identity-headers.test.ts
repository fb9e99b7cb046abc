import { describe, expect, test } from "bun:test";
import { identityHeaderName, identityHeaders } from "../../src/access/identity-headers.ts";
import type { IdentityFact, Route } from "../../src/access/route.ts";
import { parseAddress } from "../../src/identity/address.ts";
import { NO_GROUPS, type Principal } from "../../src/identity/principal.ts";
import { ValueError } from "../../src/option/value-error.ts";

/** What an application is told by headers, of whom. */

const ADA: Principal = {
  subject: { email: parseAddress("ada@example.org") },
  groups: NO_GROUPS,
  proof: { kind: "session", id: "s" },
  provenAt: 0,
};

const ROUTE = { identity: "headers", identityNames: new Map() } as const;

function told(principal: Principal, route: Pick<Route, "identity" | "identityNames"> = ROUTE) {
  return Object.fromEntries(identityHeaders(principal, route));
}

const OF_ADA = {
  "x-runegate-authenticated": "true",
  "x-runegate-user": "ada@example.org",
  "x-forwarded-user": "ada@example.org",
  "x-forwarded-email": "ada@example.org",
  "remote-user": "ada@example.org",
  "remote-email": "ada@example.org",
  "x-auth-request-user": "ada@example.org",
  "x-auth-request-email": "ada@example.org",
};

test("somebody in no group: the address, and nothing that is empty", () => {
  expect(told(ADA)).toEqual(OF_ADA);
});

test("groups, in one list", () => {
  expect(told({ ...ADA, groups: new Set(["admins", "staff"]) })).toEqual({
    ...OF_ADA,
    "remote-groups": "admins,staff",
    "x-forwarded-groups": "admins,staff",
    "x-auth-request-groups": "admins,staff",
  });
});

test("a service has no address, and a name that is none", () => {
  expect(told({ ...ADA, subject: { service: "backup" } })).toEqual({
    "x-runegate-authenticated": "true",
    "x-runegate-user": "service:backup",
    "x-forwarded-user": "service:backup",
    "remote-user": "service:backup",
    "x-auth-request-user": "service:backup",
  });
});

test("an operator who acts for somebody is named", () => {
  const actor = parseAddress("root@example.org");
  expect(told({ ...ADA, actor })).toEqual({ ...OF_ADA, "x-runegate-actor": actor });
});

test("a route's own names come besides, for what there is", () => {
  const identityNames = new Map<IdentityFact, string>([
    ["user", "x-webauth-user"],
    ["groups", "x-webauth-groups"],
  ]);
  expect(told(ADA, { identity: "both", identityNames })).toEqual({
    ...OF_ADA,
    "x-webauth-user": "ada@example.org",
  });
});

test.each(["jwt", "none"] as const)("identity = %s: no headers, of whatever name", (identity) => {
  const identityNames = new Map<IdentityFact, string>([["user", "x-webauth-user"]]);
  expect(told(ADA, { identity, identityNames })).toEqual({});
});

describe("the name of a header that says who is asking", () => {
  test.each(["X-WEBAUTH-USER", "Remote-Role", "X-Forwarded-User", "Authorization"])("%s", (name) => {
    expect(identityHeaderName(name)).toBe(name.toLowerCase());
  });

  test.each([
    "Host",
    "Cookie",
    "Content-Length",
    "Transfer-Encoding",
    "X-Forwarded-For",
    "X-Real-IP",
    "Proxy",
    "Sec-Fetch-Site",
    "Origin",
    "X_User",
    "X User",
    "",
  ])("not %p", (name) => {
    expect(() => identityHeaderName(name)).toThrow(ValueError);
  });
});
