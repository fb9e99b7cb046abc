import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { decodeJwt } from "jose";
import type { Address } from "../../src/identity/address.ts";
import { createKnownAddresses } from "../../src/login/known.ts";
import { PASSKEYS, type Passkey } from "../../src/passkeys/record.ts";
import { createMemoryStore } from "../../src/store/memory.ts";
import { StoreUnavailable } from "../../src/store/records.ts";
import type { Store } from "../../src/store/store.ts";
import { auditOf, said, whoAmI } from "../login/support.ts";
import { until } from "../process/stage.ts";
import { type TestClock, testClock } from "../support/clock.ts";
import { cookieHeader, startGateway, type TestGateway } from "../support/gateway.ts";
import { startUpstream, type Upstream } from "../support/upstream.ts";
import { type Cbor, cbor, createAuthenticator, type SoftAuthenticator, type Twist } from "./authenticator.ts";
import { offerRegistration, offerSignIn, register, type Site, send, signInBy } from "./support.ts";

/** Passkeys over HTTP, with an authenticator in software: what a real one and a real browser cannot be brought to do. */

const ORIGIN = "https://app.test";
const SESSION = "runegate_id=";
const INVALID = {
  status: 401,
  error: "invalid_passkey",
  message: "This passkey does not sign in here. Try again, or have a link sent to you.",
};
const NOT_ADDED = {
  status: 400,
  error: "invalid_passkey",
  message: "This passkey cannot be added. Try again, or try another one.",
};

let upstream: Upstream;
let clock: TestClock;
let stores: Store;
let gateway: TestGateway;
let site: Site;
let key: SoftAuthenticator;

async function start(env: Readonly<Record<string, string>> = {}): Promise<void> {
  gateway = await startGateway({
    target: upstream.url,
    clock,
    stores,
    env: {
      RUNEGATE_BASE_URL: ORIGIN,
      RUNEGATE_PASSKEYS: "true",
      RUNEGATE_LOG_FORMAT: "json",
      RUNEGATE_JWT_SECRET: "1".repeat(64),
      RUNEGATE_SESSION_KEY: "9".repeat(128),
      RUNEGATE_IDENTITY_MODE: "jwt",
      ...env,
    },
  });
  site = { url: gateway.url, origin: ORIGIN };
}

async function restart(env: Readonly<Record<string, string>>): Promise<void> {
  await gateway.stop();
  await start(env);
}

/** A session of an address that has one passkey. */
async function enroll(email = "ada@example.org", authenticator = key): Promise<string> {
  const session = await gateway.signIn(email);
  expect(await said(await register(site, session, authenticator))).toEqual({
    status: 201,
    message: "Added.",
  });
  return session;
}

const lastAudit = () => auditOf(gateway).at(-1);
const keptOf = async (email: string) => stores.records(PASSKEYS).find({ where: { email }, most: 100 });

beforeEach(async () => {
  upstream = await startUpstream();
  clock = testClock();
  stores = createMemoryStore({ clock });
  key = createAuthenticator();
  await start();
});
afterEach(async () => {
  await gateway.stop();
  upstream.stop();
});

describe("what is offered", () => {
  test("to make one: discoverable, with the user verified, without attestation, for the base URL's host", async () => {
    const session = await gateway.signIn();
    const { publicKey } = await offerRegistration(site, session);
    expect(publicKey).toEqual({
      rp: { id: "app.test", name: "app.test" },
      user: {
        id: expect.stringMatching(/^[\w-]{43}$/),
        name: "ada@example.org",
        displayName: "ada@example.org",
      } as never,
      challenge: expect.stringMatching(/^[\w-]{43}$/),
      pubKeyCredParams: [-8, -7, -257].map((alg) => ({ type: "public-key", alg })),
      timeout: 300_000,
      excludeCredentials: [],
      authenticatorSelection: {
        residentKey: "required",
        requireResidentKey: true,
        userVerification: "required",
      },
      attestation: "none",
    } as never);
  });

  test("to make a second: the same user, and not on the same authenticator", async () => {
    const session = await enroll();
    const [kept] = await keptOf("ada@example.org");
    const { publicKey } = await offerRegistration(site, session);
    expect(publicKey.user.id).toBe(kept?.record.user ?? "");
    expect(publicKey).toMatchObject({ excludeCredentials: [{ type: "public-key", id: key.id }] } as never);
  });

  test("to sign in: nothing about anybody, under another challenge each time", async () => {
    await enroll();
    const offers = await Promise.all([offerSignIn(site), offerSignIn(site)]);
    const challenge = expect.stringMatching(/^[\w-]{43}$/);
    for (const { publicKey } of offers) {
      expect(publicKey).toEqual({
        ...{
          challenge,
          timeout: 300_000,
          rpId: "app.test",
          allowCredentials: [],
          userVerification: "required",
        },
      } as never);
    }
    expect(offers[0]?.publicKey.challenge).not.toBe(offers[1]?.publicKey.challenge);
  });
});

describe("signing in", () => {
  test.each(["ES256", "EdDSA", "RS256"] as const)("with an %s key, as by a mail", async (algorithm) => {
    key = createAuthenticator(algorithm);
    await enroll();
    clock.advance(3_600_000);
    const answer = await signInBy(site, key, {}, "/reports?year=2026");
    const cookie = cookieHeader(answer);
    expect(await said(answer)).toEqual({ status: 200, message: "Signed in.", next: "/reports?year=2026" });
    expect(await whoAmI(gateway, cookie)).toMatchObject({ authenticated: true, email: "ada@example.org" });
    expect(auditOf(gateway)).toContainEqual({
      ...{ event: "redeemed", email: "ada@example.org", client: "127.0.0.1", by: "passkey" },
      session: expect.any(String),
    });
    await fetch(`${gateway.url}/reports`, { headers: { Cookie: cookie } });
    const token = upstream.to("/reports").at(-1)?.one("x-runegate-jwt") ?? "";
    expect(decodeJwt(token)).toMatchObject({ amr: ["passkey"], auth_time: Math.floor(clock.now() / 1000) });
    const [kept] = await keptOf("ada@example.org");
    expect(kept?.record).toMatchObject({ usedAt: clock.now(), counter: 2 });
  });

  test("leads nowhere that a mail would not", async () => {
    await enroll();
    for (const next of ["https://evil.example/", "//evil.example", "/_runegate/logout"]) {
      expect(await said(await signInBy(site, key, {}, next))).toMatchObject({ status: 200, next: "/" });
    }
  });

  test("keeps the address among those whose mail goes first", async () => {
    await enroll();
    clock.advance(200 * 24 * 3_600_000);
    const known = createKnownAddresses(new Set(), stores, clock);
    expect(await known.has("ada@example.org" as Address)).toBe(false);
    expect((await signInBy(site, key)).status).toBe(200);
    expect(await known.has("ada@example.org" as Address)).toBe(true);
  });

  test("ends the session that the browser had", async () => {
    const before = await enroll();
    const { publicKey, ticket, cookie } = await offerSignIn(site, before);
    const answer = await send(site, "/sign-in", { ticket, credential: key.get(publicKey, ORIGIN) }, cookie);
    expect(answer.status).toBe(200);
    expect(await whoAmI(gateway, before)).toMatchObject({ authenticated: false });
  });

  test("two tabs of one browser do not get in each other's way", async () => {
    await enroll();
    const first = await offerSignIn(site);
    const second = await offerSignIn(site, first.cookie);
    for (const { publicKey, ticket } of [first, second]) {
      const credential = key.get(publicKey, ORIGIN);
      expect((await send(site, "/sign-in", { ticket, credential }, second.cookie)).status).toBe(200);
    }
  });

  test("of one answer that is sent ten times at once, one signs in", async () => {
    await enroll();
    const { publicKey, ticket, cookie } = await offerSignIn(site);
    const sent = { ticket, credential: key.get(publicKey, ORIGIN) };
    const answers = await Promise.all(Array.from({ length: 10 }, () => send(site, "/sign-in", sent, cookie)));
    expect(answers.map(({ status }) => status).sort()).toEqual([200, ...Array<number>(9).fill(401)]);
  });

  test("a passkey of several devices, which does not count, signs in on two of them at once", async () => {
    await enroll("ada@example.org");
    await gateway.stop();
    await start();
    const synced = createAuthenticator();
    const session = await gateway.signIn("grace@example.org");
    const BACKED_UP = 8 | 16;
    expect(
      (await register(site, session, synced, { counter: 0, flags: 1 | 4 | 64 | BACKED_UP })).status,
    ).toBe(201);
    expect((await keptOf("grace@example.org"))[0]?.record).toMatchObject({ counter: 0, synced: true });
    const answers = await Promise.all(
      [1, 2, 3].map(() => signInBy(site, synced, { counter: 0, flags: 1 | 4 | BACKED_UP })),
    );
    expect(answers.map(({ status }) => status)).toEqual([200, 200, 200]);
  });

  type Row = readonly [what: string, reason: string, twist: Twist];
  test.each<Row>([
    ["another ceremony", "wrong_type", { type: "webauthn.create" }],
    ["another challenge", "wrong_challenge", { challenge: "A".repeat(43) }],
    ["another origin", "wrong_origin", { origin: "https://evil.example" }],
    ["an origin below ours", "wrong_origin", { origin: "https://grafana.app.test" }],
    ["an origin with another port", "wrong_origin", { origin: "https://app.test:8443" }],
    ["our name without TLS", "wrong_origin", { origin: "http://app.test" }],
    ["a frame in a foreign page", "cross_origin", { crossOrigin: true }],
    [
      "a frame in a foreign page that is named",
      "cross_origin",
      { crossOrigin: true, topOrigin: "https://evil.example" },
    ],
    ["a page that is said to be above ours", "cross_origin", { topOrigin: "https://evil.example" }],
    ["a sibling's RP ID", "wrong_rp_id", { rpId: "grafana.app.test" }],
    ["our parent's RP ID", "wrong_rp_id", { rpId: "test" }],
    ["nobody there", "unacceptable", { flags: 0 }],
    ["a user who was not verified", "unacceptable", { flags: 1 }],
    ["backed up, and not able to be", "unacceptable", { flags: 1 | 4 | 16 }],
    ["no user", "unacceptable", { userHandle: undefined }],
    ["another user", "unacceptable", { userHandle: "A".repeat(43) }],
    ["a counter that stands still", "counter", { counter: 1 }],
    ["a counter that went back", "counter", { counter: 0 }],
    ["a passkey that nobody has", "unknown", { id: "AAAA" }],
  ])("%s is refused: %s", async (_, reason, twist) => {
    await enroll();
    const answer = await signInBy(site, key, twist);
    expect(answer.headers.getSetCookie()).toEqual([]);
    expect(await said(answer)).toEqual(INVALID);
    expect(lastAudit()).toMatchObject({ event: "passkey_refused", reason, client: "127.0.0.1" });
    // And what is right still signs in.
    expect((await signInBy(site, key, { counter: 7 })).status).toBe(200);
  });

  test("a signature by another key is refused", async () => {
    await enroll();
    const other = createAuthenticator("ES256", Buffer.from(key.id, "base64url"));
    const [kept] = await keptOf("ada@example.org");
    const answer = await signInBy(site, other, { userHandle: kept?.record.user });
    expect(await said(answer)).toEqual(INVALID);
    expect(lastAudit()).toMatchObject({ reason: "wrong_signature", email: "ada@example.org" });
  });

  test("the ticket is good in the browser that got it, for five minutes, and for nothing else", async () => {
    const session = await enroll();
    const reasons: unknown[] = [];
    async function refused(ticket: string, challenge: string, cookie: string): Promise<void> {
      const credential = key.get({ challenge, rpId: "app.test" }, ORIGIN);
      expect(await said(await send(site, "/sign-in", { ticket, credential }, cookie))).toEqual(INVALID);
      reasons.push(lastAudit()?.reason);
    }
    const offer = await offerSignIn(site);
    await refused(offer.ticket, offer.publicKey.challenge, "");
    await refused(offer.ticket, offer.publicKey.challenge, (await offerSignIn(site)).cookie);
    const registration = await offerRegistration(site, session);
    await refused(registration.ticket, registration.publicKey.challenge, registration.cookie);
    await refused(`${offer.ticket.slice(0, -4)}AAAA`, offer.publicKey.challenge, offer.cookie);
    await refused("x", offer.publicKey.challenge, offer.cookie);
    clock.advance(5 * 60_000);
    await refused(offer.ticket, offer.publicKey.challenge, offer.cookie);
    expect(reasons).toEqual([
      ...[
        "no_binding",
        "wrong_binding",
        "token_wrong_signature",
        "token_wrong_signature",
        "token_malformed",
        "token_expired",
      ],
    ]);
  });

  test("is for pages of ours alone", async () => {
    await enroll();
    const foreign = { Origin: "https://evil.example", "Sec-Fetch-Site": "cross-site" };
    for (const path of ["/sign-in/options", "/sign-in", "/options", "", "/remove"]) {
      expect(await said(await send(site, path, {}, "", foreign))).toMatchObject({
        status: 403,
        error: "cross_site",
      });
    }
  });

  test("has the limit of links and codes", async () => {
    await enroll();
    await restart({ RUNEGATE_RATE_LIMIT_ENABLED: "true", RUNEGATE_TOKEN_RATE_LIMIT: "3" });
    for (let attempt = 0; attempt < 3; attempt++) expect((await signInBy(site, key)).status).toBe(200);
    const fourth = await signInBy(site, key);
    expect(await said(fourth)).toMatchObject({ status: 429, error: "rate_limited" });
    expect(fourth.headers.get("retry-after")).not.toBeNull();
    expect(lastAudit()).toMatchObject({ event: "passkey_refused", reason: "rate_limited" });
    clock.advance(60_000);
    expect((await signInBy(site, key)).status).toBe(200);
  });

  test("an address that may no longer sign in does not, and does again when it may", async () => {
    await enroll();
    const env = { RUNEGATE_ALLOW_ANY_EMAIL: "false", RUNEGATE_ALLOWED_EMAILS: "grace@example.org" };
    await restart(env);
    expect(await said(await signInBy(site, key))).toEqual(INVALID);
    expect(lastAudit()).toMatchObject({ reason: "not_allowed", email: "ada@example.org" });
    await restart({});
    expect((await signInBy(site, key)).status).toBe(200);
  });
});

describe("adding one", () => {
  type Row = readonly [what: string, reason: string, twist: Twist];
  const bytes = (length: number) => Buffer.alloc(length, 7);
  test.each<Row>([
    ["another ceremony", "wrong_type", { type: "webauthn.get" }],
    ["another challenge", "wrong_challenge", { challenge: "A".repeat(43) }],
    ["another origin", "wrong_origin", { origin: "https://evil.example" }],
    ["a frame in a foreign page", "cross_origin", { crossOrigin: true }],
    ["a sibling's RP ID", "wrong_rp_id", { rpId: "grafana.app.test" }],
    ["nobody there", "unacceptable", { flags: 64 }],
    ["a user who was not verified", "unacceptable", { flags: 1 | 64 }],
    ["no passkey in it", "malformed", { flags: 1 | 4 }],
    ["another id than its own", "malformed", { id: "AAAA" }],
    ["certificates", "attestation", { fmt: "packed", attStmt: new Map([["x5c", [bytes(9)]]]) }],
    ["an older authenticator's certificates", "attestation", { fmt: "fido-u2f" }],
    ["a phone's certificates", "attestation", { fmt: "android-key" }],
    ["a format that nobody knows", "attestation", { fmt: "constructor" }],
    [
      "a signature of its own that is none",
      "unacceptable",
      {
        fmt: "packed",
        attStmt: new Map<string, number | Buffer>([
          ["alg", -7],
          ["sig", bytes(70)],
        ]) as never,
      },
    ],
  ])("%s is refused: %s", async (_, reason, twist) => {
    const session = await gateway.signIn();
    const answer = await register(site, session, key, twist);
    expect(await said(answer)).toEqual(NOT_ADDED);
    expect(lastAudit()).toMatchObject({ event: "passkey_refused", reason, email: "ada@example.org" });
    expect(await keptOf("ada@example.org")).toEqual([]);
  });

  test("CBOR that never ends, or goes on, is refused", async () => {
    const session = await gateway.signIn();
    const { publicKey, ticket, cookie } = await offerRegistration(site, session);
    const made = key.create(publicKey, ORIGIN);
    const whole = Buffer.from(String(made.response.attestationObject), "base64url");
    const hostile = [
      Buffer.alloc(30_000, 0x81),
      Buffer.from("9bffffffffffffffff", "hex"),
      cbor([1]),
      Buffer.alloc(0),
    ];
    for (const object of [...hostile, whole.subarray(0, -1)]) {
      const response = { ...made.response, attestationObject: object.toString("base64url") };
      const answer = await send(site, "", { ticket, credential: { ...made, response } }, cookie);
      expect(await said(answer)).toEqual(NOT_ADDED);
    }
  });

  const coordinate = Buffer.alloc(32, 7);
  const keyOf = (...labels: [number, Cbor][]) => new Map<Cbor, Cbor>(labels);
  const SELF = { fmt: "packed", attStmt: keyOf() };
  test.each<readonly [what: string, key: Cbor]>([
    ["that is no point of its curve", keyOf([1, 2], [3, -7], [-1, 1], [-2, coordinate], [-3, coordinate])],
    ["that lacks a byte", keyOf([1, 2], [3, -7], [-1, 1], [-2, coordinate], [-3, coordinate.subarray(1)])],
    ["of another curve", keyOf([1, 2], [3, -7], [-1, 2], [-2, coordinate], [-3, coordinate])],
    ["of a curve, said to be RSA", keyOf([1, 2], [3, -257], [-1, 1], [-2, coordinate], [-3, coordinate])],
    ["of another type", keyOf([1, 7], [3, -48], [-1, Buffer.alloc(1312, 7)])],
    ["of RSA, short", keyOf([1, 3], [3, -257], [-1, Buffer.alloc(64, 7)], [-2, Buffer.of(1, 0, 1)])],
    ["of RSA, endless", keyOf([1, 3], [3, -257], [-1, Buffer.alloc(20_000, 7)], [-2, Buffer.of(1, 0, 1)])],
    ["that is a list", [1, 2, 3]],
    ["that is a number", 5],
  ])("a key %s is refused, and the next request is answered as if nothing had been", async (_, made) => {
    const session = await gateway.signIn();
    const sig: [string, Cbor][] = [
      ["alg", -7],
      ["sig", Buffer.from("3006020101020101", "hex")],
    ];
    for (const twist of [{}, { ...SELF, attStmt: new Map<Cbor, Cbor>(sig) }]) {
      expect(await said(await register(site, session, key, { ...twist, key: made }))).toEqual(NOT_ADDED);
      expect(lastAudit()).toMatchObject({ reason: "malformed" });
      expect(await whoAmI(gateway, session)).toMatchObject({ authenticated: true });
    }
  });

  test("takes a session, and a sign-in of the last 15 minutes, before anything that was sent is looked at", async () => {
    for (const path of ["/options", ""]) {
      expect(await said(await send(site, path, "{"))).toMatchObject({
        status: 401,
        error: "unauthenticated",
      });
    }
    const session = await gateway.signIn();
    clock.advance(15 * 60_000 - 1);
    expect((await register(site, session, key)).status).toBe(201);
    clock.advance(1);
    for (const path of ["/options", ""]) {
      expect(await said(await send(site, path, "{", session))).toEqual({
        ...{
          status: 403,
          error: "sign_in_again",
          message: "Adding a passkey takes a sign-in of the last 15 minutes.",
        },
        login_url: `${ORIGIN}/_runegate/login?next=%2F_runegate%2Faccount&again=1`,
      });
    }
  });

  test("the ticket is of the address that is signed in, and good once", async () => {
    const ada = await gateway.signIn();
    const { publicKey, ticket, cookie } = await offerRegistration(site, ada);
    const binding = cookie.slice(cookie.indexOf("; ") + 2);
    const grace = await gateway.signIn("grace@example.org");
    const sent = { ticket, credential: key.create(publicKey, ORIGIN) };
    expect(await said(await send(site, "", sent, `${grace}; ${binding}`))).toEqual(NOT_ADDED);
    expect(lastAudit()).toMatchObject({ reason: "wrong_user", email: "grace@example.org" });
    expect((await send(site, "", sent, cookie)).status).toBe(201);
    const again = { ticket, credential: createAuthenticator().create(publicKey, ORIGIN) };
    expect(await said(await send(site, "", again, cookie))).toEqual(NOT_ADDED);
    expect(lastAudit()).toMatchObject({ reason: "spent" });
  });

  test("one that is there already is refused, whoever's it is", async () => {
    const ada = await enroll();
    const grace = await gateway.signIn("grace@example.org");
    for (const session of [ada, grace]) {
      expect(await said(await register(site, session, key))).toEqual(NOT_ADDED);
      expect(lastAudit()).toMatchObject({ reason: "known" });
    }
    expect(
      (await signInBy(site, key, { userHandle: (await keptOf("ada@example.org"))[0]?.record.user })).status,
    ).toBe(200);
  });

  test("of fifteen at once, no more than ten are kept", async () => {
    const session = await gateway.signIn();
    const keys = Array.from({ length: 15 }, () => createAuthenticator());
    const answers = await Promise.all(keys.map((one) => register(site, session, one)));
    const added = answers.filter(({ status }) => status === 201).length;
    expect(added).toBeLessThanOrEqual(10);
    expect(await keptOf("ada@example.org")).toHaveLength(added);
    expect(answers.filter(({ status }) => status === 409)).toHaveLength(15 - added);
  });

  test.each([
    ["  Ada’s\n laptop\u202e ", "Ada’s laptop"],
    ["", "curl"],
    [undefined, "curl"],
    ["<b>&", "<b>&"],
    ["x".repeat(100), "x".repeat(60)],
  ])("the name %p becomes %p", async (typed, name) => {
    const session = await gateway.signIn();
    const { publicKey, ticket, cookie } = await offerRegistration(site, session);
    const sent = { ticket, credential: key.create(publicKey, ORIGIN), name: typed };
    await send(site, "", sent, cookie, { "User-Agent": "curl/8.0" });
    expect((await keptOf("ada@example.org"))[0]?.record.name).toBe(name);
    const page = await (
      await fetch(`${gateway.url}/_runegate/account`, { headers: { Cookie: session } })
    ).text();
    expect(page).toContain(
      `<strong>${name.replace(/[<>&]/g, (char) => `&#${char.charCodeAt(0)};`)}</strong>`,
    );
  });
});

describe("removing one", () => {
  test("is for its owner, at any time, and ends its use", async () => {
    const ada = await enroll();
    const grace = await gateway.signIn("grace@example.org");
    const remove = (session: string) => send(site, "/remove", { id: key.id }, session);
    expect(await said(await remove(grace))).toMatchObject({ status: 404, error: "not_found" });
    expect(await said(await remove(""))).toMatchObject({ status: 401, error: "unauthenticated" });
    clock.advance(3_600_000);
    expect(await said(await remove(ada))).toEqual({ status: 200, message: "Removed." });
    expect(lastAudit()).toMatchObject({ event: "passkey_removed", email: "ada@example.org" });
    expect(await said(await remove(ada))).toMatchObject({ status: 404 });
    expect(await said(await signInBy(site, key))).toEqual(INVALID);
  });

  test("while it signs in: it does, or it does not, and is gone", async () => {
    const ada = await enroll();
    const [answer] = await Promise.all([signInBy(site, key), send(site, "/remove", { id: key.id }, ada)]);
    expect([200, 401]).toContain(answer.status);
    expect(await keptOf("ada@example.org")).toEqual([]);
  });
});

describe("whoever reads the mail of an address", () => {
  test("is told of a passkey that was added, by whom and where to remove it", async () => {
    await restart({ RUNEGATE_NEW_DEVICE_MAIL: "true" });
    await enroll();
    await gateway.gateway.outbox.runDue();
    const mail = gateway.mailbox.mails().find(({ subject }) => subject === "New passkey for app.test");
    expect(mail?.to).toBe("ada@example.org");
    expect(mail?.text).toContain("A passkey was added that signs in as ada@example.org:");
    expect(mail?.text).toContain("When: January 2, 2026");
    expect(mail?.text).toContain(`${ORIGIN}/_runegate/account`);
  });

  test.each(["true", "false"])(
    "ends passkeys too (RUNEGATE_PASSKEYS=%s), by saying that a sign-in was not theirs, and none signs in or is added for an hour",
    async (isOn) => {
      await restart({ RUNEGATE_NEW_DEVICE_MAIL: "true" });
      await gateway.signIn();
      // With another browser, of which there is a mail.
      const session = await gateway.signIn();
      await register(site, session, key);
      const other = createAuthenticator();
      await enroll("grace@example.org", other);
      await gateway.gateway.outbox.runDue();
      const mails = gateway.mailbox.mails().filter(({ to }) => to === "ada@example.org");
      const link = /\/not-me\?token=(\S+)/.exec(mails.map(({ text }) => text).join("\n"))?.[1];
      const { publicKey, ticket, cookie } = await offerRegistration(site, session);
      await restart({ RUNEGATE_PASSKEYS: isOn });
      const answer = await fetch(`${gateway.url}/_runegate/not-me`, {
        method: "POST",
        headers: { "Content-Type": "application/json" },
        body: JSON.stringify({ token: link }),
      });
      expect(answer.status).toBe(200);
      expect(await keptOf("ada@example.org")).toEqual([]);
      expect(auditOf(gateway).filter(({ event }) => event === "passkey_removed")).toHaveLength(1);
      await restart({});
      const late = { ticket, credential: createAuthenticator().create(publicKey, ORIGIN) };
      expect(await said(await send(site, "", late, cookie))).toMatchObject({
        status: 401,
        error: "unauthenticated",
      });
      expect(await said(await signInBy(site, key))).toEqual(INVALID);
      expect((await signInBy(site, other)).status).toBe(200);
    },
  );

  test("leads by way of a form that was kept, which is that of whoever signed in last", async () => {
    await enroll("grace@example.org");
    await gateway.signIn("ada@example.org");
    const signedIn = await signInBy(site, key);
    expect(await said(signedIn)).toMatchObject({ status: 200, next: "/" });
    const posted = await fetch(`${gateway.url}/notes`, {
      method: "POST",
      redirect: "manual",
      headers: {
        ...{ "Content-Type": "application/x-www-form-urlencoded", Host: "app.test", Origin: ORIGIN },
        ...{ "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document", "Sec-Fetch-Site": "same-origin" },
        Cookie: cookieHeader(signedIn).replace(/runegate_id=[^;]*/, "runegate_id=gone"),
      },
      body: "text=long",
    });
    expect(posted.status).toBe(303);
    const kept = cookieHeader(posted);
    expect(kept).toContain("runegate_kept=");
    const { publicKey, ticket, cookie } = await offerSignIn(site, kept);
    const again = await send(
      site,
      "/sign-in",
      { ticket, credential: key.get(publicKey, ORIGIN), next: "/after" },
      cookie,
    );
    expect(await said(again)).toMatchObject({ status: 200, next: "/_runegate/kept?next=%2Fafter" });
    const page = await fetch(`${gateway.url}/_runegate/kept`, {
      headers: { Host: "app.test", Cookie: `${cookieHeader(again)}; ${kept}` },
    });
    expect(await page.text()).toContain("text");
  });

  test("keeps everybody out for an hour, passkey or not", async () => {
    const session = await enroll();
    await gateway.gateway.sessions.holds.put("ada@example.org" as Address);
    const refused = await signInBy(site, key);
    expect(refused.headers.getSetCookie()).toEqual([]);
    expect(await said(refused)).toMatchObject({ status: 403, error: "on_hold" });
    expect(lastAudit()).toMatchObject({ event: "passkey_refused", reason: "on_hold" });
    expect(await said(await register(site, session, createAuthenticator()))).toEqual(NOT_ADDED);
    expect(await keptOf("ada@example.org")).toHaveLength(1);
    clock.advance(3_600_000);
    expect((await signInBy(site, key)).status).toBe(200);
  });
});

test("whoever is not to be kept signed in is not, where people are asked", async () => {
  await restart({ RUNEGATE_REMEMBER: "ask" });
  await enroll();
  const { publicKey, ticket, cookie } = await offerSignIn(site);
  const brief = await send(site, "/sign-in", { ticket, credential: key.get(publicKey, ORIGIN) }, cookie);
  expect(brief.headers.getSetCookie().find((line) => line.startsWith(SESSION))).not.toContain("Max-Age");
  const offer = await offerSignIn(site);
  const sent = { ticket: offer.ticket, credential: key.get(offer.publicKey, ORIGIN), remember: "true" };
  const kept = await send(site, "/sign-in", sent, offer.cookie);
  expect(kept.headers.getSetCookie().find((line) => line.startsWith(SESSION))).toContain("Max-Age=1209600");
});

test("the browser is noted as with a mail", async () => {
  await enroll();
  const answer = await signInBy(site, key);
  const cookies = answer.headers.getSetCookie().map((line) => line.split("=", 1)[0]);
  expect(cookies).toEqual(["runegate_id", "runegate_device", "runegate_last"]);
  expect(auditOf(gateway).map(({ event }) => event)).toContain("new_device");
});

describe("the store", () => {
  test.each<[keyof Passkey, string | number | boolean]>([
    ["email", "grace@example.org"],
    ["publicKey", "pQECAyYgASFYIA"],
    ["user", "A".repeat(43)],
    ["counter", 0],
    ["seal", ""],
  ])("whoever writes another %s into it signs nobody in", async (field, value) => {
    await enroll();
    const [kept] = await keptOf("ada@example.org");
    if (kept === undefined) throw new Error("nothing is kept");
    await stores.records(PASSKEYS).replace(kept, { ...kept.record, [field]: value });
    expect(await said(await signInBy(site, key))).toEqual(INVALID);
    expect(lastAudit()).toMatchObject({ event: "passkey_refused", reason: "broken_seal" });
  });

  test("nor does whoever writes while somebody signs in, and no seal of ours comes under it", async () => {
    await enroll();
    const whole = stores;
    let looks = 0;
    stores = {
      ...whole,
      records(kind: Parameters<Store["records"]>[0]) {
        const records = whole.records(kind);
        if (kind.name !== "passkey") return records;
        return {
          ...records,
          async get(id: string) {
            const seen = await records.get(id);
            if (seen === undefined || ++looks !== 1) return seen;
            await records.replace(seen, { ...seen.record, publicKey: "pQECAyYgASFYIA" });
            return seen;
          },
        };
      },
    } as Store;
    await restart({});
    stores = whole;
    expect(await said(await signInBy(site, key))).toEqual(INVALID);
    expect(lastAudit()).toMatchObject({ reason: "broken_seal" });
    expect(await said(await signInBy(site, key))).toEqual(INVALID);
    expect(looks).toBe(3);
  });

  test("what is read in it signs nobody in: it has no private key, and names no device by its address", async () => {
    await enroll();
    const [kept] = await keptOf("ada@example.org");
    expect(Object.keys(kept?.record ?? {}).sort()).toEqual([
      ...["counter", "createdAt", "email", "name", "publicKey", "seal", "synced", "usedAt", "user"],
    ]);
    expect(Buffer.from(kept?.record.user ?? "", "base64url").toString()).not.toContain("ada");
  });

  test("passkeys outlast changes of the session key, used or not, and none whose key nobody has any more", async () => {
    await enroll();
    const [first, second, third] = ["a", "b", "c"].map((digit) => digit.repeat(128));
    const rotated = (current = "", previous = "") => ({
      RUNEGATE_SESSION_KEY: current,
      RUNEGATE_SESSION_KEY_PREVIOUS: previous,
    });
    await restart(rotated(first, "9".repeat(128)));
    expect((await signInBy(site, key)).status).toBe(200);
    await restart(rotated(second, first));
    await until("the seals", () =>
      gateway.lines.some((line) => line.includes("sealed passkeys under the new session key")),
    );
    await restart(rotated(second));
    expect((await signInBy(site, key)).status).toBe(200);
    await restart(rotated(third));
    expect(await said(await signInBy(site, key))).toEqual(INVALID);
    expect(lastAudit()).toMatchObject({ reason: "broken_seal" });
  });

  test.each(["get", "replace"] as const)(
    "a store that does not answer (%s) signs nobody in",
    async (verb) => {
      await enroll();
      const whole = stores;
      const away = {
        ...whole,
        records(kind: Parameters<Store["records"]>[0]) {
          const records = whole.records(kind);
          const fail = () => {
            throw new StoreUnavailable("away");
          };
          return kind.name === "passkey" ? { ...records, [verb]: fail } : records;
        },
      } as Store;
      stores = away;
      await restart({});
      const answer = await signInBy(site, key);
      expect(answer.headers.getSetCookie()).toEqual([]);
      expect(await said(answer)).toMatchObject({ status: 503, error: "store_unavailable" });
    },
  );
});

test("left off, nothing of it is there", async () => {
  await restart({ RUNEGATE_PASSKEYS: "false" });
  for (const path of ["", "/options", "/remove", "/sign-in", "/sign-in/options"]) {
    expect(await said(await send(site, path, {}))).toMatchObject({ status: 404, error: "not_found" });
  }
  const session = await gateway.signIn();
  for (const path of ["/_runegate/login?again=1", "/_runegate/account"]) {
    const page = await fetch(gateway.url + path, { headers: { Cookie: session } });
    expect([page.status, await page.text()]).toEqual([200, expect.not.stringContaining("asskey")]);
  }
});

test("with one host, /.well-known/webauthn is the application's", async () => {
  const session = await gateway.signIn();
  await fetch(`${gateway.url}/.well-known/webauthn`, { headers: { Cookie: session } });
  expect(upstream.to("/.well-known/webauthn")).toHaveLength(1);
});

test("no secret of it is in any line", async () => {
  await enroll();
  const { publicKey, ticket, cookie } = await offerSignIn(site);
  const credential = key.get(publicKey, ORIGIN);
  await send(site, "/sign-in", { ticket, credential }, cookie);
  await send(site, "/sign-in", { ticket, credential }, cookie);
  const log = gateway.lines.join("\n");
  expect(log).not.toContain(SESSION);
  for (const secret of [ticket, publicKey.challenge, cookie, credential.response.signature]) {
    expect(log).not.toContain(String(secret));
  }
});
