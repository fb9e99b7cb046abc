import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { type TestClock, testClock } from "../support/clock.ts";
import {
  cookieHeader,
  startGateway,
  type TestGateway,
  type TestGatewaySettings,
} from "../support/gateway.ts";
import {
  type AskedFor,
  askFor,
  NAVIGATION,
  openLink,
  postLogin,
  redeem,
  said,
  sessionOf,
} from "./support.ts";

/** A login under way has an address, from its beginning to whatever end it comes to. */

const MINUTE = 60_000;
const FIREFOX = "Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:150.0) Gecko/20100101 Firefox/150.0";
const FORM = { ...NAVIGATION, "Content-Type": "application/x-www-form-urlencoded" };

let clock: TestClock;
let gateway: TestGateway;
const others: TestGateway[] = [];
beforeEach(async () => {
  clock = testClock(Date.parse("2026-03-04T18:15:00Z"));
  gateway = await startGateway({ clock });
});
afterEach(async () => {
  for (const one of [gateway, ...others.splice(0)]) await one.stop();
});

async function another(settings: TestGatewaySettings): Promise<TestGateway> {
  const one = await startGateway({ clock, ...settings });
  others.push(one);
  return one;
}

const other = (code: string) => (code.startsWith("2") ? "3" : "2") + code.slice(1);

function visit(path: string, cookie = "", of = gateway): Promise<Response> {
  return fetch(`${of.url}${path}`, { redirect: "manual", headers: { ...NAVIGATION, Cookie: cookie } });
}

function send(path: string, fields: Record<string, string>, cookie = "", of = gateway): Promise<Response> {
  const body = new URLSearchParams(fields);
  const headers = { ...FORM, Cookie: cookie, Origin: of.url };
  return fetch(`${of.url}${path}`, { method: "POST", redirect: "manual", headers, body });
}

const whereTo = ({ status, headers }: Response) => [status, headers.get("location")];
const codePage = async (cookie: string, query = "") =>
  (await visit(`/_runegate/code${query}`, cookie)).text();
async function stateOf(cookie: string): Promise<Record<string, unknown>> {
  const headers = { Accept: "application/json", "Sec-Fetch-Mode": "cors", Cookie: cookie };
  return (await (await fetch(`${gateway.url}/_runegate/code`, { headers })).json()) as Record<
    string,
    unknown
  >;
}

async function sendAgain(cookie: string): Promise<{ response: Response; cookie: string; code: string }> {
  const before = new Set(gateway.mailbox.mails());
  const response = await send("/_runegate/code", {}, cookie);
  await gateway.gateway.outbox.runDue();
  const mail = gateway.mailbox.mails().find((one) => !before.has(one));
  return { response, cookie: cookieHeader(response), code: mail?.code ?? "" };
}

describe("a person who asks", () => {
  test("is sent to the page of the login, which is the same whenever it is loaded (S1)", async () => {
    const asked = await send("/_runegate/login", { email: "ada@example.org", next: "/wanted?a=1" });
    expect(whereTo(asked)).toEqual([303, "/_runegate/code"]);
    const cookie = cookieHeader(asked);
    const [first, second] = [await codePage(cookie), await codePage(cookie)];
    expect(first).toBe(second);
    for (const part of [
      "<strong>ada@example.org</strong>",
      "•••• •••• is your code for 127.0.0.1",
      `<time datetime="2026-03-04T18:30:00.000Z" data-short>6:30 PM UTC</time>`,
      'inputmode="numeric"',
      "/_runegate/login?next=%2Fwanted%3Fa%3D1",
    ]) {
      expect(first).toContain(part);
    }
  });

  test("is told of nothing where there is nothing", async () => {
    expect(whereTo(await visit("/_runegate/code"))).toEqual([303, "/_runegate/login"]);
    expect(whereTo(await visit("/_runegate/code", "runegate_login=x.y.z"))).toEqual([
      303,
      "/_runegate/login",
    ]);
    expect(await stateOf("")).toEqual({ state: "none" });
  });

  test("finds the way back from the login page, without the whole address", async () => {
    const { cookie } = await askFor(gateway, "ada@example.org");
    const html = await (await visit("/_runegate/login", cookie)).text();
    expect(html).toContain(`href="/_runegate/code">Continue with the code sent to a…@example.org</a>`);
    expect(html).not.toContain("ada@");
    clock.advance(15 * MINUTE);
    expect(await (await visit("/_runegate/login", cookie)).text()).not.toContain("Continue with");
  });

  test("is shown whom the mail is from, where it is sent", async () => {
    expect(await codePage((await askFor(gateway)).cookie)).not.toContain("<dt>From</dt>");
  });
});

describe("the page's script is told how the login stands", () => {
  test("from waiting to its end, at debug alone in the log", async () => {
    const { cookie, code } = await askFor(gateway);
    expect(await stateOf(cookie)).toEqual({
      ...{ state: "waiting", tries_left: 5 },
      expires_at: "2026-03-04T18:30:00.000Z",
    });
    await redeem(gateway, { code: other(code) }, { Cookie: cookie });
    expect(await stateOf(cookie)).toMatchObject({ state: "waiting", tries_left: 4 });
    clock.advance(15 * MINUTE);
    expect(await stateOf(cookie)).toMatchObject({ state: "expired" });
    const polls = gateway.lines.filter((line) => line.includes("GET /_runegate/code 200"));
    expect(polls.length).toBe(3);
    for (const line of polls) expect(line).toContain("DEBUG");
    await visit("/_runegate/code", cookie);
    expect(
      gateway.lines.some((line) => line.includes("INFO") && line.includes("GET /_runegate/code 200")),
    ).toBe(true);
  });

  test("that it was opened in another tab, from where the page goes on", async () => {
    const { cookie, token } = await askFor(gateway, "ada@example.org", { next: "/wanted" });
    const session = sessionOf(await openLink(gateway, token, { ...NAVIGATION, Cookie: cookie }));
    expect(await stateOf(`${cookie}; ${session}`)).toEqual({ state: "signed_in" });
    expect(whereTo(await visit("/_runegate/code", `${cookie}; ${session}`))).toEqual([303, "/wanted"]);
  });

  test("that a session from before the login does not end it", async () => {
    const before = await gateway.signIn("ada@example.org");
    clock.advance(MINUTE);
    const { cookie } = await askFor(gateway, "ada@example.org");
    expect(await stateOf(`${before}; ${cookie}`)).toMatchObject({ state: "waiting" });
  });
});

describe("codes", () => {
  test("that are wrong leave fewer tries; used up, the link still signs in (S3)", async () => {
    const { cookie, code, token } = await askFor(gateway);
    const typed = async (value: string) => {
      expect(whereTo(await send("/_runegate/auth", { code: value }, cookie))).toEqual([
        303,
        "/_runegate/code",
      ]);
      return codePage(cookie);
    };
    expect(await typed(other(code))).toContain("That is not the code. 4 tries left.");
    expect(await typed(other(code))).toContain("3 tries left.");
    expect(await typed(other(code))).toContain("2 tries left.");
    expect(await typed(other(code))).toContain("1 try left.");
    for (const value of [other(code), code]) {
      const html = await typed(value);
      expect(html).toContain("This code is used up. The link in the mail still works.");
      expect(html).toContain(">Send a new mail</button>");
      expect(html).not.toContain('name="code"');
    }
    expect((await openLink(gateway, token, { ...NAVIGATION, Cookie: cookie })).status).toBe(302);
  });

  test("that can be none are no try, and said to be none", async () => {
    const { cookie } = await askFor(gateway);
    const sent = await send("/_runegate/auth", { code: "12345" }, cookie);
    expect(whereTo(sent)).toEqual([303, "/_runegate/code?note=no_code"]);
    expect(await codePage(cookie, "?note=no_code")).toContain("A code has eight characters.");
    expect(await stateOf(cookie)).toMatchObject({ tries_left: 5 });
    expect(await codePage(cookie, "?note=toString")).not.toContain('role="alert"');
  });

  test("are letters where that is configured", async () => {
    const letters = await another({ env: { RUNEGATE_CODE: "letters" } });
    const { code, cookie, mail } = await askFor(letters);
    expect(code).toMatch(/^[2-9A-HJKMNP-Z]{4}-[2-9A-HJKMNP-Z]{4}$/);
    expect(mail.subject).toBe(`${code} is your code for 127.0.0.1:${letters.port}`);
    const html = await (await visit("/_runegate/code", cookie, letters)).text();
    expect(html).toContain('placeholder="XXXX-XXXX"');
    expect((await redeem(letters, { code }, { Cookie: cookie })).status).toBe(200);
  });
});

describe("sent again", () => {
  test("it is another code and the same link, and the old code is dead (S5)", async () => {
    const { cookie, code, token } = await askFor(gateway, "ada@example.org", { next: "/wanted" });
    clock.advance(30_000);
    const again = await sendAgain(cookie);
    expect(whereTo(again.response)).toEqual([303, "/_runegate/code?note=sent_again"]);
    expect(again.code).toMatch(/^\d{4} \d{4}$/);
    expect(again.code).not.toBe(code);
    const links = gateway.mailbox
      .mails()
      .map(({ link = "" }) => new URL(link).searchParams.get("token") ?? "");
    const claims = links.map((one) =>
      JSON.parse(Buffer.from(one.split(".")[1] ?? "", "base64url").toString()),
    );
    expect(new Set(claims.map(({ jti, exp }) => `${jti} ${exp}`)).size).toBe(1);
    expect(await codePage(again.cookie, "?note=sent_again")).toContain("Sent again.");
    // Neither with the new cookie nor with the one from before.
    for (const held of [again.cookie, cookie]) {
      expect(await said(await redeem(gateway, { code }, { Cookie: held }))).toMatchObject({
        reason: "wrong",
      });
    }
    expect((await redeem(gateway, { code: again.code }, { Cookie: again.cookie })).status).toBe(200);
    for (const link of new Set([token, ...links])) {
      expect(await said(await redeem(gateway, { token: link }))).toMatchObject({
        status: 401,
        reason: "used",
      });
    }
  });

  test("by the link of either mail, both are spent (S5)", async () => {
    for (const which of [0, 1]) {
      const email = `either${which}@example.org`;
      const { cookie } = await askFor(gateway, email);
      clock.advance(30_000);
      await sendAgain(cookie);
      const [newer, older] = gateway.mailbox.mails().filter(({ to }) => to === email);
      const tokens = [newer, older].map((mail) => new URL(mail?.link ?? "").searchParams.get("token") ?? "");
      const [used = "", left = ""] = which === 0 ? tokens : tokens.toReversed();
      expect((await redeem(gateway, { token: used })).status).toBe(200);
      expect(await said(await redeem(gateway, { token: left }))).toMatchObject({ reason: "used" });
    }
  });

  test("30 s after the first and 60 s after that, and not a third time, with when (S4)", async () => {
    const asked = await askFor(gateway);
    const early = await send("/_runegate/code", {}, asked.cookie);
    expect([early.status, early.headers.get("retry-after")]).toEqual([429, "30"]);
    expect(await early.text()).toContain("It can be sent again in 30 seconds.");
    clock.advance(30_000);
    const first = await sendAgain(asked.cookie);
    expect(first.response.status).toBe(303);
    clock.advance(59_000);
    expect((await send("/_runegate/code", {}, first.cookie)).headers.get("retry-after")).toBe("1");
    clock.advance(1_000);
    const second = await sendAgain(first.cookie);
    expect(second.response.status).toBe(303);
    clock.advance(5 * MINUTE);
    for (const held of [second.cookie, first.cookie, asked.cookie]) {
      const third = await send("/_runegate/code", {}, held);
      expect(third.status).toBe(429);
      // Five minutes after it was asked for.
      expect(await third.text()).toContain(
        `You can ask for a new one from <time datetime="2026-03-04T18:20:00.000Z" data-short>6:20 PM UTC</time> on.`,
      );
    }
    expect(gateway.mailbox.mails()).toHaveLength(3);
  });

  test("only by the browser that holds the login (S4)", async () => {
    await askFor(gateway);
    clock.advance(30_000);
    for (const cookie of ["", "runegate_login=x.y.z"]) {
      expect((await send("/_runegate/code", {}, cookie)).status).toBe(403);
    }
    const foreign = await fetch(`${gateway.url}/_runegate/code`, {
      method: "POST",
      headers: { Origin: "https://evil.example" },
    });
    expect(foreign.status).toBe(403);
    expect(gateway.mailbox.mails()).toHaveLength(1);
  });

  test("by two tabs at once it is one mail", async () => {
    const { cookie } = await askFor(gateway);
    clock.advance(30_000);
    const answers = await Promise.all([1, 2, 3].map(() => send("/_runegate/code", {}, cookie)));
    expect(answers.map(({ status }) => status).sort()).toEqual([303, 429, 429]);
  });

  test("for a program, in JSON", async () => {
    const { cookie, code, token } = await askFor(gateway);
    const again = async () =>
      said(await fetch(`${gateway.url}/_runegate/code`, { method: "POST", headers: { Cookie: cookie } }));
    expect(await again()).toMatchObject({ status: 429, error: "rate_limited", retry_after: 30 });
    clock.advance(30_000);
    expect(await again()).toEqual({ status: 200, message: "Sent again." });
    await redeem(gateway, { token });
    expect(await again()).toMatchObject({ status: 409, error: "login_over" });
    expect(code).not.toBe("");
  });

  test("counts as a login request of the client", async () => {
    gateway = await another({ env: { RUNEGATE_RATE_LIMIT_ENABLED: "true", RUNEGATE_LOGIN_RATE_LIMIT: "1" } });
    const { cookie } = await askFor(gateway);
    clock.advance(30_000);
    const refused = await send("/_runegate/code", {}, cookie, gateway);
    expect([refused.status, refused.headers.get("x-ratelimit-exceeded")]).toEqual([429, "IP"]);
    expect(await refused.text()).toContain('name="code"');
  });

  test("for an address that may not sign in, is answered alike and sends nothing", async () => {
    gateway = await another({
      env: { RUNEGATE_ALLOW_ANY_EMAIL: "false", RUNEGATE_ALLOWED_EMAILS: "ada@example.org" },
    });
    const cookie = cookieHeader(await postLogin(gateway, { email: "eve@example.org" }));
    clock.advance(30_000);
    const { response, code } = await sendAgain(cookie);
    expect([...whereTo(response), code]).toEqual([303, "/_runegate/code?note=sent_again", ""]);
  });
});

describe("asked for again while the cooldown runs", () => {
  let limited: TestGateway;
  let asked: AskedFor;
  beforeEach(async () => {
    limited = await another({ env: { RUNEGATE_RATE_LIMIT_ENABLED: "true" } });
    asked = await askFor(limited);
  });
  const ask = (cookie: string) => send("/_runegate/login", { email: "ada@example.org" }, cookie, limited);

  test("by the browser that has it under way, the page says that it is coming", async () => {
    const again = await ask(asked.cookie);
    expect(whereTo(again)).toEqual([303, "/_runegate/code?note=on_its_way"]);
    const html = await (await visit("/_runegate/code?note=on_its_way", asked.cookie, limited)).text();
    expect(html).toContain(`role="status">The mail is on its way already.`);
  });

  test("by any other, it is refused", async () => {
    expect((await ask("")).status).toBe(429);
    const eve = await askFor(limited, "eve@example.org");
    expect((await ask(eve.cookie)).status).toBe(429);
    expect((await postLogin(limited, { email: "ada@example.org" }, { Cookie: asked.cookie })).status).toBe(
      429,
    );
  });

  test("with the code used up, the page says when", async () => {
    for (let guess = 0; guess < 5; guess++) {
      await redeem(limited, { code: other(asked.code) }, { Cookie: asked.cookie });
    }
    const again = await ask(asked.cookie);
    expect(again.status).toBe(429);
    const html = await again.text();
    expect(html).toContain("This code is used up.");
    expect(html).toContain("Try again in 5 minutes.");
  });
});

describe("a link that was used", () => {
  test("is told from others by when and where, and leads on whoever is signed in with it (S2)", async () => {
    const { cookie, token } = await askFor(gateway, "ada@example.org", { next: "/wanted" });
    clock.advance(9 * MINUTE);
    const headers = { ...NAVIGATION, Cookie: cookie, "User-Agent": FIREFOX };
    const session = sessionOf(await openLink(gateway, token, headers)) ?? "";
    expect(whereTo(await openLink(gateway, token, { ...headers, Cookie: session }))).toEqual([
      302,
      "/wanted",
    ]);

    const elsewhere = await openLink(gateway, token, NAVIGATION);
    expect(elsewhere.status).toBe(401);
    const html = await elsewhere.text();
    expect(html).toContain("<h1>This link has been used</h1>");
    expect(html).toContain(`data-short>6:24 PM UTC</time> on Firefox on Windows.`);
    expect(html).toContain(">Send another to ada@example.org</button>");
    expect(await said(await openLink(gateway, token))).toMatchObject({
      error: "invalid_token",
      reason: "used",
    });
  });

  test("opened by somebody else, says so, with a way to switch (S2)", async () => {
    const eve = await gateway.signIn("eve@example.org");
    const { token } = await askFor(gateway, "ada@example.org");
    await redeem(gateway, { token });
    const html = await (await openLink(gateway, token, { ...NAVIGATION, Cookie: eve })).text();
    expect(html).toContain("You are signed in as <strong>eve@example.org</strong>.");
    expect(html).toContain(">Switch to ada@example.org</button>");
  });

  test("in the browser that waits for it, the page says so where it was not signed in", async () => {
    const { cookie, token } = await askFor(gateway);
    await redeem(gateway, { token }, { "User-Agent": FIREFOX });
    expect(await codePage(cookie)).toContain("on Firefox on Windows. Each link works once.");
    expect(await stateOf(cookie)).toMatchObject({ state: "used" });
  });
});

describe("a good link", () => {
  test("leads on whoever is signed in already, and stays unspent", async () => {
    const ada = await gateway.signIn("ada@example.org");
    const { token } = await askFor(gateway, "ada@example.org", { next: "/wanted" });
    expect(whereTo(await openLink(gateway, token, { ...NAVIGATION, Cookie: ada }))).toEqual([302, "/wanted"]);
    expect((await redeem(gateway, { token })).status).toBe(200);
  });

  test("of somebody else than is signed in asks first, and says what ends", async () => {
    const eve = await gateway.signIn("eve@example.org");
    const { token } = await askFor(gateway, "ada@example.org");
    const html = await (await openLink(gateway, token, { ...NAVIGATION, Cookie: eve })).text();
    expect(html).toContain("You are signed in as <strong>eve@example.org</strong> here.");
    expect(html).toContain('<button type="submit" autofocus>');
  });
});

describe("a link that has expired", () => {
  test("has a button that asks again for the address and the page, through the limits (S7)", async () => {
    const limited = await another({
      env: { RUNEGATE_RATE_LIMIT_ENABLED: "true", RUNEGATE_EMAIL_COOLDOWN: "900" },
    });
    const { cookie, token } = await askFor(limited, "ada@example.org", { next: "/wanted" });
    clock.advance(15 * MINUTE);
    const html = await (await openLink(limited, token, NAVIGATION)).text();
    expect(html).toContain("<h1>This link has expired</h1>");
    expect(html).toContain(`data-short>6:30 PM UTC</time>`);
    // Of the form of the page, not of the menu of languages.
    const [, main = ""] = /<main>(.*)<\/main>/s.exec(html) ?? [];
    const fields = Object.fromEntries(
      [...main.matchAll(/name="(\w+)" value="([^"]*)"/g)].map(([, name = "", value = ""]) => [name, value]),
    );
    expect(fields).toEqual({ email: "ada@example.org", next: "/wanted" });
    expect(await (await visit("/_runegate/code", cookie, limited)).text()).toContain(
      ">Send another to ada@example.org</button>",
    );
    const again = await send("/_runegate/login", fields, "", limited);
    expect(whereTo(again)).toEqual([303, "/_runegate/code"]);
    // Through the cooldown: with the login that has just begun, and then from elsewhere.
    expect((await send("/_runegate/login", fields, cookie, limited)).status).toBe(429);
    await limited.gateway.outbox.runDue();
    const fresh = new URL(limited.mailbox.mails()[0]?.link ?? "").searchParams.get("token") ?? "";
    const opened = await openLink(limited, fresh, { ...NAVIGATION, Cookie: cookieHeader(again) });
    expect(whereTo(opened)).toEqual([302, "/wanted"]);
    expect(await said(await openLink(limited, token))).toMatchObject({ status: 401, reason: "expired" });
  });

  test("is not ours if its signature is not", async () => {
    const { token } = await askFor(gateway);
    const html = await (await openLink(gateway, `${token.slice(0, -4)}AAAA`, NAVIGATION)).text();
    expect(html).toContain("<h1>This is not a link of ours</h1>");
    expect(html).not.toContain("ada@example.org");
    expect(await said(await openLink(gateway, "x"))).toMatchObject({ reason: "not_ours" });
  });
});

describe("the length of a link", () => {
  const LONG = `/reports?${"q=0123456789&".repeat(230)}end`.slice(0, 2_000);

  test.each([
    ["of 3,000 characters", `/${"a".repeat(2_999)}`, "/", "/"],
    ["of 2,000", LONG, LONG, "/"],
    ["of 201", `/${"a".repeat(200)}`, `/${"a".repeat(200)}`, "/"],
    ["that is short", "/wanted?a=1", "/wanted?a=1", "/wanted?a=1"],
  ])("is at most 600 whatever next was: %s (S6)", async (_, next, here, elsewhere) => {
    const public_ = await another({ env: { RUNEGATE_BASE_URL: "https://gate.lab.example.org" } });
    const send_ = () =>
      askFor(public_, "ada.lovelace@lab.example.org", { next, headers: { "User-Agent": FIREFOX } });
    const { mail, token, cookie } = await send_();
    expect(mail.link?.length).toBeLessThanOrEqual(600);
    expect((await openLink(public_, token, { ...NAVIGATION, Cookie: cookie })).headers.get("location")).toBe(
      here,
    );
    const second = await send_();
    const body = new URLSearchParams({ token: second.token });
    const headers = { ...NAVIGATION, Origin: "https://gate.lab.example.org" };
    const opened = await fetch(`${public_.url}/_runegate/auth`, {
      ...{ method: "POST", redirect: "manual", headers, body },
    });
    expect(whereTo(opened)).toEqual([303, elsewhere]);
    // Nor is it lost with a code.
    const third = await send_();
    const typed = await redeem(public_, { code: third.code }, { Cookie: third.cookie });
    expect(await said(typed)).toMatchObject({ next: here });
  });
});

describe("too many attempts are answered", () => {
  let limited: TestGateway;
  let asked: AskedFor;
  beforeEach(async () => {
    limited = await another({ env: { RUNEGATE_RATE_LIMIT_ENABLED: "true", RUNEGATE_TOKEN_RATE_LIMIT: "1" } });
    asked = await askFor(limited);
    await openLink(limited, "x", NAVIGATION);
  });
  const WAIT = "Too many requests. Try again in 60 seconds.";

  test("with the page of the code", async () => {
    const answer = await send("/_runegate/auth", { code: asked.code }, asked.cookie, limited);
    expect([answer.status, answer.headers.get("retry-after")]).toEqual([429, "60"]);
    const html = await answer.text();
    for (const part of [WAIT, 'name="code"', "ada@example.org"]) expect(html).toContain(part);
  });

  test("with the page that asks to confirm", async () => {
    const html = await (await send("/_runegate/auth", { token: asked.token }, "", limited)).text();
    for (const part of [WAIT, `name="token" value="${asked.token}"`]) expect(html).toContain(part);
  });

  test("with a page that opens the link again by itself", async () => {
    const answer = await openLink(limited, asked.token, { ...NAVIGATION, Cookie: asked.cookie });
    expect([answer.status, answer.headers.get("refresh")]).toEqual([429, "60"]);
    const html = await answer.text();
    for (const part of [WAIT, ">Try again</a>"]) expect(html).toContain(part);
  });

  test("and never without a way on", async () => {
    for (const fields of [{ code: "1234 5678" }, { token: "x" }]) {
      const html = await (await send("/_runegate/auth", fields, "", limited)).text();
      for (const part of [WAIT, ">Ask for a new link</a>"]) expect(html).toContain(part);
    }
  });
});
