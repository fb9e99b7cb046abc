import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { parseClients } from "../../src/config/clients.ts";
import { NOT_ME_LINK } from "../../src/devices/ticket.ts";
import { policyWith, type Sources } from "../../src/edge/page-policy.ts";
import type { Address } from "../../src/identity/address.ts";
import { createTickets } from "../../src/secret/ticket.ts";
import { HCAPTCHA, type Provider, type StandIns, startStandIns, TURNSTILE } from "../captcha/stand-ins.ts";
import { offerOf, solved } from "../captcha/support.ts";
import { NAVIGATION, openLink, postLogin } from "../login/support.ts";
import { CALLBACK, clientBlock } from "../provider/support.ts";
import { testClock } from "../support/clock.ts";
import { cookieHeader, startGateway, type TestGateway } from "../support/gateway.ts";

/** The Content-Security-Policy of each page of the product, as it is sent, whatever stands before asking for a mail. */

const EVERY =
  "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; connect-src 'self'; " +
  "form-action 'self'; base-uri 'none'; frame-ancestors 'none'";
/** Mails have styles of their own, in frames that inherit the policy. */
const MAILBOX = EVERY.replace("style-src 'self'", "style-src 'self' 'unsafe-inline'");
const HOSTS = "https://hcaptcha.com https://*.hcaptcha.com";
const LOGIN = {
  off: EVERY,
  // Workers go by `script-src` (CSP 3, worker-src fallback).
  work: EVERY,
  turnstile:
    "default-src 'none'; style-src 'self'; script-src 'self' https://challenges.cloudflare.com; img-src 'self'; " +
    "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'; " +
    "frame-src https://challenges.cloudflare.com",
  hcaptcha:
    `default-src 'none'; style-src 'self' ${HOSTS}; script-src 'self' ${HOSTS}; img-src 'self'; ` +
    `connect-src 'self' ${HOSTS}; form-action 'self'; base-uri 'none'; frame-ancestors 'none'; frame-src ${HOSTS}`,
};

type Kind = keyof typeof LOGIN;

const PROVIDERS: Partial<Record<Kind, Provider>> = { turnstile: TURNSTILE, hcaptcha: HCAPTCHA };

/** A browser that does what a page takes to be reached. */
type Visitor = {
  readonly port: number;
  get(path: string, cookie?: string): Promise<Response>;
  post(path: string, fields: Readonly<Record<string, string>>, cookie?: string): Promise<Response>;
  ask(next?: string): Promise<{ readonly cookie: string; readonly token: string }>;
  signIn(): Promise<string>;
  /** Signed in as an administrator who acts as somebody else. */
  act(): Promise<string>;
  notMe(): string;
  endSessions(): Promise<void>;
};

type Page = readonly [name: string, file: string, reach: (visitor: Visitor) => Promise<Response>];

const { clients: CLIENTS } = parseClients(clientBlock("app", "device = true"), "clients.toml", undefined);
const AUTHORIZE = new URLSearchParams({
  ...{ client_id: "app", redirect_uri: CALLBACK, response_type: "code", scope: "openid" },
  prompt: "select_account",
});

const PAGES: readonly Page[] = [
  ["the login page", "login/routes.ts", ({ get }) => get("/_runegate/login")],
  ["the login page by an older name", "login/routes.ts", ({ get }) => get("/login")],
  [
    "the login page after a wrong address",
    "login/routes.ts",
    ({ post }) => post("/_runegate/login", { email: "x" }),
  ],
  [
    "a login under way",
    "login/under-way.ts",
    async ({ get, ask }) => get("/_runegate/code", (await ask()).cookie),
  ],
  [
    "a link in another browser",
    "login/redeem.ts",
    async ({ get, ask }) => get(`/_runegate/auth?token=${(await ask()).token}`),
  ],
  ["a link that is none", "login/redeem.ts", ({ get }) => get("/_runegate/auth?token=a.b.c")],
  [
    "the way to another host",
    "login/redeem.ts",
    async ({ post, ask, port }) =>
      post("/_runegate/auth", { token: (await ask(`http://other.test:${port}/x`)).token }),
  ],
  ["signing out", "login/logout.ts", async ({ get, signIn }) => get("/_runegate/logout", await signIn())],
  [
    "signed out",
    "login/logout.ts",
    async ({ post, signIn }) => post("/_runegate/logout", {}, await signIn()),
  ],
  ["the applications", "account/handlers.ts", async ({ get, signIn }) => get("/_runegate/", await signIn())],
  [
    "the account",
    "account/handlers.ts",
    async ({ get, signIn }) => get("/_runegate/account", await signIn()),
  ],
  ["API keys", "keys/visit.ts", async ({ get, signIn }) => get("/_runegate/keys", await signIn())],
  [
    "a wrong API key",
    "keys/visit.ts",
    async ({ post, signIn }) => post("/_runegate/keys", { action: "create" }, await signIn()),
  ],
  [
    "a form that was kept",
    "kept-post/handlers.ts",
    async ({ get, post, signIn, endSessions }) => {
      const before = await signIn();
      await endSessions();
      const kept = cookieHeader(await post("/notes", { text: "x" }, before));
      return get("/_runegate/kept", `${kept}; ${await signIn()}`);
    },
  ],
  [
    "this was not me",
    "devices/handlers.ts",
    async ({ get, notMe }) => get(`/_runegate/not-me?token=${notMe()}`),
  ],
  [
    "a screen that waits for a phone",
    "approval/handlers.ts",
    async ({ get, post }) => get("/_runegate/phone", cookieHeader(await post("/_runegate/phone", {}))),
  ],
  [
    "the phone that is to approve it",
    "approval/handlers.ts",
    async ({ get, signIn }) => get("/_runegate/approve", await signIn()),
  ],
  [
    "as whom an administrator acts",
    "impersonation/handlers.ts",
    async ({ get, act }) => get("/_runegate/as", await act()),
  ],
  [
    "that an administrator acts as nobody any more",
    "impersonation/handlers.ts",
    async ({ post, act }) => post("/_runegate/as/end", {}, await act()),
  ],
  [
    "the pages for administrators",
    "admin/handlers.ts",
    async ({ get, act }) => get("/_runegate/admin", await act()),
  ],
  [
    "who asks for access",
    "grants/visit.ts",
    async ({ get, signIn }) => get("/_runegate/requests", await signIn()),
  ],
  [
    "with which account somebody signs in at an application",
    "provider/authorize.ts",
    async ({ get, signIn }) => get(`/_runegate/oidc/authorize?${AUTHORIZE}`, await signIn()),
  ],
  [
    "the code that a program shows",
    "provider/device.ts",
    async ({ get, signIn }) => get("/_runegate/oidc/device", await signIn()),
  ],
  [
    "signing out, asked by an application",
    "provider/end-session.ts",
    async ({ get, signIn }) => get("/_runegate/oidc/end_session", await signIn()),
  ],
  ["the mailbox", "mail/routes.ts", ({ get }) => get("/_runegate/mailbox")],
  [
    "the API's document",
    "api/document.ts",
    async ({ get, signIn }) => get("/_runegate/api/docs", await signIn()),
  ],
  ["what is not there", "edge/answer.ts", ({ get }) => get("/_runegate/nothing")],
  ["what may not be done", "edge/answer.ts", ({ post }) => post("/_runegate/health", {})],
  ["an application that is away", "edge/answer.ts", async ({ get, signIn }) => get("/x", await signIn())],
];

describe.each(Object.keys(LOGIN) as Kind[])("with RUNEGATE_CAPTCHA=%s", (kind) => {
  const provider = PROVIDERS[kind];
  const clock = testClock();
  let services: StandIns;
  let gateway: TestGateway;
  let visitor: Visitor;
  let count = 0;

  beforeAll(async () => {
    services = startStandIns(clock);
    gateway = await startGateway({
      clock,
      clients: CLIENTS,
      fetch: services.fetch,
      routes: `[groups]\nadmins = ["ada@example.org"]\n${["app", "other"]
        .map(
          (name) =>
            `[[routes]]\nname = "${name}"\n${name === "app" ? "" : 'host = "other.test"\n'}target = "http://127.0.0.1:1"\nimpersonation = "allow"\n`,
        )
        .join("\n")}`,
      env: {
        RUNEGATE_CAPTCHA: kind,
        ...(provider && {
          RUNEGATE_CAPTCHA_SITE_KEY: provider.siteKey,
          RUNEGATE_CAPTCHA_SECRET: provider.secret,
        }),
        RUNEGATE_API_KEYS: "true",
        RUNEGATE_APPROVAL: "true",
        RUNEGATE_DYNAMIC_USERS: "true",
      },
    });
    const { url } = gateway;
    const captcha = async () => {
      if (provider !== undefined) return services.issue(provider);
      return kind === "work" ? solved(await offerOf(gateway)) : "";
    };
    visitor = {
      port: gateway.port,
      get: (path, cookie = "") =>
        fetch(url + path, { redirect: "manual", headers: { ...NAVIGATION, Cookie: cookie } }),
      post: (path, fields, cookie = "") =>
        fetch(url + path, {
          method: "POST",
          redirect: "manual",
          headers: { ...NAVIGATION, Cookie: cookie, Origin: url, Referer: `${url}/form` },
          body: new URLSearchParams(fields),
        }),
      async ask(next = "") {
        const email = count++ % 2 === 0 ? "ada@example.org" : "ADA@example.org";
        const before = new Set(gateway.mailbox.mails());
        const asked = await postLogin(gateway, { email, next, captcha: await captcha() });
        expect(asked.status).toBe(200);
        await gateway.gateway.outbox.runDue();
        const mail = gateway.mailbox.mails().find((one) => !before.has(one) && one.link?.includes("/auth?"));
        return {
          cookie: cookieHeader(asked),
          token: new URL(mail?.link ?? "").searchParams.get("token") ?? "",
        };
      },
      async signIn() {
        const { cookie, token } = await visitor.ask();
        return cookieHeader(await openLink(gateway, token, { ...NAVIGATION, Cookie: cookie }));
      },
      async act() {
        const session = await visitor.signIn();
        const { sessions, impersonations, actingCookie } = gateway.gateway;
        const email = "ada@example.org" as Address;
        const [{ id: login } = { id: "" }] = (await sessions.list(email)).slice(-1);
        const one = await impersonations.start(
          { email, login, client: "127.0.0.1" },
          { email: "bob@example.org", route: "app", reason: "to see the page" },
        );
        return `${session}; ${actingCookie.line(one.id, url).split(";", 1)[0]}`;
      },
      notMe() {
        const tickets = createTickets(gateway.gateway.keys, { audience: url, clock });
        const times = { issuedAt: clock.now(), expiresAt: clock.now() + 60_000 };
        return tickets.sign(NOT_ME_LINK, {
          jti: "j",
          ...times,
          email: "ada@example.org" as Address,
          device: "d",
        });
      },
      async endSessions() {
        for (const { id } of await gateway.gateway.sessions.list()) await gateway.gateway.sessions.end(id);
      },
    };
  });
  afterAll(async () => {
    await gateway.stop();
    services.stop();
  });

  test.each([...PAGES])("%s", async (name, file, reach) => {
    const response = await reach(visitor);
    expect(await response.text()).toStartWith("<!doctype html>");
    const expected = file === "login/routes.ts" ? LOGIN[kind] : file === "mail/routes.ts" ? MAILBOX : EVERY;
    expect([name, response.headers.get("content-security-policy")]).toEqual([name, expected]);
  });
});

test("where a service is asked only under pressure, the login page names it only then", async () => {
  const clock = testClock();
  const gateway = await startGateway({
    clock,
    env: {
      ...{ RUNEGATE_CAPTCHA: "turnstile", RUNEGATE_CAPTCHA_WHEN: "pressure" },
      RUNEGATE_CAPTCHA_SITE_KEY: TURNSTILE.siteKey,
      RUNEGATE_CAPTCHA_SECRET: TURNSTILE.secret,
      ...{ RUNEGATE_RATE_LIMIT_ENABLED: "true", RUNEGATE_LOGIN_RATE_LIMIT: "4" },
    },
  });
  const seen: (string | null)[] = [];
  for (const email of ["a@example.org", "b@example.org"]) {
    const { headers } = await fetch(`${gateway.url}/_runegate/login`, { headers: NAVIGATION });
    seen.push(headers.get("content-security-policy"));
    await postLogin(gateway, { email });
  }
  expect(seen).toEqual([EVERY, LOGIN.turnstile]);
  await gateway.stop();
});

test("no page is missing above, and no other has a policy of its own", () => {
  const source = join(import.meta.dir, "../../src");
  const files = [...new Bun.Glob("**/*.ts").scanSync(source)].filter((file) => !file.startsWith("sample/"));
  const textOf = (file: string) => readFileSync(join(source, file), "utf8");
  const drawing = files.filter((file) => /(?<!function )\bpage\(/.test(textOf(file)));
  expect(drawing.toSorted()).toEqual([...new Set(PAGES.map(([, file]) => file))].sort());
  expect(files.filter((file) => /\bpolicyWith\(/.test(textOf(file))).toSorted()).toEqual([
    "edge/page-policy.ts",
    "login/routes.ts",
    "mail/routes.ts",
  ]);
  // The second is of the operator's own logo, which is no page.
  expect(files.filter((file) => textOf(file).includes('"Content-Security-Policy"')).toSorted()).toEqual([
    "brand/routes.ts",
    "edge/answer.ts",
  ]);
});

test.each<[readonly Sources[], string]>([
  [[], EVERY],
  [[{}], EVERY],
  [
    [{ "frame-src": ["https://a.example"] }, { "frame-src": ["https://b.example"] }],
    `${EVERY}; frame-src https://a.example https://b.example`,
  ],
  [
    [{ "script-src": ["https://a.example"] }],
    EVERY.replace("script-src 'self'", "script-src 'self' https://a.example"),
  ],
])("%j widens what it names, and nothing else", (sources, policy) =>
  expect(policyWith(sources)).toBe(policy),
);
