import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { askFor, auditOf, NAVIGATION, whoAmI } from "../login/support.ts";
import { startGateway, type TestGateway } from "../support/gateway.ts";
import { exchange } from "../support/raw.ts";

/** Logging out, and who may send Runegate's forms at all (CONTRACT section 3). */

let gateway: TestGateway;
beforeAll(async () => {
  gateway = await startGateway({ env: { RUNEGATE_LOG_FORMAT: "json" } });
});
afterAll(() => gateway.stop());

type Fields = Readonly<Record<string, string>>;

const logout = (of: TestGateway, headers: Fields, method = "POST") =>
  fetch(`${of.url}/_runegate/logout`, { method, headers: { ...headers }, redirect: "manual" });

describe("logout", () => {
  test("by GET shows a page with a button and ends nothing", async () => {
    const cookie = await gateway.signIn();
    for (const method of ["GET", "HEAD"]) {
      const page = await logout(gateway, { ...NAVIGATION, Cookie: cookie }, method);
      expect([page.status, page.headers.getSetCookie()]).toEqual([200, []]);
      if (method === "GET") {
        const html = await page.text();
        expect(html).toContain('<form method="post" action="/_runegate/logout"');
        expect(html).toContain("ada@example.org");
      }
    }
    expect((await whoAmI(gateway, cookie)).authenticated).toBe(true);
  });

  test("by POST ends it, expires all cookies, and answers in the caller's way", async () => {
    const cookie = await gateway.signIn();
    const page = await logout(gateway, { ...NAVIGATION, Cookie: cookie });
    expect([page.status, page.headers.get("content-type")]).toEqual([200, "text/html; charset=utf-8"]);
    expect(page.headers.getSetCookie()).toEqual([
      "runegate_id=; Path=/; HttpOnly; SameSite=Lax; Max-Age=0",
      "runegate_login=; Path=/; HttpOnly; SameSite=Lax; Max-Age=0",
      "runegate_kept=; Path=/; HttpOnly; SameSite=Lax; Max-Age=0",
      "runegate_last=; Path=/; HttpOnly; SameSite=Lax; Max-Age=0",
    ]);
    expect((await whoAmI(gateway, cookie)).authenticated).toBe(false);
    const again = await logout(gateway, { Cookie: cookie });
    expect([again.status, await again.json()]).toEqual([200, { message: "Signed out." }]);
  });

  test("needs no session, no body and no content type", async () => {
    expect((await logout(gateway, {})).status).toBe(200);
    expect((await logout(gateway, { "Content-Type": "application/x-www-form-urlencoded" })).status).toBe(200);
  });

  test("ends the one session only", async () => {
    const [one, two] = [await gateway.signIn(), await gateway.signIn()];
    await logout(gateway, { Cookie: one });
    expect((await whoAmI(gateway, two)).authenticated).toBe(true);
  });
});

/** `$` stands for the gateway's own origin. */
const SENDERS: ReadonlyArray<readonly [what: string, fields: Fields, may: boolean]> = [
  ["a script without either header", {}, true],
  ["this origin's page", { Origin: "$", "Sec-Fetch-Site": "same-origin" }, true],
  ["this origin's page in an old browser", { Origin: "$" }, true],
  ["this origin's page that hides its origin", { Origin: "null", "Sec-Fetch-Site": "same-origin" }, true],
  [
    "this origin's page by another name of this host",
    { Origin: "http://other.name", "Sec-Fetch-Site": "same-origin" },
    true,
  ],
  ["a person who reloads the answer", { "Sec-Fetch-Site": "none" }, true],
  ["another site", { Origin: "https://evil.example", "Sec-Fetch-Site": "cross-site" }, false],
  ["another site in an old browser", { Origin: "https://evil.example" }, false],
  ["a sandboxed frame", { Origin: "null", "Sec-Fetch-Site": "cross-site" }, false],
  ["a sandboxed frame in an old browser", { Origin: "null" }, false],
  [
    "a neighbor of the same site",
    { Origin: "http://neighbor.example.org", "Sec-Fetch-Site": "same-site" },
    false,
  ],
  ["a neighbor that hides its origin", { "Sec-Fetch-Site": "same-site" }, false],
  ["another site that hides its origin", { "Sec-Fetch-Site": "cross-site" }, false],
  ["this host on another port", { Origin: "http://127.0.0.1:1" }, false],
  ["this host on https", { Origin: "https$" }, false],
  ["this origin with a slash", { Origin: "$/" }, false],
  ["this origin in a list", { Origin: "$ https://evil.example" }, false],
  ["an origin that begins like this one", { Origin: "$.evil.example" }, false],
  ["an empty origin", { Origin: "" }, false],
  ["a made-up relation", { "Sec-Fetch-Site": "friendly" }, false],
  ["a top-level navigation from nowhere with an origin", { Origin: "null", "Sec-Fetch-Site": "none" }, false],
];

const resolved = (fields: Fields, url: string): Fields =>
  Object.fromEntries(
    Object.entries(fields).map(([name, value]) => [
      name,
      value.replace("https$", url.replace("http:", "https:")).replace("$", url),
    ]),
  );

describe("Runegate's forms are taken from", () => {
  test.each(SENDERS)("%s", async (what, fields, may) => {
    const cookie = await gateway.signIn();
    // Each from a client of its own: of one client, repetitions are no events of their own.
    const client = `198.51.100.${SENDERS.findIndex(([name]) => name === what)}`;
    const sent = { ...resolved(fields, gateway.url), "X-Forwarded-For": client };
    const { token } = await askFor(gateway);
    const before = auditOf(gateway).length;

    const asked = await fetch(`${gateway.url}/_runegate/login`, {
      method: "POST",
      headers: { ...sent, "Content-Type": "application/x-www-form-urlencoded" },
      body: "email=eve@example.org",
    });
    const redeemed = await fetch(`${gateway.url}/_runegate/auth`, {
      method: "POST",
      headers: { ...sent, "Content-Type": "application/x-www-form-urlencoded" },
      body: `token=${token}`,
      redirect: "manual",
    });
    const left = await logout(gateway, { ...sent, Cookie: cookie });
    expect([asked.status, redeemed.status, left.status]).toEqual(may ? [200, 200, 200] : [403, 403, 403]);
    expect((await whoAmI(gateway, cookie)).authenticated).toBe(!may);
    if (may) return;
    for (const refused of [asked, redeemed, left]) {
      expect(refused.headers.getSetCookie()).toEqual([]);
      expect(await refused.json()).toMatchObject({ error: "cross_site" });
    }
    // The link of whoever was attacked is still good.
    const own = await fetch(`${gateway.url}/auth`, {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify({ token }),
    });
    expect(own.status).toBe(200);
    expect(auditOf(gateway).slice(before, before + 3)).toEqual(
      ["login", "auth", "logout"].map((path) => ({
        event: "access_refused",
        client,
        reason: "cross_site",
        path: `/_runegate/${path}`,
      })),
    );
  });

  test("an origin of RUNEGATE_ALLOWED_ORIGINS", async () => {
    const base = "https://gate.example.org";
    const open = await startGateway({
      env: { RUNEGATE_BASE_URL: base, RUNEGATE_ALLOWED_ORIGINS: `${base},https://friend.example` },
    });
    try {
      for (const [origin, status] of [
        [base, 200],
        ["https://friend.example", 200],
        ["https://evil.example", 403],
      ] as const) {
        expect((await logout(open, { Origin: origin })).status).toBe(status);
      }
    } finally {
      await open.stop();
    }
  });

  test("the base URL's pages and no others when RUNEGATE_ALLOWED_ORIGINS is *, in browsers without Sec-Fetch-Site too", async () => {
    const base = "http://gate.lan:7870";
    const open = await startGateway({ env: { RUNEGATE_BASE_URL: base, RUNEGATE_ALLOWED_ORIGINS: "*" } });
    try {
      for (const [origin, status] of [
        [base, 200],
        ["https://evil.example", 403],
        ["null", 403],
      ] as const) {
        expect([origin, (await logout(open, { Origin: origin })).status]).toEqual([origin, status]);
      }
    } finally {
      await open.stop();
    }
  });
});

describe("a POST to the logout", () => {
  test.each([
    ["of another type", "Content-Type: text/plain", "hello", 415],
    ["of too much", "Content-Type: application/json", " ".repeat(70_000), 413],
    ["without a body", "Accept: */*", "", 200],
  ])("%s", async (_, field, body, status) => {
    const gateway = await startGateway();
    const fields = [field, `Content-Length: ${body.length}`];
    expect((await exchange(gateway.port, "POST /_runegate/logout", fields, body)).status).toBe(status);
    await gateway.stop();
  });
});
