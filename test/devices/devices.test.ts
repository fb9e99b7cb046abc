import { afterEach, describe, expect, test } from "bun:test";
import { NOT_ME_LINK } from "../../src/devices/ticket.ts";
import type { Address } from "../../src/identity/address.ts";
import { createTickets } from "../../src/secret/ticket.ts";
import { auditOf, NAVIGATION, openLink, redeem, sessionOf, whoAmI } from "../login/support.ts";
import { type TestClock, testClock } from "../support/clock.ts";
import { startGateway, type TestGateway } from "../support/gateway.ts";

/** Browsers that people sign in with: what is noted of them, the mail about a new one, and "This was not me". */

const ADA = "ada@example.org";
const BOB = "bob@example.org";
const HOUR = 3_600_000;
const DAY = 24 * HOUR;
const FIREFOX = "Mozilla/5.0 (X11; Linux x86_64; rv:131.0) Gecko/20100101 Firefox/131.0";

let gateway: TestGateway;
let clock: TestClock;

afterEach(() => gateway.stop());

async function start(env: Record<string, string> = {}): Promise<void> {
  clock = testClock();
  gateway = await startGateway({
    clock,
    env: { RUNEGATE_LOG_FORMAT: "json", RUNEGATE_NEW_DEVICE_MAIL: "true", ...env },
  });
}

/** A browser, which keeps the cookie of its kind. */
type Browser = { device?: string | undefined; session?: string | undefined };

const mails = (to = ADA) => gateway.mailbox.mails().filter((mail) => mail.to === to);
const notices = (to = ADA) => mails(to).filter(({ subject }) => subject.startsWith("New sign-in"));
const deviceLine = (response: Response) =>
  response.headers.getSetCookie().find((line) => line.startsWith("runegate_device="));

/** @returns the answer to the link */
async function signIn(browser: Browser = {}, email = ADA, ip = "192.0.2.77", userAgent = FIREFOX) {
  const headers = { "User-Agent": userAgent, "X-Forwarded-For": ip, ...NAVIGATION };
  const kept = browser.device === undefined ? "" : `; ${browser.device}`;
  const asked = await fetch(`${gateway.url}/_runegate/login`, {
    method: "POST",
    headers: { "Content-Type": "application/json", "X-Forwarded-For": ip },
    body: JSON.stringify({ email }),
  });
  await gateway.gateway.outbox.runDue();
  const link = mails(email).find((mail) => mail.link?.includes("/auth?"))?.link;
  const cookie = asked.headers.getSetCookie()[0]?.split(";", 1)[0] ?? "";
  const token = new URL(link ?? "").searchParams.get("token") ?? "";
  const opened = await openLink(gateway, token, { ...headers, Cookie: cookie + kept });
  browser.device = deviceLine(opened)?.split(";", 1)[0] ?? browser.device;
  browser.session = sessionOf(opened);
  await gateway.gateway.outbox.runDue();
  return opened;
}

const notMeOf = (mail: { link?: string | undefined } | undefined) =>
  new URL(mail?.link ?? "").searchParams.get("token") ?? "";

function notMe(token: string, method = "POST", headers: Record<string, string> = {}) {
  const url = `${gateway.url}/_runegate/not-me`;
  if (method !== "POST") {
    return fetch(`${url}?token=${token}`, {
      method,
      redirect: "manual",
      headers: { ...NAVIGATION, ...headers },
    });
  }
  return fetch(url, {
    method,
    redirect: "manual",
    headers: { ...NAVIGATION, Origin: gateway.url, ...headers },
    body: new URLSearchParams({ token }),
  });
}

describe("the cookie", () => {
  test("lasts 180 days, is for this host alone, and the store has none of it", async () => {
    await start();
    const browser: Browser = {};
    const line = deviceLine(await signIn(browser)) ?? "";
    expect(line).toMatch(/^runegate_device=[\w-]{22}; Path=\/; HttpOnly; SameSite=Lax; Max-Age=15552000$/);
    const [kept] = await gateway.gateway.devices.list(ADA as Address);
    expect(JSON.stringify(kept)).not.toContain(line.slice(16, 38));
    expect(kept?.record).toEqual({
      ...{ email: ADA, language: "en", device: expect.any(String), userAgent: FIREFOX },
      seenAt: clock.now(),
    });
    expect(kept?.expiresAt).toBe(clock.now() + 180 * DAY);
  });

  test("has the prefix that keeps neighbors from planting it, where cookies are secure", async () => {
    await start({ RUNEGATE_SECURE_COOKIE: "true" });
    expect((await signIn()).headers.getSetCookie().join("\n")).toMatch(
      /^__Host-runegate_device=.*; Secure$/m,
    );
  });

  test("never reaches the application", async () => {
    const seen: (string | null)[] = [];
    const application = Bun.serve({
      port: 0,
      fetch: ({ headers }) => {
        seen.push(headers.get("cookie"));
        return new Response("ok");
      },
    });
    await start({ RUNEGATE_TARGET_SERVICE: `http://127.0.0.1:${application.port}` });
    const browser: Browser = {};
    await signIn(browser);
    await fetch(gateway.url, { headers: { Cookie: `a=b; ${browser.device}; ${browser.session}` } });
    expect(seen).toEqual(["a=b"]);
    await application.stop(true);
  });

  test("of a session that is not to be kept ends with the browser, and shortens none that lasts", async () => {
    await start({ RUNEGATE_REMEMBER: "ask" });
    const browser: Browser = {};
    expect(deviceLine(await signIn(browser))).not.toContain("Max-Age");
    expect(deviceLine(await signIn(browser))).toBeUndefined();
  });

  test("alone opens nothing: no session, no mail spared, and only the address is filled in", async () => {
    await start();
    const browser: Browser = {};
    await signIn(browser);
    const stolen = { Cookie: browser.device ?? "" };
    expect((await whoAmI(gateway, stolen.Cookie)).authenticated).toBe(false);
    for (const path of ["/", "/_runegate/api/sessions", "/_runegate/api/session"]) {
      expect((await fetch(gateway.url + path, { headers: stolen })).status).toBe(401);
    }
    const page = await fetch(`${gateway.url}/_runegate/account`, {
      headers: { ...stolen, ...NAVIGATION },
      redirect: "manual",
    });
    expect(page.status).toBe(302);
    const before = mails().length;
    const asked = await fetch(`${gateway.url}/_runegate/login`, {
      method: "POST",
      headers: { ...stolen, "Content-Type": "application/json" },
      body: JSON.stringify({ email: ADA }),
    });
    expect(sessionOf(asked)).toBeUndefined();
    await gateway.gateway.outbox.runDue();
    expect(mails()).toHaveLength(before + 1);
    const other = await openLink(gateway, notMeOf(mails()[0]), { ...stolen, ...NAVIGATION });
    expect([other.status, sessionOf(other)]).toEqual([200, undefined]);
  });

  test("fills in the last address with which this browser signed in, while it may sign in", async () => {
    await start();
    const browser: Browser = {};
    const shown = async (cookie = browser.device ?? "") => {
      const page = await fetch(`${gateway.url}/_runegate/login`, {
        headers: { ...NAVIGATION, Cookie: cookie },
      });
      return /id="email"[^>]* value="([^"]*)"/.exec(await page.text())?.[1];
    };
    expect(await shown()).toBe("");
    await signIn(browser);
    expect(await shown()).toBe(ADA);
    clock.advance(1000);
    await signIn(browser, BOB);
    expect(await shown()).toBe(BOB);
    clock.advance(1000);
    await signIn(browser);
    expect(await shown()).toBe(ADA);
    expect(await shown("runegate_device=AAAAAAAAAAAAAAAAAAAAAA")).toBe("");
    expect(await shown(`${browser.device}; runegate_device=AAAAAAAAAAAAAAAAAAAAAA`)).toBe("");
    clock.advance(181 * DAY);
    expect(await shown()).toBe("");
  });
});

describe("a new device", () => {
  test("the first sign-in ever is no reason for a mail; a second browser is, and no other", async () => {
    await start();
    const [first, second]: [Browser, Browser] = [{}, {}];
    await signIn(first);
    expect(notices()).toHaveLength(0);
    await signIn(first);
    expect(notices()).toHaveLength(0);
    await signIn(second, ADA, "198.51.100.42");
    expect(notices()).toHaveLength(1);
    await signIn(second);
    await signIn(first);
    expect(notices()).toHaveLength(1);
    expect(auditOf(gateway).filter(({ event }) => event === "new_device")).toEqual([
      {
        event: "new_device",
        email: ADA,
        client: "198.51.100.42",
        session: expect.any(String),
        mail: "queued",
      },
    ]);
  });

  test("the mail says when, and roughly where: a network and a browser, not an address", async () => {
    await start();
    await signIn();
    await signIn({}, ADA, "198.51.100.42", "Mozilla/5.0 <b>evil</b> Firefox/1");
    const [mail] = notices();
    expect(mail?.subject).toBe(`New sign-in to 127.0.0.1:${gateway.port}`);
    expect(mail?.text).toContain("When: January 2, 2026 at 3:04:05 AM UTC");
    expect(mail?.text).toContain("Where: 198.51.100.0/24, Firefox\n");
    expect(mail?.text).toContain(`${gateway.url}/_runegate/not-me?token=`);
    expect(mail?.html).toContain("198.51.100.0/24");
    for (const part of [mail?.text, mail?.html]) expect(part).not.toMatch(/198\.51\.100\.42|evil/);
    await signIn({}, ADA, "2001:db8:12:3400::9");
    expect(notices()[0]?.text).toContain("Where: 2001:db8:12::/48, Firefox on Linux");
  });

  test("the cookie of one address is unknown to another", async () => {
    await start();
    const browser: Browser = {};
    await signIn({}, BOB);
    await signIn(browser);
    await signIn(browser, BOB);
    expect([notices().length, notices(BOB).length]).toEqual([0, 1]);
  });

  test("whoever clears their cookies each time hears of it three times a day", async () => {
    await start();
    for (let time = 0; time < 8; time++) await signIn();
    expect(notices()).toHaveLength(3);
    expect(auditOf(gateway).filter(({ mail }) => mail === "limited")).toHaveLength(4);
    clock.advance(DAY);
    await signIn();
    expect(notices()).toHaveLength(4);
  });

  test("twenty are known of one address; the one that was not used longest makes room", async () => {
    await start();
    const browsers: Browser[] = Array.from({ length: 21 }, () => ({}));
    for (const browser of browsers) {
      await signIn(browser);
      clock.advance(DAY);
    }
    expect(await gateway.gateway.devices.list(ADA as Address)).toHaveLength(20);
    const news = () => auditOf(gateway).filter(({ event }) => event === "new_device").length;
    expect(news()).toBe(20);
    for (const browser of browsers.slice(1)) await signIn(browser);
    expect(news()).toBe(20);
    await signIn(browsers[0]);
    expect(news()).toBe(21);
  });

  test("no mail where that is turned off, as it is in development", async () => {
    await start({ RUNEGATE_NEW_DEVICE_MAIL: "" });
    await signIn();
    await signIn();
    expect(notices()).toHaveLength(0);
    expect(auditOf(gateway).filter(({ mail }) => mail === "off")).toHaveLength(1);
  });
});

describe("this was not me", () => {
  async function attacked(): Promise<{ ada: Browser; attacker: Browser; token: string }> {
    await start();
    const [ada, attacker]: [Browser, Browser] = [{}, {}];
    await signIn(ada);
    await signIn(attacker, ADA, "203.0.113.66");
    return { ada, attacker, token: notMeOf(notices()[0]) };
  }

  const live = async ({ session }: Browser) => (await whoAmI(gateway, session ?? "")).authenticated;

  test("opening the link changes nothing, whoever or whatever does, and names the address", async () => {
    const { ada, attacker, token } = await attacked();
    for (const headers of [{}, { "Sec-Purpose": "prefetch" }, { Purpose: "preview" }]) {
      const page = await notMe(token, "GET", headers);
      expect(page.status).toBe(200);
      expect(await page.text()).toContain(`<strong>${ADA}</strong>`);
    }
    expect((await notMe(token, "HEAD")).status).toBe(200);
    expect([await live(ada), await live(attacker)]).toEqual([true, true]);
  });

  test("the button ends every session of the address, and nobody else's", async () => {
    const { ada, attacker, token } = await attacked();
    const bob: Browser = {};
    await signIn(bob, BOB);
    const done = await notMe(token);
    expect([done.status, (await done.text()).includes("Every sign-in has ended")]).toEqual([200, true]);
    expect([await live(ada), await live(attacker), await live(bob)]).toEqual([false, false, true]);
    const events = auditOf(gateway).filter(({ event }) => event === "not_me" || event === "session_revoked");
    expect(events.map(({ event, email }) => [event, email])).toEqual([
      ["session_revoked", ADA],
      ["session_revoked", ADA],
      ["not_me", ADA],
    ]);
  });

  test("for an hour nobody signs in: no mail is sent, and links from before are worth nothing", async () => {
    const { attacker, token } = await attacked();
    const ask = async () => {
      const asked = await fetch(`${gateway.url}/_runegate/login`, {
        method: "POST",
        headers: { "Content-Type": "application/json" },
        body: JSON.stringify({ email: ADA }),
      });
      await gateway.gateway.outbox.runDue();
      const cookie = asked.headers.getSetCookie()[0]?.split(";", 1)[0] ?? "";
      return { status: asked.status, body: await asked.json(), cookie };
    };
    const early = await ask();
    const [mail] = mails();
    await notMe(token);
    const before = mails().length;
    const during = await ask();
    // The same answer as ever: only the mail is missing.
    expect([during.status, during.body]).toEqual([early.status, early.body]);
    expect(mails()).toHaveLength(before);
    const opened = await openLink(gateway, notMeOf(mail), { Cookie: early.cookie });
    expect([opened.status, ((await opened.json()) as { error: string }).error]).toEqual([403, "on_hold"]);
    const typed = await redeem(gateway, { code: mail?.code ?? "" }, { Cookie: early.cookie });
    expect(sessionOf(typed)).toBeUndefined();
    expect(await gateway.gateway.sessions.list(ADA as Address)).toEqual([]);
    const reasons = auditOf(gateway).map(({ reason, outcome }) => reason ?? outcome);
    expect(reasons.filter((one) => one === "on_hold")).toHaveLength(2);
    clock.advance(HOUR - 1);
    await ask();
    expect(mails()).toHaveLength(before);
    clock.advance(1);
    // And the attacker's browser is a new one again.
    const count = notices().length;
    await signIn(attacker);
    expect(await live(attacker)).toBe(true);
    expect(notices()).toHaveLength(count + 1);
  });

  test("works once; a second time says so and changes nothing", async () => {
    const { ada, token } = await attacked();
    await notMe(token);
    clock.advance(HOUR);
    await signIn(ada);
    for (const method of ["GET", "POST"]) {
      const again = await notMe(token, method);
      expect([again.status, await again.text()]).toEqual([
        410,
        expect.stringContaining("This was done before"),
      ]);
    }
    expect(await live(ada)).toBe(true);
  });

  test("what is not ours, too old, of another kind, or from a page elsewhere, does nothing", async () => {
    const { ada, token } = await attacked();
    expect((await notMe(token, "POST", { Origin: "https://evil.example" })).status).toBe(403);
    const login = mails().find(({ link }) => link?.includes("/auth?"));
    for (const wrong of ["", "x", `${token.slice(0, -2)}AA`, notMeOf(login)]) {
      for (const method of ["GET", "POST"]) expect((await notMe(wrong, method)).status).toBe(401);
    }
    clock.advance(7 * DAY);
    expect((await notMe(token)).status).toBe(401);
    clock.advance(-7 * DAY);
    expect(await live(ada)).toBe(true);
    // Nor does it sign anybody in.
    expect((await openLink(gateway, token, NAVIGATION)).status).toBe(401);
  });

  test("a sign-in that is under way when the address is put on hold gets no session", async () => {
    await start();
    const { sessions } = gateway.gateway;
    const who = { email: ADA as Address, ip: "192.0.2.1", userAgent: "" };
    await sessions.holds.put(ADA as Address);
    await expect(sessions.start(who)).rejects.toMatchObject({ failure: { error: "on_hold" } });
    expect(await sessions.list(ADA as Address)).toEqual([]);
  });

  test("its tickets are refused elsewhere, by audience", async () => {
    await start();
    const { keys } = gateway.gateway;
    const tickets = createTickets(keys, { audience: "https://elsewhere.example", clock });
    const times = { issuedAt: clock.now(), expiresAt: clock.now() + HOUR };
    const foreign = tickets.sign(NOT_ME_LINK, { jti: "j", ...times, email: ADA as Address, device: "d" });
    expect((await notMe(foreign)).status).toBe(401);
  });
});

describe("on the page of the account", () => {
  const page = async ({ device, session }: Browser, query = "") =>
    (
      await fetch(`${gateway.url}/_runegate/account${query}`, {
        headers: { ...NAVIGATION, Cookie: `${session}; ${device}` },
      })
    ).text();
  const idsIn = (html: string) =>
    Array.from(html.matchAll(/name="device" value="([^"]*)"/g), ([, id = ""]) => id);

  function forget({ device, session }: Browser, id: string, origin = gateway.url) {
    return fetch(`${gateway.url}/_runegate/devices/forget`, {
      method: "POST",
      redirect: "manual",
      headers: { ...NAVIGATION, Origin: origin, Cookie: `${session}; ${device}` },
      body: new URLSearchParams({ device: id }),
    });
  }

  test("shows the browsers, newest first, marks this one, and forgets one", async () => {
    await start();
    const [ada, phone, bob]: [Browser, Browser, Browser] = [{}, {}, {}];
    await signIn(phone, ADA, "192.0.2.8", "curl/8");
    clock.advance(1000);
    await signIn(ada);
    await signIn(bob, BOB);
    const html = await page(ada);
    const part = html.slice(html.indexOf('id="devices"'));
    expect(
      Array.from(part.matchAll(/<strong>(.*?)<\/strong>(.*)/g), ([, name, rest]) => [name, rest !== ""]),
    ).toEqual([
      ["Firefox on Linux", true],
      ["curl", false],
    ]);
    const [, id = ""] = idsIn(html);
    expect((await forget(bob, id)).status).toBe(303);
    expect((await forget(ada, id, "https://evil.example")).status).toBe(403);
    expect(idsIn(await page(ada))).toHaveLength(2);
    expect((await forget(ada, id)).headers.get("location")).toBe("/_runegate/account?done=forgotten");
    expect(await page(ada, "?done=forgotten")).toContain('role="status">Forgotten.');
    expect(idsIn(await page(ada))).toHaveLength(1);
    const before = notices().length;
    await signIn(phone);
    expect(notices()).toHaveLength(before + 1);
  });
});
