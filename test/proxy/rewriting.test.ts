import { describe, expect, test } from "bun:test";
import { parseAddress } from "../../src/identity/address.ts";
import type { Principal } from "../../src/identity/principal.ts";
import { createRewriting } from "../../src/proxy/rewriting.ts";
import { routeOf } from "../support/routes.ts";

const ORIGIN = "https://app.example.org";

const ADA: Principal = {
  subject: { email: parseAddress("ada@example.org") },
  groups: new Set(["admins", "staff"]),
  proof: { kind: "session", id: "s" },
  provenAt: 0,
};

function answered(keys: string, fields: Readonly<Record<string, string>>): Headers {
  const headers = new Headers(fields);
  createRewriting(routeOf(keys))?.response(headers, ORIGIN);
  return headers;
}

const STRIPPED = `path = "/lab"\nstrip_path = true`;

describe("Location with strip_path", () => {
  test.each([
    ["/x?y#z", "/lab/x?y#z"],
    ["/", "/lab/"],
    ["/lab/x", "/lab/x"],
    ["/labx", "/lab/labx"],
    ["x", "x"],
    ["?y", "?y"],
    ["//other.example/x", "//other.example/x"],
    ["https://other.example/x", "https://other.example/x"],
    ["https://app.example.org/x", "https://app.example.org/lab/x"],
    ["https://app.example.org", "https://app.example.org/lab/"],
    ["http://10.0.0.2:3000/x", "https://app.example.org/lab/x"],
    ["http://10.0.0.2:3000", "https://app.example.org/lab/"],
    ["http://10.0.0.2:3001/x", "http://10.0.0.2:3001/x"],
    ["http://10.0.0.2:3000@evil.example/", "http://10.0.0.2:3000@evil.example/"],
  ])("%s → %s", (said, sent) => {
    expect(answered(STRIPPED, { location: said }).get("location")).toBe(sent);
    expect(answered(STRIPPED, { "content-location": said }).get("content-location")).toBe(sent);
  });
});

describe("C9: Location without strip_path", () => {
  test.each([
    ["http://10.0.0.2:3000/x", "https://app.example.org/x"],
    ["/x", "/x"],
    ["https://other.example/x", "https://other.example/x"],
  ])("%s → %s", (said, sent) => {
    expect(answered(`path = "/lab"`, { location: said }).get("location")).toBe(sent);
    expect(answered("", { location: said }).get("location")).toBe(sent);
  });
});

test("a target's own path is taken off before the prefix is put in front", () => {
  const route = routeOf(STRIPPED);
  const [target] = route.targets;
  if (target === undefined) throw new Error("no target");
  const based = { ...route, targets: [{ ...target, basePath: "/jupyter" }] };
  const headers = new Headers({ location: "/jupyter/tree", "content-location": "/jupyters" });
  createRewriting(based)?.response(headers, ORIGIN);
  expect([headers.get("location"), headers.get("content-location")]).toEqual(["/lab/tree", "/lab/jupyters"]);
});

test.each(["/jupyter//evil.example/", "/jupyter/\\evil.example/", "/jupyter///evil.example/"])(
  "where a target's own path is taken off, what is left leads to no other host: %s",
  (location) => {
    const route = routeOf("");
    const [target] = route.targets;
    if (target === undefined) throw new Error("no target");
    const headers = new Headers({ location });
    // As in a file, where each route has a host.
    createRewriting({
      ...route,
      host: "app.example.org",
      targets: [{ ...target, basePath: "/jupyter" }],
    })?.response(headers, ORIGIN);
    expect(headers.get("location")).toBe("/evil.example/");
  },
);

describe("Set-Cookie with strip_path", () => {
  test.each([
    ["a=b; Path=/x; HttpOnly", "a=b; Path=/lab/x; HttpOnly"],
    ["a=b; path=/", "a=b; Path=/lab"],
    ["a=b; Path=/lab", "a=b; Path=/lab"],
    ["a=b; Secure", "a=b; Secure"],
    ["a=b; Domain=10.0.0.2; Path=/", "a=b; Path=/lab"],
    ["a=b; Domain=.example.org; Path=/", "a=b; Domain=.example.org; Path=/lab"],
    ["a=Path=/x; Max-Age=1", "a=Path=/x; Max-Age=1"],
    ["__Host-a=b; Secure; Path=/", "__Host-a=b; Secure; Path=/"],
  ])("%s → %s", (said, sent) => {
    expect(answered(STRIPPED, { "set-cookie": said }).getSetCookie()).toEqual([sent]);
    expect(answered(`path = "/lab"`, { "set-cookie": said }).getSetCookie()).toEqual([said]);
  });
});

describe("headers of its own", () => {
  function sent(keys: string, fields: Readonly<Record<string, string>>, principal?: Principal): Headers {
    const headers = new Headers(fields);
    createRewriting(routeOf(keys))?.request(headers, principal);
    return headers;
  }

  test("to the application: set whoever sent them, removed, and who is asking filled in", () => {
    const keys = [
      `set_headers = { "X-Scope" = "main", "X-Who" = "\${user}/\${email}", "X-In" = "\${groups}" }`,
      `remove_headers = ["Accept-Language"]`,
      `path = "/lab"`,
    ].join("\n");
    const fields = {
      "x-who": "forged",
      "accept-language": "de",
      "x-forwarded-prefix": "/evil",
      "x-other": "y",
    };
    expect(sent(keys, fields, ADA).toJSON()).toEqual({
      "x-scope": "main",
      "x-who": "ada@example.org/ada@example.org",
      "x-in": "admins,staff",
      "x-forwarded-prefix": "/lab",
      "x-other": "y",
    });
    expect(sent(keys, fields).has("x-who")).toBe(false);
  });

  test("to the browser", () => {
    const keys = `set_response_headers = { "X-Frame-Options" = "DENY" }\nremove_response_headers = ["Server"]`;
    expect(answered(keys, { server: "x", "x-frame-options": "ALLOW" }).toJSON()).toEqual({
      "x-frame-options": "DENY",
    });
  });
});
