import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { MailError } from "../../src/mail/mailer.ts";
import { testClock } from "../support/clock.ts";
import { startGateway, type TestGateway } from "../support/gateway.ts";
import { askFor, auditOf, NAVIGATION, openLink, postLogin, redeem, said } from "./support.ts";

/** Asking for a link: everybody hears the same, and mail goes only to those who may sign in (CONTRACT section 2). */

let gateway: TestGateway;
beforeAll(async () => {
  gateway = await startGateway({
    clock: testClock(),
    env: {
      RUNEGATE_ALLOW_ANY_EMAIL: "false",
      RUNEGATE_ALLOWED_EMAILS: "ada@example.org,bob@partner.example",
      RUNEGATE_ALLOWED_DOMAINS: "allowed.example",
      RUNEGATE_LOG_FORMAT: "json",
      RUNEGATE_SECURE_COOKIE: "true",
    },
  });
});
afterAll(() => gateway.stop());

/** What a stranger can see of an answer: everything but what must differ every time. */
async function visible(response: Response, email: string) {
  return {
    status: response.status,
    headers: [...response.headers].filter(([name]) => name !== "set-cookie" && name !== "date").sort(),
    cookies: response.headers.getSetCookie().map((line) => line.replace(/=[\w.-]+/, "=<a token>")),
    // The page shows the address that was typed.
    body: (await response.text()).replaceAll(email, "<address>").replace(/"request_id":"[^"]*"/, ""),
  };
}

/** Of one length each, so that lengths can be compared too. */
const STRANGERS = [
  "eve@example.org",
  "ada@example.com",
  "adx@example.org",
  "a+b@example.org",
  "ada@sub.allowed",
];

describe("the answer is the same for", () => {
  test.each([
    ["JSON", {}],
    ["a form in a browser", NAVIGATION],
  ])("an allowed address and for one that is not, or that nobody has, by %s", async (how, fields) => {
    const allowed = await postLogin(gateway, { email: "ada@example.org" }, fields);
    const expected = await visible(allowed, "ada@example.org");
    expect(expected.status).toBe(how === "JSON" ? 200 : 303);
    expect(expected.cookies).toEqual([
      "__Host-runegate_login=<a token>; Path=/; HttpOnly; SameSite=Lax; Max-Age=4500; Secure",
    ]);
    await gateway.gateway.outbox.runDue();
    const mails = gateway.mailbox.mails().length;
    for (const email of STRANGERS) {
      const answer = await postLogin(gateway, { email }, fields);
      const seen = await visible(answer, email);
      expect({ email, ...seen }).toEqual({ email, ...expected });
      expect(answer.headers.getSetCookie()[0]?.length).toBe(allowed.headers.getSetCookie()[0]?.length);
    }
    await gateway.gateway.outbox.runDue();
    expect(gateway.mailbox.mails().length).toBe(mails);
  });

  test("a code typed for either of them", async () => {
    const ofAllowed = await postLogin(gateway, { email: "ada@example.org" });
    const ofStranger = await postLogin(gateway, { email: "eve@example.org" });
    const answers = await Promise.all(
      [ofAllowed, ofStranger].map(async (asked) => {
        const cookie = asked.headers.getSetCookie()[0]?.split(";", 1)[0] ?? "";
        return said(await redeem(gateway, { code: "ABCD-2345" }, { Cookie: cookie }));
      }),
    );
    expect(answers[0]).toEqual(answers[1] ?? {});
  });
});

test("the log and the audit say who may not sign in", async () => {
  await postLogin(gateway, { email: "Mallory@Example.org" });
  expect(auditOf(gateway)).toContainEqual({
    event: "login_requested",
    email: "mallory@example.org",
    client: "127.0.0.1",
    outcome: "not_allowed",
  });
});

describe("mail goes to", () => {
  test.each([
    ["an allowed address", "ada@example.org", true],
    ["the same in capitals, in its one form", "ADA@Example.ORG", true],
    ["an allowed domain", "x@allowed.example", true],
    ["a plus-tag of an allowed domain", "x+y@allowed.example", true],
    ["a sub-domain, not", "x@mail.allowed.example", false],
    ["a domain that ends in it, not", "x@notallowed.example", false],
    ["a domain that begins with it, not", "x@allowed.example.evil.example", false],
    ["another address beside an allowed one, not", "eve@partner.example", false],
  ])("%s", async (_, email, mailed) => {
    // What the tests before asked for is still on its way.
    await gateway.gateway.outbox.runDue();
    const before = new Set(gateway.mailbox.mails());
    expect((await postLogin(gateway, { email })).status).toBe(200);
    await gateway.gateway.outbox.runDue();
    const fresh = gateway.mailbox.mails().filter((mail) => !before.has(mail));
    expect(fresh.map(({ to }) => to)).toEqual(mailed ? [email.toLowerCase()] : []);
  });

  test.each([
    ["two addresses", "ada@example.org,eve@evil.example"],
    ["an address and a header", "ada@example.org\r\nBcc: eve@evil.example"],
    ["a display name", "Ada <ada@example.org>"],
    ["nothing", ""],
    ["a NUL", "ada@example.org\0"],
  ])("nobody for %s: 400, and nothing is set or limited", async (_, email) => {
    const before = gateway.mailbox.mails().length;
    const response = await postLogin(gateway, { email });
    expect(await said(response)).toEqual({
      status: 400,
      error: "invalid_email",
      message: expect.any(String),
    });
    expect(response.headers.getSetCookie()).toEqual([]);
    const page = await postLogin(gateway, { email, next: "/a" }, NAVIGATION);
    expect(page.status).toBe(400);
    expect(await page.text()).toContain('name="email"');
    await gateway.gateway.outbox.runDue();
    expect(gateway.mailbox.mails().length).toBe(before);
  });

  test("nobody at all without an email field", async () => {
    expect(await said(await postLogin(gateway, { mail: "ada@example.org" }))).toMatchObject({
      status: 400,
      error: "invalid_email",
    });
  });
});

test("what was typed wrong is shown again as text, never as markup", async () => {
  const html = await (
    await postLogin(gateway, { email: '"><script>alert(1)</script>', next: '/"><script>' }, NAVIGATION)
  ).text();
  expect(html).not.toContain("<script>");
  expect(html).toContain('value="&#34;&#62;&#60;script&#62;alert(1)&#60;/script&#62;"');
});

test("links are built from the base URL, whatever Host and forwarding headers say", async () => {
  for (const fields of [
    { Host: "evil.example" },
    { "X-Forwarded-Host": "evil.example", "X-Forwarded-Proto": "https", "X-Forwarded-Prefix": "/evil" },
    { Forwarded: "host=evil.example" },
  ]) {
    const { mail } = await askFor(gateway, "ada@example.org", { headers: fields });
    expect(mail.link).toStartWith(`${gateway.url}/_runegate/auth?token=`);
    expect(mail.text + mail.html).not.toContain("evil");
  }
});

test("the user agent reaches the mail as one of a few words only", async () => {
  const { mail } = await askFor(gateway, "ada@example.org", {
    headers: { "User-Agent": '<img src=x> Firefox/1 "evil.example"' },
  });
  expect(mail.text + mail.html).not.toContain("evil");
  expect(mail.text + mail.html).toContain("Firefox");
});

test("every request is a link of its own: new id, new code, new cookie", async () => {
  const [one, two] = [await askFor(gateway), await askFor(gateway)];
  expect(one.token).not.toBe(two.token);
  expect(one.code).not.toBe(two.code);
  expect(one.cookie).not.toBe(two.cookie);
  // The first is as good as the second: asking again must not kill what is under way.
  expect((await openLink(gateway, one.token, { Cookie: one.cookie })).status).toBe(302);
  expect((await openLink(gateway, two.token, { Cookie: two.cookie })).status).toBe(302);
});

test("the answer does not wait for the mail server", async () => {
  const hanging = await startGateway({ mailer: { send: () => new Promise<never>(() => {}) } });
  const refusing = await startGateway({
    mailer: {
      send: () =>
        Promise.reject(new MailError({ reason: "no", remedy: "", permanent: true, misconfigured: false })),
    },
  });
  try {
    for (const here of [hanging, refusing]) {
      const answers = await Promise.all(
        Array.from({ length: 20 }, (_, index) => postLogin(here, { email: `a${index}@example.org` })),
      );
      expect(answers.map(({ status }) => status)).toEqual(Array<number>(20).fill(200));
    }
  } finally {
    // A mail server that never answers is not waited for here.
    void hanging.stop();
    await refusing.stop();
  }
});
