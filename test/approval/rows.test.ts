import { afterEach, describe, expect, test } from "bun:test";
import { decodeJwt } from "jose";
import jsQr from "jsqr";
import { auditOf, whoAmI } from "../login/support.ts";
import { type TestClock, testClock } from "../support/clock.ts";
import { startGateway, type TestGateway } from "../support/gateway.ts";
import { createJar, type Jar, numbersIn, PHONE, shownBy, TV } from "./support.ts";

/** A screen without mail, signed in by a phone: what each of the two sees, and everything that signs nobody in. */

const ADA = "ada@example.org";
const BOB = "bob@example.org";
const MINUTE = 60_000;

let gateway: TestGateway;
let clock: TestClock;
let screen: Jar;
let phone: Jar;

afterEach(() => gateway.stop());

async function start(env: Record<string, string> = {}): Promise<void> {
  clock = testClock();
  gateway = await startGateway({
    clock,
    env: { RUNEGATE_LOG_FORMAT: "json", RUNEGATE_APPROVAL: "true", ...env },
  });
  screen = createJar(gateway, { ip: "192.0.2.7", userAgent: TV });
  phone = await phoneOf(ADA);
}

async function phoneOf(email: string, ip = "198.51.100.20"): Promise<Jar> {
  return createJar(gateway, { ip, userAgent: PHONE, session: await gateway.signIn(email) });
}

/** @returns the code as the screen shows it */
async function ask(jar = screen, next = "/lab?tide=high"): Promise<string> {
  const asked = await jar.post("/_runegate/phone", { next });
  expect([asked.status, asked.headers.get("location")]).toEqual([303, "/_runegate/phone"]);
  const { code } = await shownBy(jar);
  expect(code).toMatch(/^[2-9A-HJKMNP-Z]{4}-[2-9A-HJKMNP-Z]{4}$/);
  return code;
}

const open = (code: string, jar = phone) => jar.get(`/_runegate/approve?code=${code}`);
const pick = (code: string, fields: Record<string, string>, jar = phone, headers = {}) =>
  jar.post("/_runegate/approve", { code, ...fields }, headers);

async function numberOf(jar = screen): Promise<string> {
  return (await shownBy(jar)).number ?? "";
}

/** Another of the three. */
async function wrongNumber(code: string): Promise<string> {
  const offered = numbersIn(await (await open(code)).text());
  const right = await numberOf();
  return offered.find((one) => one !== right) ?? "";
}

async function approve(code: string, jar = phone): Promise<Response> {
  expect((await open(code, jar)).status).toBe(200);
  return pick(code, { number: await numberOf() }, jar);
}

const who = async (jar: Jar) => {
  const session = jar.cookies.get("runegate_id");
  return session === undefined ? null : (await whoAmI(gateway, `runegate_id=${session}`)).email;
};
const sessionsOf = async (email: string) =>
  (await gateway.gateway.sessions.list()).filter((one) => one.email === email && one.method === "approval");
const reasons = (event: string) =>
  auditOf(gateway)
    .filter((line) => line.event === event)
    .map(({ reason, outcome }) => reason ?? outcome);

/** Nothing that the screen can still do signs it in. */
async function nobodyIn(jar = screen): Promise<void> {
  await jar.get("/_runegate/phone");
  expect(await who(jar)).toBeNull();
  expect(await sessionsOf(ADA)).toEqual([]);
}

describe("a screen that is approved", () => {
  test("is signed in where it wanted to go, once the number it shows has been picked", async () => {
    await start();
    const login = await (await screen.get("/_runegate/login?next=/lab")).text();
    expect(login).toContain('action="/_runegate/phone"');
    expect(login).toContain('<input type="hidden" name="next" value="/lab">');
    const code = await ask();
    expect(await screen.fetch("/_runegate/phone")).toEqual({
      state: "waiting",
      expires_at: new Date(clock.now() + 5 * MINUTE).toISOString(),
    });
    expect(await numberOf()).toBe("");

    const page = await (await open(code)).text();
    expect(await screen.fetch("/_runegate/phone")).toMatchObject({ state: "shown" });
    const number = await numberOf();
    expect(numbersIn(page)).toHaveLength(3);
    expect(numbersIn(page)).toContain(number);
    const decided = await pick(code, { number });
    expect(decided.status).toBe(200);
    expect(await decided.text()).toContain("<h1>Approved</h1>");

    expect(await screen.fetch("/_runegate/phone")).toMatchObject({ state: "approved" });
    const onward = await screen.get("/_runegate/phone");
    expect([onward.status, onward.headers.get("location")]).toEqual([302, "/lab?tide=high"]);
    expect(await who(screen)).toBe(ADA);
    const [session] = await sessionsOf(ADA);
    expect(session).toMatchObject({ ip: "192.0.2.7", userAgent: TV, method: "approval", brief: false });
    expect(screen.cookies.has("runegate_approval")).toBe(false);
    expect(screen.cookies.has("runegate_device")).toBe(true);
    const lines = auditOf(gateway).filter(({ event }) => /^approval_|redeemed/.test(String(event)));
    expect(lines.slice(1)).toEqual([
      { event: "approval_requested", client: "192.0.2.7", outcome: "shown" },
      { event: "approval_given", email: ADA, client: "198.51.100.20", session: expect.any(String) },
      {
        ...{ event: "redeemed", email: ADA, client: "192.0.2.7", by: "approval" },
        session: session?.id.slice(0, 8),
      },
    ]);
  });

  test("says whose it is and for what to the person who is asked", async () => {
    await start({ RUNEGATE_APP_NAME: "Lab" });
    const html = await (await open(await ask())).text();
    for (const text of ["Firefox on Linux", "192.0.2.7", "in another network", ADA, "Lab (127.0.0.1"]) {
      expect(html).toContain(text);
    }
    expect(html).toContain("somebody sent you here?");
    const near = await phoneOf(ADA, "192.0.2.200");
    expect(await (await open(await ask(), near)).text()).toContain("in the same network");
  });

  test("shows a QR code, which leads there", async () => {
    await start();
    const code = await ask();
    const { html } = await shownBy(screen);
    expect(scan(html)).toBe(`${gateway.url}/_runegate/approve?code=${code.replace("-", "")}`);
    expect(html).toMatch(/<svg class="qr" role="img" aria-label="QR code of the page for your phone"/);
    expect(html.match(/<script/g)).toHaveLength(1);
    // Without script, it looks by itself.
    expect(html).toContain('<noscript><meta http-equiv="refresh" content="5"></noscript>');
  });

  test("by a code that was typed in lower case and with blanks", async () => {
    await start();
    const code = await ask();
    expect((await open(encodeURIComponent(` ${code.toLowerCase().replace("-", " ")} `))).status).toBe(200);
  });

  test("by a phone that signs in on the way: by mail, and back to the very code", async () => {
    await start();
    const code = (await ask()).replace("-", "");
    const fresh = createJar(gateway, { ip: "198.51.100.21", userAgent: PHONE });
    const sent = await open(code, fresh);
    const where = sent.headers.get("location") ?? "";
    expect([sent.status, where]).toEqual([
      302,
      `/_runegate/login?next=${encodeURIComponent(`/_runegate/approve?code=${code}`)}`,
    ]);
    const next = new URL(where, gateway.url).searchParams.get("next") ?? "";
    await fresh.post("/_runegate/login", { email: ADA, next });
    await gateway.gateway.outbox.runDue();
    const link = gateway.mailbox.mails().find(({ to }) => to === ADA)?.link ?? "";
    const opened = await fresh.get(link.slice(gateway.url.length));
    expect([opened.status, opened.headers.get("location")]).toEqual([302, next]);
    expect((await approve(code, fresh)).status).toBe(200);
    await screen.get("/_runegate/phone");
    expect(await who(screen)).toBe(ADA);
  });

  test("ends the session that it had before, and stands on the page of the account", async () => {
    await start();
    screen.cookies.set("runegate_id", (await gateway.signIn(BOB)).replace("runegate_id=", ""));
    await approve(await ask());
    await screen.get("/_runegate/phone");
    expect(await who(screen)).toBe(ADA);
    expect((await gateway.gateway.sessions.list()).filter(({ email }) => email === BOB)).toEqual([]);
    const account = await (await phone.get("/_runegate/account")).text();
    expect(account).toContain("approved from another device");
    expect(account).toContain("Firefox on Linux");
  });

  test("is told of by mail, as a browser that is new", async () => {
    await start({ RUNEGATE_NEW_DEVICE_MAIL: "true" });
    await approve(await ask());
    await screen.get("/_runegate/phone");
    await gateway.gateway.outbox.runDue();
    const [mail] = gateway.mailbox.mails().filter(({ subject }) => subject.startsWith("New sign-in"));
    expect(mail?.text).toContain("192.0.2.0/24, Firefox on Linux");
  });

  test.each([
    ["for as long as its browser is open, unless the person says otherwise", {}, true],
    ["for long, if they do", { remember: "true" }, false],
  ])("where that is asked: %s", async (_, remember, brief) => {
    await start({ RUNEGATE_REMEMBER: "ask" });
    const code = await ask();
    expect(await (await open(code)).text()).toContain("Keep that screen signed in");
    await pick(code, { number: await numberOf(), ...remember });
    await screen.get("/_runegate/phone");
    expect((await sessionsOf(ADA))[0]?.brief).toBe(brief);
  });

  test("is signed in by one of two tabs, and the other goes on as well", async () => {
    await start();
    await approve(await ask());
    const tabs = await Promise.all([1, 2, 3].map(() => screen.get("/_runegate/phone")));
    expect(tabs.map(({ status }) => status).toSorted()).toEqual([302, 303, 303]);
    expect(await sessionsOf(ADA)).toHaveLength(1);
    for (const { headers } of tabs.filter(({ status }) => status === 303)) {
      const onward = await screen.get(headers.get("location") ?? "");
      expect(["/", "/lab?tide=high"]).toContain(onward.headers.get("location") ?? "");
    }
  });

  test("tells applications by what it was signed in", async () => {
    const methods: unknown[] = [];
    const application = Bun.serve({
      port: 0,
      fetch: ({ headers }) => {
        methods.push(decodeJwt(headers.get("x-runegate-jwt") ?? "").amr);
        return new Response(headers.get("cookie"));
      },
    });
    await start({
      RUNEGATE_IDENTITY_MODE: "jwt",
      RUNEGATE_TARGET_SERVICE: `http://127.0.0.1:${application.port}`,
    });
    await approve(await ask());
    await screen.get("/_runegate/phone");
    await ask();
    // The screen's cookie stays with Runegate.
    expect(await (await screen.get("/lab")).text()).toBe("");
    expect(methods).toEqual([["approval"]]);
    await application.stop(true);
  });

  test("goes on to the application on another host, and is signed in there too", async () => {
    clock = testClock();
    gateway = await startGateway({
      clock,
      env: {
        RUNEGATE_APPROVAL: "true",
        RUNEGATE_BASE_URL: "https://app.example.org",
        RUNEGATE_SECURE_COOKIE: "true",
      },
      routes: `[[routes]]
name = "lab"
target = "http://127.0.0.1:1"
[[routes]]
name = "wiki"
host = "wiki.example.net"
target = "http://127.0.0.1:1"`,
    });
    const from = { ip: "192.0.2.7", userAgent: TV };
    const [home, wiki] = ["https://app.example.org", "https://wiki.example.net"];
    screen = createJar(gateway, from, home);
    phone = createJar(gateway, { ...from, session: await gateway.signIn(ADA) }, home);
    const code = await ask(screen, `${wiki}/page`);
    expect(screen.cookies.has("__Host-runegate_approval")).toBe(true);
    await approve(code);
    const onward = await screen.get("/_runegate/phone");
    expect(onward.headers.get("location")).toBe(`${wiki}/_runegate/login?next=%2Fpage`);

    // The phone may have come to the other host by itself, and is sent home with its code.
    const there = createJar(gateway, from, wiki);
    const sent = await open("AAAA2222", there);
    expect(sent.headers.get("location")).toBe(`${home}/_runegate/approve?code=AAAA2222`);
    expect((await there.post("/_runegate/phone", {})).status).toBe(421);
    const asked = await there.get("/_runegate/login?next=%2Fpage");
    const given = await screen.get((asked.headers.get("location") ?? "").slice(home.length));
    const finished = await there.get((given.headers.get("location") ?? "").slice(wiki.length));
    expect([finished.status, finished.headers.get("location")]).toEqual([302, "/page"]);
    expect(await there.fetch("/_runegate/session")).toMatchObject({ email: ADA });
  });

  test("for a program: the code as JSON", async () => {
    await start();
    const response = await fetch(`${gateway.url}/_runegate/phone`, { method: "POST" });
    expect([response.status, await response.json()]).toEqual([
      200,
      {
        code: expect.stringMatching(/^.{4}-.{4}$/),
        url: `${gateway.url}/_runegate/approve`,
        expires_at: new Date(clock.now() + 5 * MINUTE).toISOString(),
      },
    ]);
  });
});

describe("nobody is signed in", () => {
  test("by the wrong number, which denies it for good", async () => {
    await start();
    const code = await ask();
    const wrong = await wrongNumber(code);
    const decided = await pick(code, { number: wrong });
    expect([decided.status, await decided.text()]).toEqual([
      403,
      expect.stringContaining("That was not the number"),
    ]);
    expect((await shownBy(screen)).heading).toBe("Nobody is signed in");
    expect((await pick(code, { number: wrong }, await phoneOf(BOB))).status).toBe(404);
    await nobodyIn();
    expect(reasons("approval_refused")).toEqual(["wrong_number", "not_open"]);
  });

  test("by all numbers, one after another: the first decides", async () => {
    await start();
    const code = await ask();
    await open(code);
    const right = await numberOf();
    for (let number = 10; number < 15; number++) {
      if (String(number) !== right) await pick(code, { number: String(number) });
    }
    await pick(code, { number: right });
    await nobodyIn();
  });

  test("by whoever denies it", async () => {
    await start();
    const code = await ask();
    await open(code);
    expect(await (await pick(code, { deny: "true", number: await numberOf() })).text()).toContain(
      "<h1>Denied</h1>",
    );
    expect(await screen.fetch("/_runegate/phone")).toMatchObject({ state: "denied" });
    expect((await shownBy(screen)).html).toContain('name="next" value="/lab?tide=high"');
    await nobodyIn();
  });

  test("by a number that is picked before anybody has looked at whose screen it is", async () => {
    await start();
    const code = await ask();
    for (let number = 10; number < 20; number++) {
      expect((await pick(code, { number: String(number) })).status).toBe(404);
    }
    expect(await screen.fetch("/_runegate/phone")).toMatchObject({ state: "waiting" });
    await nobodyIn();
  });

  test("by a form that says neither number nor no", async () => {
    await start();
    const code = await ask();
    await open(code);
    expect((await pick(code, {})).status).toBe(404);
    await nobodyIn();
  });

  test("by guessed codes, of which one address and one client have so many", async () => {
    await start({ RUNEGATE_RATE_LIMIT_ENABLED: "true", RUNEGATE_TOKEN_RATE_LIMIT: "12" });
    const code = await ask();
    const guess = (index: number) =>
      `AAAA22${String.fromCharCode(65 + Math.floor(index / 8))}${2 + (index % 8)}`;
    const statuses: number[] = [];
    for (let index = 0; index < 13; index++) statuses.push((await open(guess(index))).status);
    expect(statuses).toEqual([...Array(12).fill(404), 429]);
    expect((await open(code)).status).toBe(429);
    // From elsewhere it is the same person.
    const elsewhere = createJar(gateway, {
      ...{ ip: "203.0.113.5", userAgent: PHONE },
      session: `runegate_id=${phone.cookies.get("runegate_id")}`,
    });
    for (let index = 0; index < 8; index++) expect((await open(guess(index), elsewhere)).status).toBe(404);
    expect((await open(guess(9), elsewhere)).status).toBe(429);
    expect((await pick(code, { number: "10" }, elsewhere)).status).toBe(429);
    clock.advance(5 * MINUTE);
    expect((await open(guess(9), elsewhere)).status).toBe(404);
    await nobodyIn();
  });

  test("by codes that are tried by whoever is not signed in: they are not even looked at", async () => {
    await start();
    const stranger = createJar(gateway, { ip: "203.0.113.9", userAgent: PHONE });
    const code = await ask();
    const [right, wrong] = [await open(code, stranger), await open("AAAA2222", stranger)];
    expect([right.status, wrong.status]).toEqual([302, 302]);
    expect((await pick(code, { number: "10" }, stranger)).status).toBe(303);
    expect(await screen.fetch("/_runegate/phone")).toMatchObject({ state: "waiting" });
    expect(reasons("approval_refused")).toEqual([]);
  });

  test("who asks too often: the limit of login requests", async () => {
    await start({ RUNEGATE_RATE_LIMIT_ENABLED: "true" });
    for (let time = 0; time < 5; time++) await ask();
    const refused = await screen.post("/_runegate/phone", {});
    expect([refused.status, refused.headers.get("x-ratelimit-exceeded")]).toEqual([429, "IP"]);
    expect(reasons("approval_requested")).toEqual([...Array(5).fill("shown"), "rate_limited"]);
  });

  test("a second time, by whoever approves twice", async () => {
    await start();
    const code = await ask();
    await approve(code);
    // Pressed twice: the same answer, and nothing more.
    const again = await pick(code, { number: "10" });
    expect([again.status, await again.text()]).toEqual([200, expect.stringContaining("<h1>Approved</h1>")]);
    await screen.get("/_runegate/phone");
    expect((await pick(code, { number: "10" })).status).toBe(404);
    await screen.get("/_runegate/phone");
    expect(await sessionsOf(ADA)).toHaveLength(1);
    expect(reasons("approval_given")).toHaveLength(1);
  });

  test("as somebody else, who approves it as well", async () => {
    await start();
    const bob = await phoneOf(BOB);
    const code = await ask();
    await open(code);
    await open(code, bob);
    const number = await numberOf();
    const all = await Promise.all([pick(code, { number }), pick(code, { number }, bob)]);
    expect(all.map(({ status }) => status).toSorted()).toEqual([200, 404]);
    await screen.get("/_runegate/phone");
    expect([...(await sessionsOf(ADA)), ...(await sessionsOf(BOB))]).toHaveLength(1);
  });

  test("in another browser than the one that asked", async () => {
    await start();
    const code = await ask();
    const thief = createJar(gateway, { ip: "203.0.113.66", userAgent: TV });
    await approve(code);
    expect((await thief.get("/_runegate/phone")).headers.get("location")).toBe("/_runegate/login");
    // What the code is made of stands in the cookie; the secret beside it does not stand anywhere else.
    const guessed = `${code.replace("-", "")}.${"A".repeat(22)}`;
    thief.cookies.set("runegate_approval", guessed);
    expect(await thief.fetch("/_runegate/phone")).toEqual({ state: "none" });
    await nobodyIn(thief);
    expect(reasons("approval_refused")).toContain("wrong_browser");
    expect(await screen.fetch("/_runegate/phone")).toMatchObject({ state: "approved" });
  });

  test("for an attacker who sends the QR page: it has no number, and theirs has to be picked", async () => {
    await start();
    const attacker = createJar(gateway, { ip: "203.0.113.66", userAgent: TV });
    const code = await ask(attacker);
    const sent = (await shownBy(attacker)).html;
    const victim = await (await open(scan(sent).split("code=")[1] ?? "")).text();
    const offered = numbersIn(victim);
    // What was sent says none of the three, and the page says whose screen it is.
    for (const number of offered) expect(sent.replace(/<path[^>]*>/g, "")).not.toContain(`>${number}<`);
    expect(victim).toContain("203.0.113.66");
    expect(victim).toContain("in another network than this device");
    const right = await numberOf(attacker);
    const blind = offered.find((one) => one !== right) ?? "";
    await pick(code, { number: blind });
    await nobodyIn(attacker);
    expect(await attacker.fetch("/_runegate/phone")).toMatchObject({ state: "wrong_number" });
  });

  test("after five minutes: neither decided then nor used then", async () => {
    await start();
    const code = await ask();
    await open(code);
    const number = await numberOf();
    clock.advance(5 * MINUTE);
    expect((await pick(code, { number })).status).toBe(404);
    expect((await shownBy(screen)).heading).toBe("This code has expired");
    expect((await shownBy(screen)).html).toContain('name="next" value="/lab?tide=high"');
    await nobodyIn();

    phone = await phoneOf(ADA);
    await approve(await ask());
    clock.advance(5 * MINUTE);
    expect((await shownBy(screen)).heading).toBe("This code has expired");
    await nobodyIn();
  });

  test("by a code whose screen has asked for another one since", async () => {
    await start();
    const before = await ask();
    await ask();
    expect((await open(before)).status).toBe(404);
    await nobodyIn();
  });

  test("by a session that is older than 15 minutes: it signs in again first", async () => {
    await start();
    clock.advance(15 * MINUTE);
    const code = (await ask()).replace("-", "");
    const opened = await open(code);
    const where = `/_runegate/login?next=${encodeURIComponent(`/_runegate/approve?code=${code}`)}&again=1`;
    expect([opened.status, opened.headers.get("location")]).toEqual([302, where]);
    const posted = await pick(code, { number: "10" });
    expect([posted.status, posted.headers.get("location")]).toEqual([303, where]);
    const script = await pick(code, { number: "10" }, phone, { "Sec-Fetch-Mode": "cors" });
    expect([script.status, await script.json()]).toEqual([
      403,
      expect.objectContaining({ error: "sign_in_again", login_url: gateway.url + where }),
    ]);
    expect(await screen.fetch("/_runegate/phone")).toMatchObject({ state: "waiting" });
  });

  test("by a screen that was itself approved, which is no proof that anybody sits there", async () => {
    await start();
    await approve(await ask());
    await screen.get("/_runegate/phone");
    const second = createJar(gateway, { ip: "192.0.2.8", userAgent: TV });
    const code = await ask(second);
    expect((await open(code, screen)).headers.get("location")).toEndWith("&again=1");
    expect((await pick(code, { deny: "true" }, screen)).status).toBe(303);
  });

  test("by what outlasts that screen: it makes no API key and no passkey before somebody signs in there", async () => {
    const home = "https://app.test";
    await start({ RUNEGATE_API_KEYS: "true", RUNEGATE_PASSKEYS: "true", RUNEGATE_BASE_URL: home });
    const session = await gateway.signIn(ADA);
    screen = createJar(gateway, { ip: "192.0.2.7", userAgent: TV }, home);
    phone = createJar(gateway, { ip: "198.51.100.20", userAgent: PHONE, session }, home);
    await approve(await ask());
    await screen.get("/_runegate/phone");
    const json = { "Sec-Fetch-Mode": "cors", "Content-Type": "application/json" };
    const statuses = async (jar: Jar) => [
      (await jar.post("/_runegate/api/me/tokens", {}, json)).status,
      (await jar.post("/_runegate/passkeys/options", {}, json)).status,
    ];
    expect(await statuses(screen)).toEqual([401, 403]);
    expect(await statuses(phone)).toEqual([201, 200]);
  });

  test("once the person who approved has signed out, or may not sign in any more", async () => {
    await start();
    await approve(await ask());
    await phone.post("/_runegate/logout", {});
    expect((await screen.get("/_runegate/phone")).headers.get("location")).toContain("/_runegate/login?");
    await nobodyIn();
    expect(reasons("approval_refused")).toEqual(["approver_ended"]);
  });

  test("while the address is on hold", async () => {
    await start();
    await approve(await ask());
    await gateway.gateway.sessions.holds.put(ADA as never);
    expect((await screen.get("/_runegate/phone")).status).toBe(403);
    await nobodyIn();
    expect(reasons("approval_refused")).toEqual(["on_hold"]);
  });

  test("by a page elsewhere that sends either form", async () => {
    await start();
    const code = await ask();
    await open(code);
    const number = await numberOf();
    const foreign = { Origin: "https://evil.example", "Sec-Fetch-Site": "cross-site" };
    expect((await pick(code, { number }, phone, foreign)).status).toBe(403);
    expect((await screen.post("/_runegate/phone", {}, foreign)).status).toBe(403);
    await nobodyIn();
  });

  test("by a request that nobody has decided on: HEAD, prefetch, a script", async () => {
    await start();
    const code = await ask();
    await phone.get(`/_runegate/approve?code=${code}`, { "Sec-Purpose": "prefetch" });
    expect(await screen.fetch("/_runegate/phone")).toMatchObject({ state: "waiting" });
    await approve(code);
    await fetch(`${gateway.url}/_runegate/phone`, {
      method: "HEAD",
      headers: { Cookie: `runegate_approval=${screen.cookies.get("runegate_approval")}` },
    });
    await screen.get("/_runegate/phone", { "Sec-Purpose": "prefetch" });
    await screen.fetch("/_runegate/phone");
    expect(await who(screen)).toBeNull();
    expect((await screen.get("/_runegate/phone")).status).toBe(302);
  });

  test("where it is off: there is nothing of it", async () => {
    await start({ RUNEGATE_APPROVAL: "false" });
    expect(await (await screen.get("/_runegate/login")).text()).not.toContain("/_runegate/phone");
    expect((await screen.get("/_runegate/phone")).status).toBe(404);
    expect((await phone.get("/_runegate/approve?code=AAAA2222")).status).toBe(404);
  });
});

describe("the store", () => {
  test("has neither the code nor the screen's secret", async () => {
    await start();
    const code = (await ask()).replace("-", "");
    const [kept] = await allApprovals();
    const text = JSON.stringify(kept);
    expect(text).toContain("192.0.2.7");
    expect(text).not.toContain(code);
    expect(text).not.toContain(screen.cookies.get("runegate_approval")?.split(".")[1] ?? "-");
    expect(gateway.lines.join("\n")).not.toContain(code);
  });

  test("cannot be written so that somebody is signed in", async () => {
    await start();
    await ask();
    const records = gateway.stores.records<Record<string, unknown>>({ name: "approval" });
    const [session] = await gateway.gateway.sessions.list();
    const [kept] = await allApprovals();
    if (kept === undefined) throw new Error("nothing is kept");
    const forged = { ...kept.record, state: "approved", email: ADA, session: session?.id ?? "" };
    expect(await records.replace(kept, forged)).toBe(true);
    expect(await screen.fetch("/_runegate/phone")).toEqual({ state: "none" });
    await nobodyIn();
  });
});

async function allApprovals() {
  return gateway.stores.records<Record<string, unknown>>({ name: "approval" }).find({ most: 10 });
}

/** What a camera reads: the SVG's rectangles painted, four pixels a module, and decoded by another implementation. */
function scan(html: string): string {
  const size = Number(/viewBox="0 0 (\d+) /.exec(html)?.[1]);
  const path = /<path d="([^"]+)"/.exec(html)?.[1] ?? "";
  const scale = 4;
  const width = size * scale;
  const pixels = new Uint8ClampedArray(width * width * 4).fill(255);
  for (const [, x, y, run] of path.matchAll(/M(\d+) (\d+)h(\d+)v1h-\d+z/g)) {
    for (let row = 0; row < scale; row++) {
      for (let column = 0; column < Number(run) * scale; column++) {
        const at = ((Number(y) * scale + row) * width + Number(x) * scale + column) * 4;
        pixels.fill(0, at, at + 3);
      }
    }
  }
  return jsQr(pixels, width, width)?.data ?? "";
}
