import { describe, expect, test } from "bun:test";
import { SignJWT } from "jose";
import { MailError } from "../../src/mail/mailer.ts";
import { createKeys } from "../../src/secret/keys.ts";
import { createMemoryStore } from "../../src/store/memory.ts";
import { StoreFull, StoreUnavailable } from "../../src/store/records.ts";
import type { Store } from "../../src/store/store.ts";
import { testClock } from "../support/clock.ts";
import { startGateway, type TestGateway, type TestGatewaySettings } from "../support/gateway.ts";
import { intercepted } from "../support/store.ts";
import { type AuditLine, askFor, auditOf, openLink, postLogin, redeem } from "./support.ts";

/** One event for everything an operator may have to explain later, with the exact reason (CONTRACT section 10). */

const SECRET = "s".repeat(64);
const client = "198.51.100.1";
const FROM = { "X-Forwarded-For": client };
const email = "ada@example.org";
const session = expect.stringMatching(/^[\w-]{8}$/);

type Case = readonly [
  what: string,
  settings: TestGatewaySettings & { readonly env?: Record<string, string> },
  act: (gateway: TestGateway) => Promise<unknown>,
  events: readonly AuditLine[],
];

const asked = { event: "login_requested", email, client, outcome: "queued" };
const refused = (reason: string, who?: string) => ({
  event: "redemption_refused",
  client,
  reason,
  ...(who === undefined ? {} : { email: who }),
});
const ask = (gateway: TestGateway) => askFor(gateway, email, { headers: FROM });

/** A store that answers so to a mail that is to be kept. */
function withoutMails(answer: () => unknown): Store {
  const store = createMemoryStore({ clock: testClock() });
  return intercepted(store, ({ of, verb, go }) => (of === "mail" && verb === "add" ? answer() : go()));
}

/** A login token under this instance's key, with claims of the test's choice. */
function tokenWith(
  gateway: TestGateway,
  header: { alg: string; typ: string },
  claims: Record<string, unknown>,
): Promise<string> {
  const bytes = new TextEncoder().encode(SECRET);
  const keys = createKeys({
    jwtSecret: bytes,
    jwtSecretPrevious: undefined,
    sessionKey: bytes,
    sessionKeyPrevious: undefined,
  });
  const now = Math.floor(Date.now() / 1000);
  return new SignJWT({
    iss: "runegate",
    aud: gateway.url,
    sub: email,
    jti: "j",
    iat: now,
    exp: now + 60,
    next: "/",
    from: "x",
    ...claims,
  })
    .setProtectedHeader(header)
    .sign(keys.for("login link", "jwt").current);
}
const HEADER = { alg: "HS256", typ: "runegate-login+jwt" };
const withToken =
  (header: { alg: string; typ: string }, claims: Record<string, unknown>) => async (gateway: TestGateway) =>
    openLink(gateway, await tokenWith(gateway, header, claims), FROM);

const CASES: readonly Case[] = [
  ["a link asked for", {}, (gateway) => postLogin(gateway, { email }, FROM), [asked]],
  [
    "a link asked for by somebody who may not",
    { env: { RUNEGATE_ALLOW_ANY_EMAIL: "false", RUNEGATE_ALLOWED_EMAILS: "x@example.org" } },
    (gateway) => postLogin(gateway, { email }, FROM),
    [{ ...asked, outcome: "not_allowed" }],
  ],
  [
    "asking too often",
    { env: { RUNEGATE_RATE_LIMIT_ENABLED: "true", RUNEGATE_LOGIN_RATE_LIMIT: "1" } },
    async (gateway) => {
      await postLogin(gateway, { email }, FROM);
      await postLogin(gateway, { email: "bob@example.org" }, FROM);
    },
    [asked, { ...asked, email: "bob@example.org", outcome: "rate_limited" }],
  ],
  [
    "asking within the cooldown",
    { env: { RUNEGATE_RATE_LIMIT_ENABLED: "true" } },
    async (gateway) => {
      await postLogin(gateway, { email }, FROM);
      await postLogin(gateway, { email }, FROM);
    },
    [asked, { ...asked, outcome: "cooldown" }],
  ],
  [
    "a full outbox",
    {
      stores: withoutMails(() => {
        throw new StoreFull("no more");
      }),
    },
    (gateway) => postLogin(gateway, { email }, FROM),
    [{ ...asked, outcome: "queue_full" }],
  ],
  [
    "a store that takes no mail",
    {
      stores: withoutMails(() => Promise.reject(new StoreUnavailable("the disk is full"))),
    },
    async (gateway) => {
      for (const who of [email, "stranger@no.example"]) {
        expect((await postLogin(gateway, { email: who }, FROM)).status).toBe(503);
      }
    },
    [
      { ...asked, outcome: "store_unavailable" },
      { ...asked, email: "stranger@no.example", outcome: "store_unavailable" },
    ],
  ],
  [
    "a mail that is refused for good",
    {
      mailer: {
        send: () =>
          Promise.reject(
            new MailError({
              reason: "550 no such mailbox",
              remedy: "",
              permanent: true,
              misconfigured: false,
            }),
          ),
      },
    },
    async (gateway) => {
      await postLogin(gateway, { email }, FROM);
      await gateway.gateway.outbox.runDue();
    },
    [asked, { event: "mail_refused", email, mail: expect.any(String), reason: "550 no such mailbox" }],
  ],
  [
    "a link redeemed",
    {},
    async (gateway) => {
      const { token, cookie } = await ask(gateway);
      await openLink(gateway, token, { Cookie: cookie, ...FROM });
    },
    [asked, { event: "redeemed", email, client, by: "link", session }],
  ],
  [
    "a code redeemed",
    {},
    async (gateway) => {
      const { code, cookie } = await ask(gateway);
      await redeem(gateway, { code }, { Cookie: cookie, ...FROM });
    },
    [asked, { event: "redeemed", email, client, by: "code", session }],
  ],
  [
    "a link looked at",
    {},
    async (gateway) => {
      const { token } = await ask(gateway);
      await openLink(gateway, token, FROM);
    },
    [asked],
  ],
  [
    "a link used twice",
    {},
    async (gateway) => {
      const { token } = await ask(gateway);
      await redeem(gateway, { token }, FROM);
      await redeem(gateway, { token }, FROM);
    },
    [asked, { event: "redeemed", email, client, by: "link", session }, refused("spent", email)],
  ],
  ["something that is no token", {}, (gateway) => openLink(gateway, "x", FROM), [refused("token_malformed")]],
  [
    "a tampered token",
    {},
    async (gateway) => {
      const { token } = await ask(gateway);
      await openLink(gateway, `${token.slice(0, -6)}AAAAAA`, FROM);
    },
    [asked, refused("token_wrong_signature")],
  ],
  [
    "alg none",
    {},
    (gateway) => openLink(gateway, `${Buffer.from('{"alg":"none"}').toString("base64url")}.e30.`, FROM),
    [refused("token_wrong_algorithm")],
  ],
  [
    "a token of another kind",
    {},
    withToken({ ...HEADER, typ: "runegate-other+jwt" }, {}),
    [refused("token_wrong_type")],
  ],
  ["a token of somebody else", {}, withToken(HEADER, { iss: "x" }), [refused("token_wrong_issuer")]],
  [
    "a token for somebody else",
    {},
    withToken(HEADER, { aud: "https://x.example" }),
    [refused("token_wrong_audience")],
  ],
  ["an expired token", {}, withToken(HEADER, { exp: 1 }), [refused("token_expired")]],
  ["a token with odd claims", {}, withToken(HEADER, { sub: "x" }), [refused("token_claims")]],
  [
    "a login cookie as link",
    {},
    async (gateway) => {
      const { cookie } = await ask(gateway);
      await openLink(gateway, cookie.slice("runegate_login=".length), FROM);
    },
    [asked, refused("token_wrong_signature")],
  ],
  [
    "a wrong code",
    {},
    async (gateway) => {
      const { cookie } = await ask(gateway);
      await redeem(gateway, { code: "2222-2222" }, { Cookie: cookie, ...FROM });
    },
    [asked, refused("wrong_code", email)],
  ],
  [
    "a code without the cookie",
    {},
    async (gateway) => {
      const { code } = await ask(gateway);
      await redeem(gateway, { code }, FROM);
    },
    [asked, refused("no_login_cookie")],
  ],
  [
    "a sixth try at a code",
    {},
    async (gateway) => {
      const { code, cookie } = await ask(gateway);
      for (let guess = 0; guess < 5; guess++)
        await redeem(gateway, { code: "2222-2222" }, { Cookie: cookie, ...FROM });
      await redeem(gateway, { code }, { Cookie: cookie, ...FROM });
    },
    [
      asked,
      ...Array.from({ length: 5 }, () => refused("wrong_code", email)),
      refused("too_many_tries", email),
    ],
  ],
  [
    "redeeming too often",
    { env: { RUNEGATE_RATE_LIMIT_ENABLED: "true", RUNEGATE_TOKEN_RATE_LIMIT: "1" } },
    async (gateway) => {
      await openLink(gateway, "x", FROM);
      await openLink(gateway, "x", FROM);
    },
    [refused("token_malformed"), refused("rate_limited")],
  ],
  [
    "a form from another site",
    {},
    (gateway) =>
      fetch(`${gateway.url}/_runegate/logout`, {
        method: "POST",
        headers: { Origin: "https://evil.example", ...FROM },
      }),
    [{ event: "access_refused", client, reason: "cross_site", path: "/_runegate/logout" }],
  ],
  [
    "a WebSocket from another site",
    {},
    async (gateway) => {
      const cookie = await gateway.signIn(email);
      await fetch(`${gateway.url}/ws?x=y`, {
        headers: {
          Cookie: cookie,
          Origin: "https://evil.example",
          Connection: "Upgrade",
          Upgrade: "websocket",
          "Sec-WebSocket-Version": "13",
          "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
          ...FROM,
        },
      });
    },
    [
      { ...asked, client: "127.0.0.1" },
      { event: "redeemed", email, client: "127.0.0.1", by: "link", session },
      { event: "access_refused", email, client, reason: "origin", path: "/ws" },
    ],
  ],
  [
    "a logout",
    {},
    async (gateway) => {
      const cookie = await gateway.signIn(email);
      await fetch(`${gateway.url}/_runegate/logout`, { method: "POST", headers: { Cookie: cookie } });
      await fetch(`${gateway.url}/_runegate/logout`, { method: "POST", headers: { Cookie: cookie } });
    },
    [
      { ...asked, client: "127.0.0.1" },
      { event: "redeemed", email, client: "127.0.0.1", by: "link", session },
      { event: "logged_out", email, session },
    ],
  ],
];

describe("the audit has exactly one event for", () => {
  test.each(CASES.map(([what, settings, act, events]) => [what, { settings, act, events }] as const))(
    "%s",
    async (_, { settings, act, events }) => {
      const env = { RUNEGATE_LOG_FORMAT: "json", RUNEGATE_JWT_SECRET: SECRET, ...settings.env };
      const gateway = await startGateway({ ...settings, env });
      try {
        await act(gateway);
        expect(auditOf(gateway)).toEqual([...events]);
      } finally {
        await gateway.stop();
      }
    },
  );
});
