import { afterAll, beforeAll, beforeEach, describe, expect, test } from "bun:test";
import { auditOf, NAVIGATION, postLogin, said } from "../login/support.ts";
import { type TestClock, testClock } from "../support/clock.ts";
import { startGateway, type TestGateway } from "../support/gateway.ts";
import { BOTH, HCAPTCHA, type Provider, type StandIns, startStandIns, TURNSTILE } from "./stand-ins.ts";

/** Turnstile and hCaptcha in front of asking for a mail, against servers made from their documentation. */

const envOf = (provider: Provider, more: Readonly<Record<string, string>> = {}) => ({
  RUNEGATE_CAPTCHA: provider.kind,
  RUNEGATE_CAPTCHA_SITE_KEY: provider.siteKey,
  RUNEGATE_CAPTCHA_SECRET: provider.secret,
  RUNEGATE_LOG_FORMAT: "json",
  ...more,
});

/** As a program, and as the page's own form. */
const WAYS = [
  [
    "JSON",
    (gateway: TestGateway, _: Provider, answer: string) =>
      postLogin(gateway, { email: "ada@example.org", captcha: answer }),
  ],
  [
    "a form",
    (gateway: TestGateway, { field }: Provider, answer: string) =>
      postForm(gateway, { email: "ada@example.org", [field]: answer }),
  ],
] as const;

function postForm(gateway: TestGateway, fields: Record<string, string>): Promise<Response> {
  return fetch(`${gateway.url}/_runegate/login`, {
    method: "POST",
    redirect: "manual",
    headers: { ...NAVIGATION, Origin: gateway.url },
    body: new URLSearchParams(fields),
  });
}

const reasons = (gateway: TestGateway) =>
  auditOf(gateway).flatMap(({ event, reason }) => (event === "captcha_refused" ? [reason] : []));

async function mails(gateway: TestGateway): Promise<number> {
  await gateway.gateway.outbox.runDue();
  return gateway.mailbox.mails().length;
}

/** What a visitor gets: the code of the failure as JSON, the alert of the page. */
async function refusal(response: Response): Promise<unknown> {
  if (response.headers.get("content-type")?.startsWith("application/json")) {
    return [response.status, (await said(response)).error];
  }
  const alert = /role="alert">([^<]*)</.exec(await response.text())?.[1];
  return [response.status, alert];
}

const FAILED = "That you are not a robot could not be confirmed, or was too long ago. Try again.";
const MISSING = "Confirm that you are not a robot, then send it again.";
const UNAVAILABLE =
  "The service that tells people from robots cannot be reached. Try again in a few minutes.";

describe.each(BOTH.map((provider) => [provider.kind, provider] as const))("%s", (_, provider) => {
  let clock: TestClock;
  let services: StandIns;
  let gateway: TestGateway;
  beforeAll(async () => {
    clock = testClock();
    services = startStandIns(clock);
    gateway = await startGateway({ clock, fetch: services.fetch, env: envOf(provider) });
  });
  afterAll(async () => {
    await gateway.stop();
    services.stop();
  });
  beforeEach(() => {
    services.instead = undefined;
    clock.advance(3_600_000);
  });

  describe.each(WAYS)("by %s", (way, send) => {
    const refused = (code: string, words: string, status = 403) => [status, way === "JSON" ? code : words];

    test("a good answer has a mail sent", async () => {
      const before = await mails(gateway);
      const response = await send(gateway, provider, services.issue(provider));
      expect(response.status).toBe(way === "JSON" ? 200 : 303);
      expect(await mails(gateway)).toBe(before + 1);
      const sent = Object.fromEntries(services.asked.at(-1) ?? []);
      const { secret, siteKey } = provider;
      // Nothing of the visitor, and nothing of the address.
      expect(sent).toEqual({
        ...{ secret, response: expect.any(String) },
        ...(provider.kind === "hcaptcha" ? { sitekey: siteKey } : {}),
      });
    });

    test("one that is sent again is refused", async () => {
      const answer = services.issue(provider);
      expect((await send(gateway, provider, answer)).ok || way === "a form").toBe(true);
      const before = await mails(gateway);
      expect(await refusal(await send(gateway, provider, answer))).toEqual(refused("captcha_failed", FAILED));
      expect(reasons(gateway).at(-1)).toBe(provider.spent);
      expect(await mails(gateway)).toBe(before);
    });

    test.each<[string, () => string, string]>([
      [
        "has expired",
        () => {
          const answer = services.issue(provider);
          clock.advance(provider.lifeMs);
          return answer;
        },
        provider.expired,
      ],
      [
        "was given on another site",
        () => services.issue(provider, { hostname: "evil.example" }),
        "other_site",
      ],
      [
        "was given on a host below ours",
        () => services.issue(provider, { hostname: "a.127.0.0.1" }),
        "other_site",
      ],
      ["was made up", () => "made-up", "invalid-input-response"],
      ["is no end of text", () => "x".repeat(8193), "malformed"],
      ["is the test answer", () => provider.dummies[0]?.[1] ?? "", "invalid-input-response"],
    ])("one that %s is refused", async (_, answer, reason) => {
      const before = await mails(gateway);
      expect(await refusal(await send(gateway, provider, answer()))).toEqual(
        refused("captcha_failed", FAILED),
      );
      expect(reasons(gateway).at(-1)).toBe(reason);
      expect(await mails(gateway)).toBe(before);
    });

    test("none is refused", async () => {
      const before = await mails(gateway);
      expect(await refusal(await send(gateway, provider, ""))).toEqual(refused("captcha_required", MISSING));
      expect(await mails(gateway)).toBe(before);
    });

    test.each<[string, () => Response]>([
      ["is broken", () => new Response("<h1>Bad gateway</h1>", { status: 502 })],
      ["says nothing that could be understood", () => new Response("{", { status: 200 })],
      ["says neither yes nor no", () => Response.json({ hostname: "127.0.0.1" })],
      [
        "says yes in text",
        () => Response.json({ success: "true", hostname: "127.0.0.1", action: "sign_in" }),
      ],
      [
        "says yes with a status of failure",
        () => Response.json({ success: true, hostname: "127.0.0.1", action: "sign_in" }, { status: 500 }),
      ],
      ["has an error inside", () => Response.json({ success: false, "error-codes": ["internal-error"] })],
      ["leads elsewhere", () => Response.redirect(`https://127.0.0.1:${services.port}/elsewhere`, 307)],
      [
        "answers without end",
        () =>
          Response.json({
            success: true,
            hostname: "127.0.0.1",
            action: "sign_in",
            more: "x".repeat(17_000),
          }),
      ],
    ])("while the service %s, nobody gets a mail", async (_, instead) => {
      services.instead = instead;
      const before = await mails(gateway);
      const response = await send(gateway, provider, services.issue(provider));
      expect(response.headers.get("retry-after")).toBe("60");
      expect(await refusal(response)).toEqual(refused("captcha_unavailable", UNAVAILABLE, 503));
      expect(reasons(gateway).at(-1)).toBe("no_verdict");
      expect(await mails(gateway)).toBe(before);
    });
  });

  test("the page has the box of the service in its form, and says what to do where there is no script", async () => {
    const response = await fetch(`${gateway.url}/_runegate/login`, { headers: NAVIGATION });
    const html = await response.text();
    const form = /<form[^>]*action="\/_runegate\/login">(.*?)<\/form>/s.exec(html)?.[1] ?? "";
    expect(form).toContain(`data-sitekey="${provider.siteKey}"`);
    expect(form).toContain("<noscript>");
    expect(html).not.toContain(provider.secret);
  });

  test("a front end of one's own is told what to show", async () => {
    const offer = await (await fetch(`${gateway.url}/_runegate/captcha`)).json();
    const action = provider.kind === "turnstile" ? { action: "sign_in" } : {};
    expect(offer).toEqual({ kind: provider.kind, required: true, site_key: provider.siteKey, ...action });
  });

  test("a form of another page of ours is led to the one with the box, the address filled in", async () => {
    const response = await postForm(gateway, { email: "ada@example.org", next: "/x?y=1" });
    const html = await response.text();
    expect(html).toContain('value="ada@example.org"');
    expect(html).toContain('value="/x?y=1"');
    expect(html).toContain(provider.siteKey);
  });

  test("an answer is not asked about for a client that may not ask, nor for what is no address", async () => {
    const limited = await startGateway({
      clock,
      fetch: services.fetch,
      env: envOf(provider, { RUNEGATE_RATE_LIMIT_ENABLED: "true", RUNEGATE_LOGIN_RATE_LIMIT: "1" }),
    });
    const send = (email: string) => postLogin(limited, { email, captcha: services.issue(provider) });
    const before = services.asked.length;
    expect((await send("no address")).status).toBe(400);
    expect(services.asked.length).toBe(before);
    expect((await send("ada@example.org")).status).toBe(200);
    expect((await send("ada@example.org")).status).toBe(429);
    expect(services.asked.length).toBe(before + 1);
    await limited.stop();
  });

  test("where it may be passed over, those without a verdict get one mail in ten minutes", async () => {
    const lenient = await startGateway({
      clock,
      fetch: services.fetch,
      env: envOf(provider, { RUNEGATE_CAPTCHA_ON_ERROR: "allow" }),
    });
    services.instead = () => new Response("", { status: 503 });
    const send = (email: string, captcha: string) => postLogin(lenient, { email, captcha });
    expect((await send("a@example.org", services.issue(provider))).status).toBe(200);
    const second = await send("b@example.org", services.issue(provider));
    expect([second.status, second.headers.get("retry-after")]).toEqual([429, "600"]);
    clock.advance(600_000);
    // A person whose browser could not load the widget; a program is to send an answer.
    expect((await postLogin(lenient, { email: "c@example.org" })).status).toBe(403);
    expect((await postForm(lenient, { email: "c@example.org" })).status).toBe(303);
    expect((await postForm(lenient, { email: "d@example.org" })).status).toBe(429);
    services.instead = undefined;
    // A verdict is a verdict.
    expect((await send("e@example.org", "made-up")).status).toBe(403);
    expect((await send("e@example.org", services.issue(provider))).status).toBe(200);
    expect(await mails(lenient)).toBe(3);
    await lenient.stop();
  });

  test("a secret that is wrong lets nobody by, whatever the option, and is said to the operator", async () => {
    const wrong = await startGateway({
      clock,
      fetch: services.fetch,
      env: envOf(provider, { RUNEGATE_CAPTCHA_SECRET: "another", RUNEGATE_CAPTCHA_ON_ERROR: "allow" }),
    });
    const response = await postLogin(wrong, { email: "ada@example.org", captcha: services.issue(provider) });
    expect(await refusal(response)).toEqual([403, "captcha_failed"]);
    expect(wrong.lines.filter((line) => line.includes("does not take our requests"))).toHaveLength(1);
    expect(wrong.lines.join()).not.toContain('another"');
    await wrong.stop();
  });

  test.each(provider.dummies)(
    "the test secret %s, sent %s, opens nothing",
    async (secret, token, outcome) => {
      const dummy = await startGateway({
        clock,
        fetch: services.fetch,
        env: envOf(provider, { RUNEGATE_CAPTCHA_SECRET: secret }),
      });
      const response = await postLogin(dummy, { email: "ada@example.org", captcha: token });
      expect(await refusal(response)).toEqual([403, "captcha_failed"]);
      expect(reasons(dummy)).toEqual([outcome === "passes" ? "other_site" : outcome]);
      await dummy.stop();
    },
  );

  test("a service that does not answer is given up after five seconds", async () => {
    let signal: AbortSignal | null | undefined;
    const asking = await startGateway({
      clock,
      env: envOf(provider),
      fetch: async (_, init) => {
        signal = init.signal;
        return services.fetch(_, init);
      },
    });
    const timeouts: number[] = [];
    const timeout = AbortSignal.timeout;
    AbortSignal.timeout = (milliseconds) => {
      timeouts.push(milliseconds);
      return AbortSignal.abort(new DOMException("The operation timed out.", "TimeoutError"));
    };
    try {
      const response = await postLogin(asking, {
        email: "ada@example.org",
        captcha: services.issue(provider),
      });
      expect(await refusal(response)).toEqual([503, "captcha_unavailable"]);
    } finally {
      AbortSignal.timeout = timeout;
    }
    expect([timeouts, signal?.aborted]).toEqual([[5000], true]);
    await asking.stop();
  });
});

test("Turnstile's answer for another action than signing in is refused", async () => {
  const clock = testClock();
  const services = startStandIns(clock);
  const gateway = await startGateway({ clock, fetch: services.fetch, env: envOf(TURNSTILE) });
  for (const action of ["sign_up", "", "SIGN_IN"]) {
    const captcha = services.issue(TURNSTILE, { action });
    expect(await refusal(await postLogin(gateway, { email: "ada@example.org", captcha }))).toEqual([
      403,
      "captcha_failed",
    ]);
    expect(reasons(gateway)).toContain("other_action");
  }
  await gateway.stop();
  services.stop();
});

test("hCaptcha's answer for another site key is refused; that it does not say for which host is none", async () => {
  const clock = testClock();
  const services = startStandIns(clock);
  const gateway = await startGateway({ clock, fetch: services.fetch, env: envOf(HCAPTCHA) });
  const send = (facts: Parameters<StandIns["issue"]>[1]) =>
    postLogin(gateway, { email: "ada@example.org", captcha: services.issue(HCAPTCHA, facts) });
  expect((await send({ siteKey: "of-somebody-else" })).status).toBe(403);
  expect(reasons(gateway)).toEqual(["sitekey-secret-mismatch"]);
  // Its documentation: in place of a host while a site has unusual traffic.
  expect((await send({ hostname: "not-provided" })).status).toBe(200);
  await gateway.stop();
  services.stop();
});
