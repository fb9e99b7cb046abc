import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { createMemoryStore } from "../../src/store/memory.ts";
import { testClock } from "../support/clock.ts";
import { cookieHeader, startGateway, type TestGateway } from "../support/gateway.ts";
import { exchange } from "../support/raw.ts";
import { askFor, NAVIGATION, openLink, redeem, said, sessionOf, whoAmI } from "./support.ts";

setDefaultTimeout(30_000);

/** A login link from the front door: who may redeem it, when, and how often (CONTRACT section 2). */

/** One wording for programs, with the reason beside it. */
const invalid = (reason: string) => ({
  status: 401,
  error: "invalid_token",
  message: "This login link is invalid or has expired.",
  reason,
});

let gateway: TestGateway;
beforeAll(async () => {
  gateway = await startGateway();
});
afterAll(() => gateway.stop());

async function sessions(of = gateway): Promise<number> {
  return (await of.gateway.sessions.list()).length;
}

describe("a scanner that opens the link three times and looks at its head", () => {
  test("signs nobody in, and leaves the link to the human", async () => {
    const email = "scanned@example.org";
    const { token } = await askFor(gateway, email, { next: "/wanted" });
    const before = await sessions();
    for (const method of ["GET", "GET", "HEAD", "GET"]) {
      const seen = await openLink(gateway, token, { "User-Agent": "MailScanner/1.0", Accept: "*/*" }, method);
      expect([seen.status, seen.headers.getSetCookie(), seen.headers.get("location")]).toEqual([
        200,
        [],
        null,
      ]);
    }
    expect(await sessions()).toBe(before);

    const human = await redeem(gateway, { token });
    expect(human.status).toBe(200);
    expect(await human.json()).toEqual({ message: "Signed in.", next: "/wanted" });
    expect(await whoAmI(gateway, sessionOf(human) ?? "")).toMatchObject({ authenticated: true, email });
    expect(await sessions()).toBe(before + 1);

    const again = await redeem(gateway, { token });
    expect(await said(again)).toEqual(invalid("used"));
    expect(await sessions()).toBe(before + 1);
  });

  test("with the login cookie, the first GET signs in with a redirect", async () => {
    const { token, cookie } = await askFor(gateway, "ada@example.org", { next: "/wanted?a=b" });
    const opened = await openLink(gateway, token, { Cookie: cookie, ...NAVIGATION });
    expect([opened.status, opened.headers.get("location")]).toEqual([302, "/wanted?a=b"]);
    expect(opened.headers.getSetCookie()).toEqual([
      expect.stringMatching(/^runegate_id=[\w-]{43}; Path=\/; HttpOnly; SameSite=Lax; Max-Age=1209600$/),
      expect.stringMatching(/^runegate_device=/),
      // Whose session it was, for what is sent after its end.
      expect.stringMatching(/^runegate_last=[\w-]{44}; Path=\/; HttpOnly; SameSite=Lax; Max-Age=1814400$/),
    ]);
    expect(await whoAmI(gateway, cookieHeader(opened))).toMatchObject({ email: "ada@example.org" });
  });
});

type Cookie = "own" | "none" | "other's" | "garbage";

/** Whether a GET of a fresh link signs in, by setting, cookie and what the request says about itself. */
const GETS: ReadonlyArray<
  readonly [
    what: string,
    confirm: string,
    cookie: Cookie,
    method: string,
    fields: Record<string, string>,
    signsIn: boolean,
  ]
> = [
  ["auto, own browser, navigation", "auto", "own", "GET", NAVIGATION, true],
  ["auto, own browser, old one", "auto", "own", "GET", { Accept: "text/html" }, true],
  ["auto, own browser, nothing said", "auto", "own", "GET", {}, true],
  ["auto, own browser, HEAD", "auto", "own", "HEAD", {}, false],
  ["auto, own browser, prefetch", "auto", "own", "GET", { ...NAVIGATION, "Sec-Purpose": "prefetch" }, false],
  [
    "auto, own browser, prerender",
    "auto",
    "own",
    "GET",
    { ...NAVIGATION, "Sec-Purpose": "prefetch;prerender" },
    false,
  ],
  [
    "auto, own browser, Purpose: prefetch",
    "auto",
    "own",
    "GET",
    { ...NAVIGATION, Purpose: "prefetch" },
    false,
  ],
  [
    "auto, own browser, X-Purpose: preview",
    "auto",
    "own",
    "GET",
    { ...NAVIGATION, "X-Purpose": "preview" },
    false,
  ],
  ["auto, own browser, X-Moz: prefetch", "auto", "own", "GET", { ...NAVIGATION, "X-Moz": "prefetch" }, false],
  ["auto, own browser, a fetch", "auto", "own", "GET", { "Sec-Fetch-Mode": "cors" }, false],
  ["auto, own browser, an image", "auto", "own", "GET", { "Sec-Fetch-Mode": "no-cors" }, false],
  ["auto, own browser, same-origin script", "auto", "own", "GET", { "Sec-Fetch-Mode": "same-origin" }, false],
  ["auto, own browser, an empty mode", "auto", "own", "GET", { "Sec-Fetch-Mode": "" }, false],
  ["auto, second browser", "auto", "none", "GET", NAVIGATION, false],
  ["auto, a browser that asked for another link", "auto", "other's", "GET", NAVIGATION, false],
  ["auto, a made-up cookie", "auto", "garbage", "GET", NAVIGATION, false],
  ["always, own browser", "always", "own", "GET", NAVIGATION, false],
  ["always, second browser", "always", "none", "GET", NAVIGATION, false],
  ["never, own browser", "never", "own", "GET", NAVIGATION, true],
  ["never, second browser", "never", "none", "GET", NAVIGATION, true],
  ["never, curl", "never", "none", "GET", { Accept: "*/*" }, true],
  ["never, HEAD", "never", "none", "HEAD", {}, false],
  ["never, prefetch", "never", "own", "GET", { ...NAVIGATION, "Sec-Purpose": "prefetch" }, false],
  ["never, a fetch", "never", "own", "GET", { "Sec-Fetch-Mode": "cors" }, false],
];

describe("a GET of a fresh link", () => {
  const gateways = new Map<string, TestGateway>();
  beforeAll(async () => {
    for (const confirm of ["auto", "always", "never"]) {
      gateways.set(confirm, await startGateway({ env: { RUNEGATE_LINK_CONFIRM: confirm } }));
    }
  });
  afterAll(async () => {
    for (const one of gateways.values()) await one.stop();
  });

  test.each(GETS)("%s", async (_, confirm, whose, method, fields, signsIn) => {
    const here = gateways.get(confirm) ?? gateway;
    const { token, cookie } = await askFor(here, "ada@example.org", { next: "/wanted" });
    const cookies: Record<Cookie, string | undefined> = {
      own: cookie,
      none: undefined,
      "other's": (await askFor(here, "eve@example.org")).cookie,
      garbage: "runegate_login=eyJhbGciOiJub25lIn0.e30.",
    };
    const held = cookies[whose];
    const opened = await openLink(
      here,
      token,
      { ...fields, ...(held === undefined ? {} : { Cookie: held }) },
      method,
    );
    expect(opened.status).toBe(signsIn ? 302 : 200);
    expect(sessionOf(opened) !== undefined).toBe(signsIn);
    // What signed nobody in has spent nothing, and what did has spent it.
    const after = await redeem(here, { token });
    expect(after.status).toBe(signsIn ? 401 : 200);
  });
});

describe("the link in a second browser", () => {
  test("shows whose it is, when and where it was asked for, and signs in by its button", async () => {
    const clock = testClock(Date.parse("2026-03-04T05:06:07Z"));
    const here = await startGateway({ clock });
    try {
      const asking = {
        "User-Agent": "Mozilla/5.0 (X11; Linux x86_64) Gecko/20100101 Firefox/150.0",
        "X-Forwarded-For": "198.51.100.7",
      };
      const { token } = await askFor(here, "ada@example.org", { next: "/wanted", headers: asking });
      clock.advance(60_000);
      const shown = await openLink(here, token, NAVIGATION);
      expect([
        shown.status,
        shown.headers.get("cache-control"),
        shown.headers.get("referrer-policy"),
      ]).toEqual([200, "no-store", "strict-origin"]);
      const html = await shown.text();
      for (const fact of [
        "ada@example.org",
        "2026-03-04T05:06:07.000Z",
        "198.51.100.7, Firefox on Linux",
        'method="post" action="/_runegate/auth"',
      ]) {
        expect(html).toContain(fact);
      }
      const token_field = /name="token" value="([^"]+)"/.exec(html)?.[1];
      expect(token_field).toBe(token);
      const sent = await fetch(`${here.url}/_runegate/auth`, {
        method: "POST",
        redirect: "manual",
        headers: { ...NAVIGATION, "Sec-Fetch-Site": "same-origin", Origin: here.url },
        body: new URLSearchParams({ token }),
      });
      expect([sent.status, sent.headers.get("location")]).toEqual([303, "/wanted"]);
      expect(await whoAmI(here, sessionOf(sent) ?? "")).toMatchObject({
        authenticated: true,
        email: "ada@example.org",
      });
    } finally {
      await here.stop();
    }
  });
});

describe("a link that does not work", () => {
  test("has one wording for programs, with the reason beside it, whatever is wrong with it", async () => {
    const { token, cookie } = await askFor(gateway);
    expect((await openLink(gateway, token, { Cookie: cookie })).status).toBe(302);
    const [head, body, signature] = token.split(".");
    const wrong: Record<string, string> = {
      spent: token,
      "not a token": "x",
      "a tampered header": `${head}x.${body}.${signature}`,
      "a tampered body": `${head}.${body}x.${signature}`,
      "a tampered signature": `${head}.${body}.${signature?.startsWith("x") ? "y" : "x"}${signature?.slice(1)}`,
      "alg none": `${Buffer.from('{"alg":"none"}').toString("base64url")}.${body}.`,
      "the login cookie": cookie.slice("runegate_login=".length),
      "of another instance": (await otherInstancesToken()) ?? "",
      "10 kB of it": "a".repeat(10_000),
      "control characters": "\x01\r\n\t",
      "not ASCII": "ü🚪",
    };
    for (const [what, bad] of Object.entries(wrong)) {
      const reason = what === "spent" ? "used" : "not_ours";
      expect({ what, ...(await said(await redeem(gateway, { token: bad }))) }).toEqual({
        what,
        ...invalid(reason),
      });
      if (what === "spent") continue;
      expect({ what, ...(await said(await openLink(gateway, bad, { Cookie: cookie }))) }).toEqual({
        what,
        ...invalid(reason),
      });
      const page = await openLink(gateway, bad, NAVIGATION);
      expect([page.status, (await page.text()).includes("This is not a link of ours")]).toEqual([401, true]);
    }
    // With the cookie the browser is known and the link is tried; without, only the button tells.
    expect(await said(await openLink(gateway, token, { Cookie: cookie }))).toEqual(invalid("used"));
  });

  test.each<[what: string, path: string, body: string | undefined]>([
    ["no query", "", undefined],
    ["an empty query", "?", undefined],
    ["an empty token", "?token=", undefined],
    ["another field", "?code=x", undefined],
    ["a token in capitals", "?TOKEN=x", undefined],
    ["an empty form", "", "{}"],
    ["an empty token and code", "", '{"token":"","code":""}'],
    ["null", "", '{"token":null}'],
  ])("missing altogether (%s) is a 400", async (_, query, body) => {
    const response = await fetch(`${gateway.url}/_runegate/auth${query}`, {
      ...(body === undefined ? {} : { method: "POST", body }),
      headers: { "Content-Type": "application/json" },
    });
    expect(await said(response)).toMatchObject({ status: 400, error: "missing_token" });
  });

  test("expires to the second, by GET and by POST", async () => {
    const clock = testClock(Date.parse("2026-03-04T05:06:07.000Z"));
    const here = await startGateway({ clock });
    try {
      const early = await askFor(here);
      clock.advance(15 * 60_000 - 1);
      expect((await openLink(here, early.token, { Cookie: early.cookie })).status).toBe(302);
      const late = await askFor(here, "eve@example.org");
      // Issued in the last millisecond of a second, so it lives that much shorter, never longer.
      clock.advance(15 * 60_000 - 999);
      expect(await said(await openLink(here, late.token, { Cookie: late.cookie }))).toEqual(
        invalid("expired"),
      );
      expect(await said(await redeem(here, { token: late.token }))).toEqual(invalid("expired"));
    } finally {
      await here.stop();
    }
  });

  async function otherInstancesToken(): Promise<string | undefined> {
    const other = await startGateway();
    const { token } = await askFor(other);
    await other.stop();
    return token;
  }
});

describe("one link", () => {
  test("redeemed a thousand times at once makes one session", async () => {
    const { token } = await askFor(gateway, "race@example.org");
    const before = await sessions();
    const answers = await Promise.all(Array.from({ length: 1_000 }, () => redeem(gateway, { token })));
    expect(answers.map(({ status }) => status).sort()).toEqual([200, ...Array<number>(999).fill(401)]);
    expect(await sessions()).toBe(before + 1);
  });

  test("and its code, redeemed together, make one session", async () => {
    const { token, code, cookie } = await askFor(gateway, "race@example.org");
    const before = await sessions();
    const answers = await Promise.all(
      Array.from({ length: 1_000 }, (_, index) => {
        // Four tries: a fifth would be the last the ticket allows.
        if (index % 250 === 0) return redeem(gateway, { code }, { Cookie: cookie });
        return index % 2 === 0 ? redeem(gateway, { token }) : openLink(gateway, token, { Cookie: cookie });
      }),
    );
    expect(answers.filter((answer) => sessionOf(answer) !== undefined)).toHaveLength(1);
    expect(await sessions()).toBe(before + 1);
  });

  test("outlives a change of RUNEGATE_JWT_SECRET while the old one is RUNEGATE_JWT_SECRET_PREVIOUS, code and cookie too", async () => {
    const old = "o".repeat(64);
    const listen = { RUNEGATE_LISTEN: "127.0.0.1:0", RUNEGATE_BASE_URL: "https://gate.example.org" };
    // One store for all three: a new one refuses what was issued in a second before its own first.
    const clock = testClock();
    const on = { clock, stores: createMemoryStore({ clock }) };
    const before = await startGateway({ ...on, env: { ...listen, RUNEGATE_JWT_SECRET: old } });
    const [one, two, three] = [
      await askFor(before, "a@example.org"),
      await askFor(before, "b@example.org"),
      await askFor(before, "c@example.org"),
    ];
    await before.stop();
    clock.advance(2_000);
    const after = await startGateway({
      ...on,
      env: { ...listen, RUNEGATE_JWT_SECRET: "n".repeat(64), RUNEGATE_JWT_SECRET_PREVIOUS: old },
    });
    expect((await openLink(after, one.token, { Cookie: one.cookie })).status).toBe(302);
    expect((await redeem(after, { code: two.code }, { Cookie: two.cookie })).status).toBe(200);
    await after.stop();
    const later = await startGateway({ ...on, env: { ...listen, RUNEGATE_JWT_SECRET: "n".repeat(64) } });
    expect(await said(await redeem(later, { token: three.token }))).toEqual(invalid("not_ours"));
    await later.stop();
  });

  test("of an address that is no longer allowed is refused", async () => {
    const settings = {
      RUNEGATE_JWT_SECRET: "s".repeat(64),
      RUNEGATE_LISTEN: "127.0.0.1:0",
      RUNEGATE_BASE_URL: "https://gate.example.org",
    };
    const clock = testClock();
    const on = { clock, stores: createMemoryStore({ clock }) };
    const before = await startGateway({ ...on, env: settings });
    const { token, code, cookie } = await askFor(before, "gone@example.org");
    await before.stop();
    clock.advance(2_000);
    const after = await startGateway({
      ...on,
      env: { ...settings, RUNEGATE_ALLOW_ANY_EMAIL: "false", RUNEGATE_ALLOWED_EMAILS: "ada@example.org" },
    });
    expect(await said(await openLink(after, token, { Cookie: cookie }))).toEqual(invalid("withdrawn"));
    expect(await said(await redeem(after, { token }))).toEqual(invalid("withdrawn"));
    expect(await said(await redeem(after, { code }, { Cookie: cookie }))).toMatchObject({
      status: 401,
      error: "invalid_code",
    });
    await after.stop();
  });
});

describe("the place to go afterwards", () => {
  test.each([
    ["a path with a query", "/a?b=c", "/a?b=c"],
    ["another host", "https://evil.example/", "/"],
    ["two slashes", "//evil.example", "/"],
    ["a line feed", "/a\r\nSet-Cookie: x=y", "/"],
    ["letters of other scripts, re-serialized", "/日本", "/%E6%97%A5%E6%9C%AC"],
    ["Runegate itself", "/_runegate/logout", "/"],
  ])("%s", async (_, next, location) => {
    const { token, cookie } = await askFor(gateway, "ada@example.org", { next });
    const opened = await openLink(gateway, token, { Cookie: cookie });
    expect([opened.status, opened.headers.get("location")]).toEqual([302, location]);
  });

  test("the longest one fits into link and cookie, with the longest address", async () => {
    const email = `${"a".repeat(64)}@${`${"b".repeat(60)}.`.repeat(3)}${"c".repeat(6)}`;
    const next = `/?q=${"a".repeat(2044)}`;
    const { token, cookie, response } = await askFor(gateway, email, { next });
    // RFC 6265 §6.1: browsers keep at least 4096 bytes of a cookie, and hardly one keeps more.
    expect(response.headers.getSetCookie()[0]?.length).toBeLessThanOrEqual(4096);
    const opened = await openLink(gateway, token, { Cookie: cookie });
    expect([opened.status, opened.headers.get("location")]).toEqual([302, next]);
  });

  test("one that encoding makes too long costs nobody the login", async () => {
    const { token, cookie } = await askFor(gateway, "ada@example.org", { next: `/${"漢".repeat(2000)}` });
    const opened = await openLink(gateway, token, { Cookie: cookie });
    expect([opened.status, opened.headers.get("location")]).toEqual([302, "/"]);
  });
});

describe("a foreign page full of links", () => {
  test.each([
    ["as images", "no-cors", "image"],
    ["in frames", "navigate", "iframe"],
    ["in frames of a frameset", "navigate", "frame"],
    ["as objects", "navigate", "object"],
    ["embedded", "navigate", "embed"],
    ["as something new", "navigate", "fencedframe"],
    ["by script", "cors", "empty"],
  ])("%s does not use up its visitor's attempts, and signs nobody in", async (_, mode, destination) => {
    const gateway = await startGateway({ env: { RUNEGATE_RATE_LIMIT_ENABLED: "true" } });
    const { token, cookie } = await askFor(gateway);
    const open = (value: string, fields: readonly string[]) =>
      exchange(gateway.port, `GET /auth?token=${value}`, [`Cookie: ${cookie}`, ...fields]);
    const foreign = [
      `Sec-Fetch-Mode: ${mode}`,
      `Sec-Fetch-Dest: ${destination}`,
      "Sec-Fetch-Site: cross-site",
    ];
    for (let count = 0; count < 20; count++) expect((await open("x", foreign)).status).toBe(401);
    expect((await open(token, foreign)).status).toBe(200);
    // A click on the link in a webmail is also cross-site.
    const click = ["Sec-Fetch-Mode: navigate", "Sec-Fetch-Dest: document", "Sec-Fetch-Site: cross-site"];
    expect((await open(token, click)).status).toBe(302);
    await gateway.stop();
  });
});

describe("a link that was used, opened in another browser", () => {
  test("is refused at once, and not only by the button of a page", async () => {
    const gateway = await startGateway();
    const link = gateway.gateway.login.mintLink("ada@example.org" as never, "/");
    const token = new URL(link).searchParams.get("token") ?? "";
    expect((await fetch(`${gateway.url}/auth?token=${token}`)).status).toBe(200);
    const body = JSON.stringify({ token });
    const headers = { "Content-Type": "application/json" };
    expect((await fetch(`${gateway.url}/auth`, { method: "POST", headers, body })).status).toBe(200);
    expect((await fetch(`${gateway.url}/auth?token=${token}`)).status).toBe(401);
    expect((await fetch(`${gateway.url}/auth?token=${token}`, { method: "HEAD" })).status).toBe(401);
    await gateway.stop();
  });
});
