import { afterAll, describe, expect, test } from "bun:test";
import { parseAddress } from "../../src/identity/address.ts";
import type { ApiName } from "../../src/mail/backend-settings.ts";
import { createHttpMailer } from "../../src/mail/http.ts";
import { MailError } from "../../src/mail/mailer.ts";
import type { Account } from "../../src/mail/providers/provider.ts";
import { makeCertificate } from "../support/certificate.ts";
import { testClock } from "../support/clock.ts";
import { mailOf, NOW, until } from "./support.ts";

/**
 * Services that take mail by HTTP, as stand-ins that were written from their public documentation: what they are asked, and what
 * each documented answer comes to. None of this was run against the services themselves.
 */

type Asked = { readonly method: string; readonly url: URL; readonly headers: Headers; readonly body: Buffer };
type Reply = { readonly status: number; readonly body?: unknown; readonly headers?: Record<string, string> };

const started: { stop(force?: boolean): unknown }[] = [];
afterAll(async () => {
  for (const server of started) await server.stop(true);
});

/** A service that answers whatever it is asked with `reply`. */
function standIn(reply: Reply | ((asked: Asked) => Promise<Response>)) {
  const asked: Asked[] = [];
  const server = Bun.serve({
    hostname: "127.0.0.1",
    port: 0,
    async fetch(request) {
      const { method, url, headers } = request;
      const one = { method, url: new URL(url), headers, body: Buffer.from(await request.arrayBuffer()) };
      asked.push(one);
      if (typeof reply === "function") return reply(one);
      const { status, body } = reply;
      const text = body === undefined ? null : typeof body === "string" ? body : JSON.stringify(body);
      return new Response(text, { status, headers: reply.headers ?? {} });
    },
  });
  started.push(server);
  return { asked, endpoint: `http://127.0.0.1:${server.port}` };
}

const KEY = "SG.secret-of-the-account";
const account = (kind: ApiName, endpoint: string): Account => ({
  ...{
    kind,
    endpoint,
    apiKey: kind === "ses" ? "AKIDEXAMPLE\nwJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY" : KEY,
  },
  ...{ region: "eu-central-1", domain: "mg.example.org", bounceKey: undefined },
  from: { name: "Lab, Inc.", address: parseAddress("login@runegate.test") },
  replyTo: parseAddress("help@runegate.test"),
});

const mailerOf = (kind: ApiName, endpoint: string, timeout?: number) =>
  createHttpMailer(account(kind, endpoint), testClock(NOW), timeout);

async function failure(sending: Promise<unknown>): Promise<MailError> {
  const error = await sending.then(
    () => undefined,
    (reason: unknown) => reason,
  );
  if (!(error instanceof MailError)) throw new Error(`expected a MailError, got ${error}`);
  return error;
}

const jsonOf = (asked: Asked | undefined) => JSON.parse(asked?.body.toString() ?? "");

const SENT: Readonly<Record<ApiName, Reply>> = {
  sendgrid: { status: 202, headers: { "X-Message-Id": "14c5d75ce93" } },
  postmark: { status: 200, body: { ErrorCode: 0, Message: "OK", MessageID: "b7bc2f4a-e38e" } },
  resend: { status: 200, body: { id: "49a3999c-0ce1" } },
  mailgun: { status: 200, body: { id: "<2030@mg.example.org>", message: "Queued. Thank you." } },
  ses: { status: 200, body: { MessageId: "0100-abc" } },
};
const KINDS = Object.keys(SENT) as ApiName[];

describe.concurrent("a mail that is taken", () => {
  test.each<[ApiName, string, string]>([
    ["sendgrid", "202, id 14c5d75ce93", "SendGrid"],
    ["postmark", "200, id b7bc2f4a-e38e", "Postmark"],
    ["resend", "200, id 49a3999c-0ce1", "Resend"],
    ["mailgun", "200, id <2030@mg.example.org>", "Mailgun"],
    ["ses", "200, id 0100-abc", "Amazon SES"],
  ])("by %s: its words and the id are passed on, and told step by step", async (kind, words, title) => {
    const service = standIn(SENT[kind]);
    const steps: string[] = [];
    const receipt = await mailerOf(kind, service.endpoint).send(mailOf(), (step) => steps.push(step));
    expect(receipt).toEqual({ by: kind, words });
    expect(steps).toEqual([
      expect.stringMatching(/^127\.0\.0\.1:\d+ answered with 20\d\.$/),
      `${title} accepted the mail: ${words}`,
    ]);
    expect(service.asked).toHaveLength(1);
    expect(service.asked[0]?.method).toBe("POST");
  });

  test.each<[ApiName, (asked: Asked) => unknown, unknown]>([
    [
      "sendgrid",
      (asked) => jsonOf(asked).attachments,
      [
        {
          ...{ filename: "logo.png", type: "image/png", disposition: "inline", content_id: "logo" },
          content: "cG5n",
        },
      ],
    ],
    [
      "postmark",
      (asked) => jsonOf(asked).Attachments,
      [{ Name: "logo.png", ContentType: "image/png", ContentID: "cid:logo", Content: "cG5n" }],
    ],
    [
      "resend",
      (asked) => jsonOf(asked).attachments,
      [{ filename: "logo.png", content_type: "image/png", content_id: "logo", content: "cG5n" }],
    ],
    ["mailgun", (asked) => /Content-ID: <logo>/i.test(asked.body.toString("latin1")), true],
    [
      "ses",
      (asked) =>
        /Content-ID: <logo>/i.test(Buffer.from(jsonOf(asked).Content.Raw.Data, "base64").toString("latin1")),
      true,
    ],
  ])("with a logo: %s gets it with the mail, to be shown in it", async (kind, attached, expected) => {
    const { asked, endpoint } = standIn(SENT[kind]);
    await mailerOf(kind, endpoint).send(mailOf({ html: '<img src="cid:logo">', logo: Buffer.from("png") }));
    expect(attached(asked[0] as Asked)).toEqual(expected);
  });

  test("SendGrid is asked as its v3 API wants it, with all tracking off", async () => {
    const { asked, endpoint } = standIn(SENT.sendgrid);
    await mailerOf("sendgrid", endpoint).send(mailOf());
    expect(asked[0]?.url.pathname).toBe("/v3/mail/send");
    expect(asked[0]?.headers.get("authorization")).toBe(`Bearer ${KEY}`);
    expect(jsonOf(asked[0])).toEqual({
      personalizations: [{ to: [{ email: "ann@example.org" }] }],
      from: { email: "login@runegate.test", name: "Lab, Inc." },
      reply_to: { email: "help@runegate.test" },
      subject: "Your sign-in link",
      content: [
        { type: "text/plain", value: mailOf().text },
        { type: "text/html", value: "<p>Hello</p>" },
      ],
      headers: {
        "Auto-Submitted": "auto-generated",
        "X-Auto-Response-Suppress": "All",
        "Message-ID": "<0123@runegate.test>",
      },
      tracking_settings: {
        click_tracking: { enable: false, enable_text: false },
        open_tracking: { enable: false },
        subscription_tracking: { enable: false },
        ganalytics: { enable: false },
      },
    });
  });

  test("Postmark is asked as its API wants it, with tracking off and our Message-ID kept", async () => {
    const { asked, endpoint } = standIn(SENT.postmark);
    await mailerOf("postmark", endpoint).send(mailOf());
    expect(asked[0]?.url.pathname).toBe("/email");
    expect(asked[0]?.headers.get("x-postmark-server-token")).toBe(KEY);
    expect(jsonOf(asked[0])).toMatchObject({
      From: '"Lab, Inc." <login@runegate.test>',
      To: "ann@example.org",
      ReplyTo: "help@runegate.test",
      Subject: "Your sign-in link",
      TextBody: mailOf().text,
      HtmlBody: "<p>Hello</p>",
      MessageStream: "outbound",
      TrackOpens: false,
      TrackLinks: "None",
      Headers: expect.arrayContaining([
        { Name: "Message-ID", Value: "<0123@runegate.test>" },
        { Name: "X-PM-KeepID", Value: "true" },
      ]),
    });
  });

  test("Resend gets one idempotency key for all attempts of a mail, and another for another mail", async () => {
    const { asked, endpoint } = standIn(SENT.resend);
    const mailer = mailerOf("resend", endpoint);
    for (const messageId of ["<1@x>", "<1@x>", "<2@x>"]) await mailer.send(mailOf({ messageId }));
    expect(asked.map(({ headers }) => headers.get("idempotency-key"))).toEqual(["<1@x>", "<1@x>", "<2@x>"]);
    expect(asked[0]?.url.pathname).toBe("/emails");
    expect(asked[0]?.headers.get("authorization")).toBe(`Bearer ${KEY}`);
    expect(jsonOf(asked[0])).toMatchObject({
      from: '"Lab, Inc." <login@runegate.test>',
      to: ["ann@example.org"],
      reply_to: "help@runegate.test",
    });
  });

  test("Mailgun gets the MIME message, with tracking off", async () => {
    const { asked, endpoint } = standIn(SENT.mailgun);
    await mailerOf("mailgun", endpoint).send(mailOf());
    const [one] = asked;
    expect(one?.url.pathname).toBe("/v3/mg.example.org/messages.mime");
    expect(one?.headers.get("authorization")).toBe(`Basic ${btoa(`api:${KEY}`)}`);
    const form = await new Response(one?.body, { headers: one?.headers ?? {} }).formData();
    expect(form.get("to")).toBe("ann@example.org");
    expect([...form].filter(([name]) => name.startsWith("o:"))).toEqual([
      ["o:tracking", "no"],
      ["o:tracking-clicks", "no"],
      ["o:tracking-opens", "no"],
    ]);
    const message = await (form.get("message") as unknown as Blob).text();
    expect(message).toContain("Message-ID: <0123@runegate.test>\r\n");
    expect(message).toContain("Subject: Your sign-in link\r\n");
  });

  test("SES gets the MIME message, with a signature that the same key, body and time make", async () => {
    const { asked, endpoint } = standIn(SENT.ses);
    await mailerOf("ses", endpoint).send(mailOf());
    const [one] = asked;
    expect(one?.url.pathname).toBe("/v2/email/outbound-emails");
    const { Content, ...rest } = jsonOf(one);
    expect(rest).toEqual({
      FromEmailAddress: "login@runegate.test",
      Destination: { ToAddresses: ["ann@example.org"] },
    });
    expect(Buffer.from(Content.Raw.Data, "base64").toString()).toContain("Subject: Your sign-in link\r\n");
    expect(one?.headers.get("x-amz-date")).toBe("20300115T123000Z");
    expect(one?.headers.get("authorization")).toBe(signatureOf(one));
  });

  test("nothing that is not one address is sent anywhere", async () => {
    for (const kind of KINDS) {
      const { asked, endpoint } = standIn(SENT[kind]);
      const error = await failure(
        mailerOf(kind, endpoint).send(mailOf({ to: "ann@example.org, eve@x.example" })),
      );
      expect([kind, error.permanent, asked.length]).toEqual([kind, true, 0]);
    }
  });
});

/** AWS Signature Version 4, written a second time from its description. */
function signatureOf(asked: Asked | undefined): string {
  if (asked === undefined) return "";
  const hmac = (key: string | Uint8Array, text: string) =>
    new Bun.CryptoHasher("sha256", key).update(text).digest() as Uint8Array;
  const hash = (data: string | Uint8Array) => new Bun.CryptoHasher("sha256").update(data).digest("hex");
  const date = asked.headers.get("x-amz-date") ?? "";
  const names = ["host", "x-amz-date"];
  const canonical = [
    "POST",
    asked.url.pathname,
    "",
    ...names.map((name) => `${name}:${asked.headers.get(name)}`),
    "",
    names.join(";"),
    hash(asked.body),
  ].join("\n");
  const scope = `${date.slice(0, 8)}/eu-central-1/ses/aws4_request`;
  const key = scope
    .split("/")
    .reduce<string | Uint8Array>(hmac, "AWS4wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY");
  const text = ["AWS4-HMAC-SHA256", date, scope, hash(canonical)].join("\n");
  const signature = Buffer.from(hmac(key, text)).toString("hex");
  return `AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/${scope}, SignedHeaders=${names.join(";")}, Signature=${signature}`;
}

const REFUSED = { permanent: true, misconfigured: false };
const LATER = { permanent: false, misconfigured: false };
const WRONG = { permanent: false, misconfigured: true };

describe.concurrent("what each documented answer comes to", () => {
  const sendgrid = (status: number, message: string, field: string | null = null): Reply => ({
    status,
    body: { errors: [{ message, field, help: null }] },
  });
  const postmark = (ErrorCode: number, Message: string, status = 422): Reply => ({
    status,
    body: { ErrorCode, Message },
  });
  const resend = (statusCode: number, name: string, message: string): Reply => ({
    status: statusCode,
    body: { statusCode, name, message },
  });
  const ses = (status: number, type: string, message: string): Reply => ({
    status,
    headers: { "x-amzn-ErrorType": `${type}:http://internal.amazon.com/coral/com.amazonaws.services.sesv2/` },
    body: { message },
  });
  const json = (status: number, message: string): Reply => ({ status, body: { message } });

  const ROWS: [ApiName, string, Reply, object, string][] = [
    [
      "sendgrid",
      "a bad recipient",
      sendgrid(400, "Does not contain a valid address.", "personalizations.0.to.0.email"),
      REFUSED,
      "refused the recipient: 400 Does not contain",
    ],
    [
      "sendgrid",
      "a bad sender",
      sendgrid(400, "The from email does not contain a valid address.", "from.email"),
      WRONG,
      "refused the sender",
    ],
    [
      "sendgrid",
      "another bad field",
      sendgrid(400, "The subject is required.", "subject"),
      WRONG,
      "did not understand",
    ],
    [
      "sendgrid",
      "a bad key",
      sendgrid(401, "The provided authorization grant is invalid, expired, or revoked"),
      WRONG,
      "does not accept the API key",
    ],
    ["sendgrid", "no credits", sendgrid(401, "Maximum credits exceeded"), LATER, "no mails left"],
    [
      "sendgrid",
      "a sender that is not verified",
      sendgrid(403, "The from address does not match a verified Sender Identity."),
      WRONG,
      "refused the sender",
    ],
    [
      "sendgrid",
      "blocked for a while",
      sendgrid(403, "You are temporarily blocked from sending emails due to repeated bad requests."),
      LATER,
      "for a while",
    ],
    ["sendgrid", "no permission", sendgrid(403, "access forbidden"), WRONG, "does not accept the API key"],
    ["sendgrid", "a wrong path", sendgrid(404, "not found"), WRONG, "did not understand"],
    ["sendgrid", "a wrong method", sendgrid(405, "method not allowed"), WRONG, "did not understand"],
    ["sendgrid", "no Accept", sendgrid(406, "missing Accept"), WRONG, "did not understand"],
    ["sendgrid", "too large", sendgrid(413, "payload too large"), WRONG, "did not understand"],
    ["sendgrid", "too many", sendgrid(429, "too many requests"), LATER, "takes no more mail"],
    ["sendgrid", "broken", sendgrid(500, "internal"), LATER, "cannot take the mail"],
    ["sendgrid", "away", { status: 503, body: "<html>" }, LATER, "cannot take the mail"],

    [
      "postmark",
      "a bad token",
      postmark(10, "No Account or Server API tokens were supplied", 401),
      WRONG,
      "does not accept the API key: 401 10 No",
    ],
    ["postmark", "maintenance", postmark(100, "Offline for maintenance"), LATER, "is being maintained"],
    [
      "postmark",
      "a bad recipient",
      postmark(300, "Error parsing 'To': Illegal email address"),
      REFUSED,
      "refused the recipient",
    ],
    ["postmark", "a bad sender", postmark(300, "Invalid 'From' value."), WRONG, "refused the sender"],
    [
      "postmark",
      "no body",
      postmark(300, "Provide either email TextBody or HtmlBody or both."),
      WRONG,
      "did not understand",
    ],
    [
      "postmark",
      "an unknown sender signature",
      postmark(400, "The 'From' address you supplied is not a Sender Signature"),
      WRONG,
      "refused the sender",
    ],
    [
      "postmark",
      "a sender that is not confirmed",
      postmark(401, "The 'From' address is not confirmed"),
      WRONG,
      "refused the sender",
    ],
    ["postmark", "bad JSON", postmark(402, "Invalid JSON"), WRONG, "did not understand"],
    ["postmark", "incompatible JSON", postmark(403, "Incompatible JSON"), WRONG, "did not understand"],
    ["postmark", "out of credits", postmark(405, "Not allowed to send"), WRONG, "no mails left"],
    [
      "postmark",
      "an inactive recipient",
      postmark(406, "You tried to send to recipient(s) that have been marked as inactive."),
      REFUSED,
      "sends nothing to this address",
    ],
    [
      "postmark",
      "an account that is pending",
      postmark(
        412,
        "While your account is pending approval, all recipient addresses must share the same domain as the 'From' address.",
      ),
      WRONG,
      "does not let this account",
    ],
    [
      "postmark",
      "an account that may not send",
      postmark(413, "Account may not send"),
      WRONG,
      "does not let this account",
    ],
    [
      "postmark",
      "success that is none",
      postmark(300, "", 200),
      WRONG,
      "answered what the service never answers",
    ],
    ["postmark", "too many", { status: 429 }, LATER, "takes no more mail"],
    ["postmark", "broken", { status: 500 }, LATER, "cannot take the mail"],
    ["postmark", "away", { status: 503 }, LATER, "cannot take the mail"],

    [
      "resend",
      "a bad recipient",
      resend(
        422,
        "validation_error",
        "Invalid `to` field. The email address needs to follow the `email@example.com` format.",
      ),
      REFUSED,
      "refused the recipient",
    ],
    [
      "resend",
      "a bad recipient, the older way",
      resend(400, "validation_error", "Invalid `to` field."),
      REFUSED,
      "refused the recipient",
    ],
    [
      "resend",
      "a missing field",
      resend(422, "missing_required_field", "Missing `subject` field."),
      WRONG,
      "did not understand",
    ],
    [
      "resend",
      "a bad sender",
      resend(422, "invalid_from_address", "Invalid `from` field."),
      WRONG,
      "refused the sender",
    ],
    [
      "resend",
      "no domain yet",
      resend(
        403,
        "validation_error",
        "You can only send testing emails to your own email address (ann@example.org). To send emails to other recipients, please verify a domain",
      ),
      WRONG,
      "refused the sender",
    ],
    [
      "resend",
      "a domain that is not verified",
      resend(403, "validation_error", "The runegate.test domain is not verified."),
      WRONG,
      "refused the sender",
    ],
    [
      "resend",
      "no key",
      resend(401, "missing_api_key", "Missing API key in the authorization header."),
      WRONG,
      "does not accept the API key",
    ],
    [
      "resend",
      "a restricted key",
      resend(401, "restricted_api_key", "This API key is restricted to only send emails."),
      WRONG,
      "does not accept the API key",
    ],
    [
      "resend",
      "a bad key",
      resend(403, "invalid_api_key", "API key is invalid."),
      WRONG,
      "does not accept the API key",
    ],
    [
      "resend",
      "an idempotency key that is too long",
      resend(400, "invalid_idempotency_key", "The key must be between 1-256 chars."),
      WRONG,
      "did not understand",
    ],
    [
      "resend",
      "an attempt still under way",
      resend(
        409,
        "concurrent_idempotent_requests",
        "Same idempotency key used while original request is still in progress.",
      ),
      LATER,
      "still busy",
    ],
    [
      "resend",
      "a key that was used for another mail",
      resend(
        409,
        "invalid_idempotent_request",
        "Same idempotency key used with a different request payload.",
      ),
      REFUSED,
      "has this mail already",
    ],
    [
      "resend",
      "not found",
      resend(404, "not_found", "The requested endpoint does not exist."),
      WRONG,
      "did not understand",
    ],
    [
      "resend",
      "a wrong method",
      resend(405, "method_not_allowed", "Method is not allowed"),
      WRONG,
      "did not understand",
    ],
    [
      "resend",
      "the day's quota",
      resend(429, "daily_quota_exceeded", "You have reached your daily email quota."),
      LATER,
      "no mails left",
    ],
    [
      "resend",
      "the month's quota",
      resend(429, "monthly_quota_exceeded", "You have reached your monthly email quota."),
      LATER,
      "no mails left",
    ],
    [
      "resend",
      "too many",
      resend(429, "rate_limit_exceeded", "Too many requests."),
      LATER,
      "takes no more mail",
    ],
    [
      "resend",
      "a security issue",
      resend(451, "security_error", "We may have found a security issue with the request."),
      WRONG,
      "did not understand",
    ],
    [
      "resend",
      "broken",
      resend(500, "application_error", "An unexpected error occurred."),
      LATER,
      "cannot take the mail",
    ],
    [
      "resend",
      "broken inside",
      resend(500, "internal_server_error", "An unexpected error occurred."),
      LATER,
      "cannot take the mail",
    ],

    [
      "mailgun",
      "a bad recipient",
      json(400, "to parameter is not a valid address. please check documentation"),
      REFUSED,
      "refused the recipient",
    ],
    [
      "mailgun",
      "a bad recipient, the older way",
      json(400, "'to' parameter is not a valid address."),
      REFUSED,
      "refused the recipient",
    ],
    [
      "mailgun",
      "a bad sender",
      json(400, "from parameter is not a valid address"),
      WRONG,
      "refused the sender",
    ],
    [
      "mailgun",
      "another mistake",
      json(400, "Need at least one of 'text', 'html' parameters"),
      WRONG,
      "did not understand",
    ],
    ["mailgun", "a bad key", { status: 401, body: "Forbidden" }, WRONG, "does not accept the API key"],
    ["mailgun", "an unpaid account", json(402, "Payment required"), WRONG, "wants to be paid"],
    [
      "mailgun",
      "an account that is disabled",
      json(403, "Domain mg.example.org is not allowed to send: The domain is unverified"),
      WRONG,
      "does not accept the API key: 403 Domain",
    ],
    [
      "mailgun",
      "a domain that is not known everywhere",
      json(404, "Domain not found: mg.example.org"),
      LATER,
      "does not know the domain",
    ],
    ["mailgun", "a wrong path", { status: 404, body: "404 page not found" }, WRONG, "did not understand"],
    ["mailgun", "too large", { status: 413 }, WRONG, "did not understand"],
    [
      "mailgun",
      "too many, the older way",
      json(420, "Domain is not allowed to send: recipient limit exceeded, try again after 5 minutes"),
      LATER,
      "takes no more mail",
    ],
    ["mailgun", "too many", json(429, "Too many requests"), LATER, "takes no more mail"],
    ["mailgun", "broken", json(500, "Internal Server Error"), LATER, "cannot take the mail"],

    [
      "ses",
      "a bad recipient",
      ses(400, "BadRequestException", "Missing final '@domain'"),
      REFUSED,
      "refused the recipient: 400 BadRequestException: Missing final",
    ],
    [
      "ses",
      "another mistake",
      ses(400, "BadRequestException", "The input you provided is invalid."),
      WRONG,
      "did not understand",
    ],
    [
      "ses",
      "bad content",
      ses(400, "MessageRejected", "Transaction failed: Empty required header 'From'."),
      REFUSED,
      "refused the mail",
    ],
    [
      "ses",
      "the sandbox",
      ses(
        400,
        "MessageRejected",
        "Email address is not verified. The following identities failed the check in region EU-CENTRAL-1: ann@example.org",
      ),
      WRONG,
      "not verified",
    ],
    [
      "ses",
      "a domain that is not verified",
      ses(400, "MailFromDomainNotVerifiedException", "The domain isn't verified."),
      WRONG,
      "refused the sender",
    ],
    [
      "ses",
      "an account that is closed",
      ses(400, "AccountSuspendedException", "Permanently restricted."),
      WRONG,
      "has closed this account",
    ],
    [
      "ses",
      "an account that is paused",
      ses(400, "SendingPausedException", "Currently paused."),
      LATER,
      "has paused this account",
    ],
    [
      "ses",
      "too many",
      ses(429, "TooManyRequestsException", "Too many requests"),
      LATER,
      "takes no more mail",
    ],
    [
      "ses",
      "throttled",
      ses(400, "ThrottlingException", "Maximum sending rate exceeded."),
      LATER,
      "takes no more mail",
    ],
    [
      "ses",
      "a limit",
      ses(400, "LimitExceededException", "Daily message quota exceeded."),
      LATER,
      "takes no more mail",
    ],
    [
      "ses",
      "not found",
      ses(404, "NotFoundException", "The resource doesn't exist."),
      WRONG,
      "did not understand",
    ],
    [
      "ses",
      "no permission",
      ses(403, "AccessDeniedException", "User is not authorized to perform: ses:SendEmail"),
      WRONG,
      "does not accept the API key",
    ],
    [
      "ses",
      "an unknown key",
      ses(403, "UnrecognizedClientException", "The security token included in the request is invalid."),
      WRONG,
      "does not accept the API key",
    ],
    [
      "ses",
      "a wrong signature",
      ses(403, "InvalidSignatureException", "Signature expired: 20300115T123000Z is now earlier than …"),
      WRONG,
      "does not accept the signature",
    ],
    [
      "ses",
      "an error in the body alone",
      { status: 400, body: { __type: "com.amazonaws.ses#MessageRejected", Message: "Illegal content" } },
      REFUSED,
      "refused the mail: 400 MessageRejected: Illegal",
    ],
    ["ses", "broken", { status: 500 }, LATER, "cannot take the mail"],
  ];
  test.each(ROWS)("%s: %s", async (kind, _, reply, expected, reason) => {
    const error = await failure(mailerOf(kind, standIn(reply).endpoint).send(mailOf()));
    expect(error).toMatchObject(expected);
    expect(error.reason).toContain(reason);
    expect(error.remedy).not.toBe("");
    expect(error.reason + error.remedy).not.toContain(KEY);
  });
});

describe.concurrent("whatever answers", () => {
  test.each(KINDS)("%s: a page in its place is not taken for the service", async (kind) => {
    const page = { status: 200, body: "<html>Sign in to the network</html>" };
    const error = await failure(mailerOf(kind, standIn(page).endpoint).send(mailOf()));
    expect(error).toMatchObject(WRONG);
  });

  test.each(KINDS)("%s: a redirect is not followed, and the key goes nowhere else", async (kind) => {
    const elsewhere = standIn(SENT[kind]);
    const service = standIn({ status: 307, headers: { Location: `${elsewhere.endpoint}/` } });
    const error = await failure(mailerOf(kind, service.endpoint).send(mailOf()));
    expect(error).toMatchObject(WRONG);
    expect(error.reason).toContain("leads elsewhere");
    expect(elsewhere.asked).toEqual([]);
  });

  test("an answer without end is read no further than 64 KiB", async () => {
    let isCancelled = false;
    const service = standIn(async () => {
      const endless = new ReadableStream({
        pull(controller) {
          controller.enqueue(new Uint8Array(16_384).fill(0x61));
        },
        cancel() {
          isCancelled = true;
        },
      });
      return new Response(endless, { status: 400 });
    });
    const error = await failure(mailerOf("sendgrid", service.endpoint).send(mailOf()));
    expect(error).toMatchObject(WRONG);
    expect(error.reason.length).toBeLessThan(400);
    await until(() => isCancelled);
  });

  test("one that never answers is given up in time", async () => {
    const never = Promise.withResolvers<Response>();
    const service = standIn(() => never.promise);
    const error = await failure(mailerOf("resend", service.endpoint, 200).send(mailOf()));
    expect(error).toMatchObject(LATER);
    expect(error.reason).toContain("did not answer within 0.2 s");
    never.resolve(new Response());
  });

  test("one that is not there", async () => {
    const error = await failure(mailerOf("mailgun", "http://127.0.0.1:1").send(mailOf()));
    expect(error).toMatchObject(LATER);
    expect(error.reason).toContain("127.0.0.1:1 cannot be reached");
  });

  test("a certificate that nobody trusts: nothing is sent", async () => {
    let asked = 0;
    const server = Bun.serve({
      ...{ hostname: "127.0.0.1", port: 0, tls: makeCertificate() },
      fetch() {
        asked++;
        return new Response();
      },
    });
    started.push(server);
    const error = await failure(mailerOf("postmark", `https://127.0.0.1:${server.port}`).send(mailOf()));
    expect(error).toMatchObject(WRONG);
    expect(error.reason).toContain("certificate");
    expect(asked).toBe(0);
  });

  test("what it repeats of the key, the link and the code stays out of the reason", async () => {
    const message = `no: ${KEY} ${btoa(`api:${KEY}`)} https://gate.example/auth?token=s3cret ABCD-2345`;
    const service = standIn({ status: 500, body: { message } });
    const error = await failure(mailerOf("mailgun", service.endpoint).send(mailOf()));
    expect(error.reason).toEndWith("500 no: *** *** https://gate.example/auth?*** ***");
  });

  test("can be tried without a mail", async () => {
    const service = standIn({ status: 404 });
    const lines: string[] = [];
    await mailerOf("postmark", service.endpoint).verify((line) => lines.push(line));
    expect(lines[0]).toMatch(/answers, with 404\.$/);
    expect(service.asked.map(({ method }) => method)).toEqual(["HEAD"]);
    expect(service.asked[0]?.headers.get("x-postmark-server-token")).toBeNull();
  });
});
