import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { createHmac, generateKeyPairSync, sign } from "node:crypto";
import type { Arrival } from "../../src/edge/arrival.ts";
import type { ApiName } from "../../src/mail/backend-settings.ts";
import type { Post, ReadNotice } from "../../src/mail/bounces/notice.ts";
import { resend } from "../../src/mail/bounces/resend.ts";
import { bounceRoom } from "../../src/mail/bounces/routes.ts";
import { ses } from "../../src/mail/bounces/ses.ts";
import { createMemoryStore } from "../../src/store/memory.ts";
import { auditOf } from "../login/support.ts";
import { makeCertificate } from "../support/certificate.ts";
import { type TestClock, testClock } from "../support/clock.ts";
import { cookieHeader, startGateway, type TestGateway } from "../support/gateway.ts";
import { emailConfig } from "../support/smtp.ts";
import { stoppable } from "../support/store.ts";
import { NOW, until } from "./support.ts";

/** What services tell of mail that came back, signed as their documentation says that they sign. */

const elliptic = generateKeyPairSync("ec", { namedCurve: "P-256" });
const KEYS = {
  sendgrid: elliptic.publicKey.export({ format: "der", type: "spki" }).toString("base64"),
  mailgun: "mailgun-signing-key-0123",
  postmark: "runegate:a-password-of-our-own",
  resend: `whsec_${Buffer.from("resend-signing-secret-01").toString("base64")}`,
} as const;
type Kind = keyof typeof KEYS;
const KINDS = Object.keys(KEYS) as Kind[];

type Told = { readonly at?: number; readonly to?: string; readonly id?: string; readonly isBounce?: boolean };
type Sent = { readonly headers: Record<string, string>; readonly body: string };

/** A notice as each service sends it. */
const SIGNED: Readonly<Record<Kind, (told: Told) => Sent>> = {
  sendgrid({ at = NOW, to = "ann@example.org", id = "1", isBounce = true }) {
    const event = {
      email: to,
      event: isBounce ? "bounce" : "delivered",
      reason: "550 no such user",
      sg_event_id: id,
    };
    const body = `${JSON.stringify([{ email: "x@example.org", event: "processed" }, event])}\r\n`;
    const timestamp = String(Math.floor(at / 1000));
    const signature = sign("sha256", Buffer.from(timestamp + body), elliptic.privateKey).toString("base64");
    return {
      headers: {
        "X-Twilio-Email-Event-Webhook-Signature": signature,
        "X-Twilio-Email-Event-Webhook-Timestamp": timestamp,
      },
      body,
    };
  },
  mailgun({ at = NOW, to = "ann@example.org", id = "1", isBounce = true }) {
    const timestamp = String(Math.floor(at / 1000));
    const token = `token-${id}`;
    const signature = createHmac("sha256", KEYS.mailgun)
      .update(timestamp + token)
      .digest("hex");
    const data = {
      ...{ event: isBounce ? "failed" : "delivered", severity: "permanent", recipient: to },
      "delivery-status": { code: 550, message: "550 no such user" },
    };
    return {
      headers: {},
      body: JSON.stringify({ signature: { timestamp, token, signature }, "event-data": data }),
    };
  },
  postmark({ at = NOW, to = "ann@example.org", id = "1", isBounce = true }) {
    const BouncedAt = new Date(at).toISOString();
    const Type = isBounce ? "HardBounce" : "SoftBounce";
    const notice = { RecordType: "Bounce", ID: id, Type, Email: to, BouncedAt, Details: "550 no such user" };
    return { headers: { Authorization: `Basic ${btoa(KEYS.postmark)}` }, body: JSON.stringify(notice) };
  },
  resend({ at = NOW, to = "ann@example.org", id = "1", isBounce = true }) {
    const type = isBounce ? "email.bounced" : "email.delivered";
    const body = JSON.stringify({
      type,
      data: { to: [to], bounce: { message: "550 no such user", type: "Permanent" } },
    });
    const timestamp = String(Math.floor(at / 1000));
    const secret = Buffer.from(KEYS.resend.slice(6), "base64");
    const signature = createHmac("sha256", secret).update(`msg_${id}.${timestamp}.${body}`).digest("base64");
    return {
      headers: {
        "svix-id": `msg_${id}`,
        "svix-timestamp": timestamp,
        "svix-signature": `v1,AAAA v1,${signature}`,
      },
      body,
    };
  },
};

const TOPIC = "arn:aws:sns:eu-central-1:123456789012:bounces";
const backendOf = (kind: ApiName, bounceKey: string | undefined) => ({
  ...{ kind, bounceKey, apiKey: "k", region: "", domain: "", endpoint: "http://127.0.0.1:1" },
});
const EMAIL = emailConfig(1, {
  backends: [...KINDS.map((kind) => backendOf(kind, KEYS[kind])), backendOf("ses", TOPIC)],
});

const JSON_LOG = { RUNEGATE_LOG_FORMAT: "json" };
let gateway: TestGateway;
let clock: TestClock;
beforeAll(async () => {
  clock = testClock(NOW);
  gateway = await startGateway({ email: EMAIL, mailbox: false, clock, env: JSON_LOG });
});
afterAll(() => gateway.stop());

const post = (kind: string, { headers, body }: Sent, at = gateway) =>
  fetch(`${at.url}/_runegate/hooks/bounce/${kind}`, { method: "POST", headers, body });
const bounced = () => auditOf(gateway).filter(({ event }) => event === "mail_bounced");

describe.each(KINDS)("a notice of %s", (kind) => {
  const to = (name: string) => `${name}@${kind}.example`;

  test("marks the address once, however often it comes", async () => {
    const notice = SIGNED[kind]({ to: to("ann"), id: "once" });
    expect((await post(kind, notice)).status).toBe(204);
    expect((await post(kind, notice)).status).toBe(204);
    expect(bounced().filter(({ by }) => by === kind)).toEqual([
      { event: "mail_bounced", email: to("ann"), by: kind, reason: "550 no such user" },
    ]);
  });

  test("that is not signed, or signed for something else, is refused and marks nobody", async () => {
    const { headers, body } = SIGNED[kind]({ to: to("eve"), id: "forged" });
    const forged: Sent[] = [
      { headers: {}, body: body.replace(/"signature":"\w+"/, '"signature":""') },
      { headers: {}, body: "" },
      { headers: {}, body: "[]" },
      { headers: {}, body: "null" },
      { headers: Object.fromEntries(Object.keys(headers).map((name) => [name, "v1, x"])), body: `${body}x` },
      // The signature of another notice.
      ...(kind === "mailgun" || kind === "postmark" ? [] : [{ headers, body: body.replace("eve", "bob") }]),
    ];
    for (const sent of forged) {
      const answer = await post(kind, sent);
      expect([sent, answer.status, await answer.json()]).toEqual([
        sent,
        403,
        expect.objectContaining({ error: "not_signed" }),
      ]);
    }
    expect(
      bounced().filter(({ email }) => String(email).includes("eve") || String(email).includes("bob")),
    ).toEqual([]);
  });

  test("that is older than a day, or of tomorrow, marks nobody", async () => {
    for (const at of [NOW - 24 * 60 * 60_000, NOW + 10 * 60_000]) {
      expect((await post(kind, SIGNED[kind]({ at, to: to("old"), id: `${at}` }))).status).toBe(204);
    }
    expect(bounced().filter(({ email }) => email === to("old"))).toEqual([]);
  });

  test("of something else marks nobody, and neither does what is no address", async () => {
    expect((await post(kind, SIGNED[kind]({ to: to("fine"), isBounce: false, id: "fine" }))).status).toBe(
      204,
    );
    expect((await post(kind, SIGNED[kind]({ to: "no address\nat all", id: "none" }))).status).toBe(204);
    expect(
      bounced().filter(({ email }) => email === to("fine") || String(email).includes("no address")),
    ).toEqual([]);
  });
});

test("what was signed for one mailbox cannot be used for another: a token of Mailgun is good once", async () => {
  const { body } = SIGNED.mailgun({ to: "one@mg.example", id: "twice" });
  await post("mailgun", { headers: {}, body });
  expect((await post("mailgun", { headers: {}, body: body.replace("one@", "two@") })).status).toBe(204);
  expect(bounced().filter(({ email }) => email === "two@mg.example")).toEqual([]);
});

test("a notice is at most 1 MiB, by POST, and for a back-end that takes any", async () => {
  expect((await post("mailgun", { headers: {}, body: "x".repeat(1024 * 1024 + 1) })).status).toBe(413);
  expect((await fetch(`${gateway.url}/_runegate/hooks/bounce/mailgun`)).status).toBe(405);
  expect((await post("smtp", SIGNED.mailgun({}))).status).toBe(404);
  const without = await startGateway({
    email: emailConfig(1, { backends: [backendOf("mailgun", undefined)] }),
  });
  expect((await post("mailgun", SIGNED.mailgun({}), without)).status).toBe(404);
  await without.stop();
});

test("two accounts at one service: either may tell", async () => {
  const other = backendOf("mailgun", "mailgun-signing-key-of-another");
  const two = await startGateway({ email: emailConfig(1, { backends: [other, ...EMAIL.backends] }), clock });
  expect((await post("mailgun", SIGNED.mailgun({}), two)).status).toBe(204);
  await two.stop();
});

test("no more than sixteen are read at a time, so that whoever sends many takes no memory", async () => {
  const { body } = SIGNED.mailgun({ id: "crowd" });
  const gates = Array.from({ length: 16 }, () => Promise.withResolvers<void>());
  const slow = gates.map(({ promise }) => {
    const stream = new ReadableStream({
      async start(controller) {
        controller.enqueue(Buffer.from(body.slice(0, 10)));
        await promise;
        controller.enqueue(Buffer.from(body.slice(10)));
        controller.close();
      },
    });
    return fetch(`${gateway.url}/_runegate/hooks/bounce/mailgun`, { method: "POST", body: stream });
  });
  let refused: Response | undefined;
  await until(() => {
    void post("mailgun", { headers: {}, body }).then((answer) => {
      if (answer.status === 503) refused = answer;
    });
    return refused !== undefined;
  });
  expect(refused?.headers.get("retry-after")).toBe("10");
  for (const { resolve } of gates) resolve();
  expect((await Promise.all(slow)).map(({ status }) => status)).toEqual(Array(16).fill(204));
  expect((await post("mailgun", { headers: {}, body })).status).toBe(204);
});

/** Asks as a person does. @returns the page that they are sent on to. */
async function askForCode(email: string, at: TestGateway): Promise<Response> {
  const asked = await fetch(`${at.url}/_runegate/login`, {
    method: "POST",
    redirect: "manual",
    headers: { Accept: "text/html", "Content-Type": "application/x-www-form-urlencoded" },
    body: new URLSearchParams({ email }),
  });
  const headers = { Accept: "text/html", Cookie: cookieHeader(asked) };
  return fetch(new URL(asked.headers.get("location") ?? "", at.url), { headers });
}

describe("while the store does not answer for them", () => {
  const stop = stoppable(createMemoryStore({ clock: testClock(NOW) }), ({ of }) =>
    ["undeliverable", "bounce_notice"].includes(of),
  );

  test("a notice is to come again, and the page that asks for the code is shown without", async () => {
    const here = await startGateway({ email: EMAIL, clock: testClock(NOW), stores: stop.store });
    stop.away = true;
    expect((await post("postmark", SIGNED.postmark({}), here)).status).toBe(503);
    const asked = await askForCode("ann@example.org", here);
    expect([asked.status, (await asked.text()).includes("Check your mail")]).toEqual([200, true]);
    stop.away = false;
    expect((await post("postmark", SIGNED.postmark({}), here)).status).toBe(204);
    await here.stop();
  });
});

test("whoever may not sign in here is not marked: the service may be shared with others", async () => {
  const strict = await startGateway({
    email: EMAIL,
    clock,
    env: { ...JSON_LOG, RUNEGATE_ALLOW_ANY_EMAIL: "false", RUNEGATE_ALLOWED_EMAILS: "ada@example.org" },
  });
  for (const to of ["ann@example.org", "ada@example.org"]) {
    await post("postmark", SIGNED.postmark({ to, id: to }), strict);
  }
  expect(auditOf(strict).filter(({ event }) => event === "mail_bounced")).toHaveLength(1);
  await strict.stop();
});

describe("the page that asks for the code", () => {
  test("says for a day that mail to the domain has come back, the same for everybody there", async () => {
    const strict = await startGateway({
      email: EMAIL,
      clock,
      env: {
        ...JSON_LOG,
        RUNEGATE_ALLOW_ANY_EMAIL: "false",
        RUNEGATE_ALLOWED_EMAILS: "ada@refusing.example",
      },
    });
    const says = async (email: string) =>
      (await (await askForCode(email, strict)).text()).includes("Some mail to <strong>refusing.example");
    expect(await says("a@refusing.example")).toBe(false);
    await post("resend", SIGNED.resend({ to: "ada@refusing.example", at: clock.now(), id: "page" }), strict);
    // The one whose mail came back, one who may not sign in, and one elsewhere.
    expect(await says("ada@refusing.example")).toBe(true);
    expect(await says("eve@refusing.example")).toBe(true);
    expect(await says("ada@other.example")).toBe(false);
    clock.advance(24 * 60 * 60_000);
    expect(await says("bob@refusing.example")).toBe(false);
    await strict.stop();
  });
});

describe("a notice of Amazon SNS", () => {
  const { key, cert } = makeCertificate({ rsa: true });
  const CERTIFICATE = "https://sns.eu-central-1.amazonaws.com/SimpleNotificationService-0a1b2c.pem";
  const asked: string[] = [];
  const read = (notice: object, text = cert): ReturnType<ReadNotice> =>
    ses({ headers: {}, body: JSON.stringify(notice) } satisfies Post, TOPIC, {
      async get(url) {
        asked.push(url);
        return text;
      },
    });

  function signed(changes: Record<string, unknown> = {}, after: Record<string, unknown> = {}) {
    const message = {
      notificationType: "Bounce",
      bounce: {
        bounceType: "Permanent",
        bouncedRecipients: [
          { emailAddress: "ann@example.org", diagnosticCode: "smtp; 550 5.1.1 user unknown" },
        ],
      },
    };
    const notice: Record<string, unknown> = {
      Type: "Notification",
      MessageId: "22b80b92-fdea",
      TopicArn: TOPIC,
      Message: JSON.stringify(message),
      Timestamp: new Date(NOW).toISOString(),
      SignatureVersion: "2",
      SigningCertURL: CERTIFICATE,
      ...changes,
    };
    const names =
      notice.Type === "Notification"
        ? ["Message", "MessageId", "Subject", "Timestamp", "TopicArn", "Type"]
        : ["Message", "MessageId", "SubscribeURL", "Timestamp", "Token", "TopicArn", "Type"];
    const text = names
      .flatMap((name) => (notice[name] === undefined ? [] : [`${name}\n${notice[name]}\n`]))
      .join("");
    const algorithm = notice.SignatureVersion === "1" ? "sha1" : "sha256";
    return { ...notice, Signature: sign(algorithm, Buffer.from(text), key).toString("base64"), ...after };
  }

  test.each(["1", "2"])("of signature version %s is read", async (SignatureVersion) => {
    expect(await read(signed({ SignatureVersion, Subject: "Bounce" }))).toEqual({
      id: "22b80b92-fdea",
      at: NOW,
      bounces: [{ address: "ann@example.org", reason: "smtp; 550 5.1.1 user unknown" }],
    });
  });

  test.each<[string, object]>([
    ["another topic", signed({ TopicArn: "arn:aws:sns:eu-central-1:666666666666:bounces" })],
    ["changed words", signed({}, { Message: "{}" })],
    ["a changed time", signed({}, { Timestamp: new Date(NOW + 1000).toISOString() })],
    ["an unknown version", signed({ SignatureVersion: "3" })],
    ["no signature", signed({}, { Signature: undefined })],
    ["a signature that is none", signed({}, { Signature: "////" })],
    ["no notice", {}],
  ])("with %s is refused", async (_, notice) => expect(await read(notice)).toBeUndefined());

  test.each([
    "http://sns.eu-central-1.amazonaws.com/SimpleNotificationService-0a1b2c.pem",
    "https://sns.eu-central-1.amazonaws.com.evil.example/SimpleNotificationService-0a1b2c.pem",
    "https://evil.example/SimpleNotificationService-0a1b2c.pem",
    "https://sns.eu-central-1.amazonaws.com@evil.example/SimpleNotificationService-0a1b2c.pem",
    "https://sns.eu-central-1.amazonaws.com:8443/SimpleNotificationService-0a1b2c.pem",
    "https://sns.us-east-1.amazonaws.com/SimpleNotificationService-0a1b2c.pem",
    "https://sns.eu-central-1.amazonaws.com.cn/SimpleNotificationService-0a1b2c.pem",
    "https://s3.eu-central-1.amazonaws.com/SimpleNotificationService-0a1b2c.pem",
    "https://sns.eu-central-1.amazonaws.com/?Action=Publish&x=SimpleNotificationService-0a1b2c.pem",
    "https://sns.eu-central-1.amazonaws.com/x/../evil.pem",
    "file:///etc/SimpleNotificationService-0a1b2c.pem",
    "",
  ])("with the certificate at %j is refused, and nothing is asked for there", async (SigningCertURL) => {
    asked.length = 0;
    expect(await read(signed({ SigningCertURL }))).toBeUndefined();
    expect(asked).toEqual([]);
  });

  test("with somebody else's certificate is refused", async () => {
    expect(await read(signed(), makeCertificate({ rsa: true }).cert)).toBeUndefined();
  });

  test("that asks whether we subscribe is answered by asking for its address, of our topic at SNS only", async () => {
    const SubscribeURL =
      "https://sns.eu-central-1.amazonaws.com/?Action=ConfirmSubscription&Token=2336412f37";
    const facts = {
      Type: "SubscriptionConfirmation",
      Message: "You have chosen to subscribe",
      Token: "2336412f37",
    };
    asked.length = 0;
    expect(await read(signed({ ...facts, SubscribeURL }))).toMatchObject({ bounces: [] });
    expect(asked).toEqual([CERTIFICATE, SubscribeURL]);
    asked.length = 0;
    expect(await read(signed({ ...facts, SubscribeURL: "https://evil.example/" }))).toBeUndefined();
    expect(await read(signed({ ...facts, SubscribeURL }, { Token: "x" }))).toBeUndefined();
    expect(asked).toEqual([CERTIFICATE, CERTIFICATE]);
  });

  test.each([
    [{ notificationType: "Complaint" }],
    [
      {
        notificationType: "Bounce",
        bounce: { bounceType: "Transient", bouncedRecipients: [{ emailAddress: "a@b.example" }] },
      },
    ],
    ["not JSON"],
  ])("of something else (%j) marks nobody", async (message) => {
    expect(await read(signed({ Message: JSON.stringify(message) }))).toMatchObject({ bounces: [] });
  });

  test("asks for a certificate once, and for no other within ten seconds", async () => {
    const urls: string[] = [];
    const room = bounceRoom({ ...gateway.gateway, clock }, async (url) => {
      urls.push(url);
      return cert;
    });
    const send = async (notice: object) => {
      const request = new Request(gateway.url, { method: "POST", body: JSON.stringify(notice) });
      // What the room looks at; the door has made the rest of it elsewhere.
      const arrival = { id: "test", request, headers: {}, client: { ip: "192.0.2.1" } } as unknown as Arrival;
      const handler = room.paths?.get("/_runegate/hooks/bounce/ses")?.POST;
      return (await handler?.(arrival))?.status;
    };
    const at = { Timestamp: new Date(clock.now()).toISOString() };
    expect(await send(signed({ ...at, MessageId: "one" }))).toBe(204);
    expect(await send(signed({ ...at, MessageId: "two" }))).toBe(204);
    const another = CERTIFICATE.replace("0a1b2c", "ffff");
    expect(await send(signed({ ...at, SigningCertURL: another }))).toBe(503);
    clock.advance(10_000);
    expect(await send(signed({ ...at, SigningCertURL: another }))).toBe(204);
    expect(urls).toEqual([CERTIFICATE, another]);
  });

  test("of another topic is refused at the door, without asking anybody", async () => {
    const answer = await post("ses", {
      headers: {},
      body: JSON.stringify(signed({ TopicArn: `${TOPIC}2` })),
    });
    expect(answer.status).toBe(403);
  });
});

test("the example in Svix's documentation is taken for what it is", async () => {
  const headers = {
    "svix-id": "msg_p5jXN8AQM9LWM0D4loKWxJek",
    "svix-timestamp": "1614265330",
    "svix-signature": "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
  };
  const tools = { get: () => Promise.reject(new Error("nothing is asked")) };
  const read = (body: string) => resend({ headers, body }, "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", tools);
  expect(await read('{"test": 2432232314}')).toEqual({
    id: "msg_p5jXN8AQM9LWM0D4loKWxJek",
    at: 1_614_265_330_000,
    bounces: [],
  });
  expect(await read('{"test": 2432232315}')).toBeUndefined();
});
