import { describe, expect, test } from "bun:test";
import { MailError, type Mailer } from "../../src/mail/mailer.ts";
import { createMemoryStore } from "../../src/store/memory.ts";
import { StoreUnavailable } from "../../src/store/records.ts";
import {
  type AskedFor,
  askFor,
  auditOf,
  NAVIGATION,
  openLink,
  postLogin,
  redeem,
  said,
  sessionOf,
  whoAmI,
} from "../login/support.ts";
import { type TestClock, testClock } from "../support/clock.ts";
import { startGateway, type TestGateway, type TestGatewaySettings } from "../support/gateway.ts";

/** The three limits through the front door, on a clock that only the test moves (CONTRACT section 5). */

type Run = (here: { readonly gateway: TestGateway; readonly clock: TestClock }) => Promise<void>;

async function withLimits(run: Run, settings: TestGatewaySettings = {}): Promise<void> {
  const clock = testClock();
  const env = { RUNEGATE_RATE_LIMIT_ENABLED: "true", RUNEGATE_LOG_FORMAT: "json", ...settings.env };
  const gateway = await startGateway({ ...settings, clock, env });
  try {
    await run({ gateway, clock });
  } finally {
    await gateway.stop();
  }
}

const from = (ip: string) => ({ "X-Forwarded-For": ip });
let count = 0;
/** Nobody has asked for this address yet. */
const someone = () => `someone${++count}@example.org`;

/** Checks everything a 429 has to say, and gives its seconds. */
async function limitedBy(response: Response, scope: "IP" | "Email"): Promise<number> {
  expect(response.status).toBe(429);
  expect(response.headers.get("x-ratelimit-exceeded")).toBe(scope);
  const reset = response.headers.get("x-ratelimit-reset") ?? "";
  expect(reset).toMatch(/^[1-9]\d*$/);
  expect(response.headers.get("retry-after")).toBe(reset);
  expect(response.headers.getSetCookie()).toEqual([]);
  expect(await said(response)).toEqual({
    status: 429,
    error: "rate_limited",
    message: expect.stringMatching(
      /^(?:Too many requests|A link was asked for this address a short while ago)\. Try again in \d+ (?:second|minute)s?\.$/,
    ),
    retry_after: Number(reset),
  });
  return Number(reset);
}

describe("login requests of one client", () => {
  test("are five a minute, and the wait told is the true one", () =>
    withLimits(async ({ gateway, clock }) => {
      const ask = () => postLogin(gateway, { email: someone() }, from("198.51.100.1"));
      for (let request = 0; request < 5; request++) {
        expect((await ask()).status).toBe(200);
        clock.advance(1_000);
      }
      // The first was five seconds ago.
      expect(await limitedBy(await ask(), "IP")).toBe(55);
      clock.advance(54_999);
      expect(await limitedBy(await ask(), "IP")).toBe(1);
      clock.advance(1);
      expect((await ask()).status).toBe(200);
      // One place was free, not five.
      expect(await limitedBy(await ask(), "IP")).toBe(1);
    }));

  test("are never more than five in any minute, at a window's edge either", () =>
    withLimits(async ({ gateway, clock }) => {
      const allowed: number[] = [];
      for (let step = 0; step < 90; step++) {
        if ((await postLogin(gateway, { email: someone() }, from("198.51.100.1"))).status === 200)
          allowed.push(clock.monotonic());
        clock.advance(2_000);
      }
      expect(allowed.length).toBeGreaterThanOrEqual(15);
      allowed.forEach((time, index) => {
        const sixth = allowed[index + 5];
        if (sixth !== undefined) expect(sixth - time).toBeGreaterThanOrEqual(60_000);
      });
    }));

  test("are not prolonged by asking in vain", () =>
    withLimits(async ({ gateway, clock }) => {
      const ask = () => postLogin(gateway, { email: someone() }, from("198.51.100.1"));
      for (let request = 0; request < 5; request++) await ask();
      for (let second = 0; second < 60; second++) {
        expect(await limitedBy(await ask(), "IP")).toBe(60 - second);
        clock.advance(1_000);
      }
      expect((await ask()).status).toBe(200);
    }));

  test("fill no log: what is refused again and again is told of at once and then as a number", async () => {
    const client = "198.51.100.1";
    await withLimits(async ({ gateway }) => {
      for (let request = 0; request < 50; request++) {
        await postLogin(gateway, { email: `a${request}@example.org` }, from(client));
      }
      const refused = { event: "login_requested", client, outcome: "rate_limited" };
      expect(auditOf(gateway).slice(5)).toEqual([{ ...refused, email: "a5@example.org" }]);
      await gateway.gateway.stop();
      const after = auditOf(gateway).slice(6);
      expect(after.filter(({ event }) => event !== "audit_head")).toEqual([{ ...refused, repeated: 44 }]);
    });
  });

  test("do not count against another client", () =>
    withLimits(async ({ gateway }) => {
      for (let request = 0; request < 6; request++)
        await postLogin(gateway, { email: someone() }, from("198.51.100.1"));
      expect((await postLogin(gateway, { email: someone() }, from("198.51.100.2"))).status).toBe(200);
    }));

  test("a refused one leaves the address's cooldown alone", () =>
    withLimits(async ({ gateway }) => {
      for (let request = 0; request < 5; request++)
        await postLogin(gateway, { email: someone() }, from("198.51.100.1"));
      const email = someone();
      await limitedBy(await postLogin(gateway, { email }, from("198.51.100.1")), "IP");
      expect((await postLogin(gateway, { email }, from("198.51.100.2"))).status).toBe(200);
    }));

  test("of one IPv6 /64 are counted together, v4-mapped ones with their IPv4", () =>
    withLimits(async ({ gateway }) => {
      for (let host = 1; host <= 5; host++) {
        expect((await postLogin(gateway, { email: someone() }, from(`2001:db8:1:2::${host}`))).status).toBe(
          200,
        );
      }
      await limitedBy(
        await postLogin(gateway, { email: someone() }, from("2001:db8:1:2:ffff:ffff:ffff:ffff")),
        "IP",
      );
      expect((await postLogin(gateway, { email: someone() }, from("2001:db8:1:3::1"))).status).toBe(200);
      for (let request = 0; request < 5; request++)
        await postLogin(gateway, { email: someone() }, from("198.51.100.9"));
      await limitedBy(await postLogin(gateway, { email: someone() }, from("::ffff:198.51.100.9")), "IP");
    }));

  test.each<[network: string, most: number, inside: (index: number) => string, outside: string]>([
    ["/56", 20, (index) => `2001:db8:1:2${(index + 16).toString(16)}::1`, "2001:db8:1:300::1"],
    ["/48", 80, (index) => `2001:db8:1:${(index * 256).toString(16)}::1`, "2001:db8:2::1"],
  ])("of one IPv6 %s are %i at most, each from a network of its own", (_, most, inside, outside) =>
    withLimits(async ({ gateway, clock }) => {
      const ask = (ip: string) => postLogin(gateway, { email: someone() }, from(ip));
      for (let index = 0; index < most; index++) {
        expect([index, (await ask(inside(index))).status]).toEqual([index, 200]);
      }
      clock.advance(10_000);
      for (let again = 0; again < 5; again++) expect(await limitedBy(await ask(inside(most)), "IP")).toBe(50);
      expect((await ask(outside)).status).toBe(200);
      // What was refused was counted on none of its networks.
      clock.advance(50_000);
      for (let request = 0; request < 5; request++) expect((await ask(inside(most))).status).toBe(200);
    }),
  );

  test.each<[what: string, fields: (request: number) => Record<string, string>]>([
    [
      "X-Forwarded-For with hops in front",
      (request) => ({ "X-Forwarded-For": `1.1.1.${request}, 198.51.100.1` }),
    ],
    ["X-Real-IP", (request) => ({ "X-Real-IP": `1.1.1.${request}`, ...from("198.51.100.1") })],
    ["Forwarded", (request) => ({ Forwarded: `for=1.1.1.${request}`, ...from("198.51.100.1") })],
    ["True-Client-IP", (request) => ({ "True-Client-IP": `1.1.1.${request}`, ...from("198.51.100.1") })],
    ["X_Forwarded_For", (request) => ({ X_Forwarded_For: `1.1.1.${request}`, ...from("198.51.100.1") })],
    [
      "another spelling of the same address",
      (request) => ({
        "X-Forwarded-For":
          [
            "198.51.100.1",
            "198.51.100.1:80",
            "::ffff:198.51.100.1",
            "[::ffff:c633:6401]:9",
            " 198.51.100.1 ",
            "198.51.100.1:1",
          ][request % 6] ?? "",
      }),
    ],
    ["another user agent", (request) => ({ "User-Agent": `x${request}`, ...from("198.51.100.1") })],
    ["another cookie", (request) => ({ Cookie: `runegate_login=${request}`, ...from("198.51.100.1") })],
    ["another Host", (request) => ({ Host: `h${request}.example`, ...from("198.51.100.1") })],
  ])("are not spread over more clients by %s", (_, fields) =>
    withLimits(async ({ gateway }) => {
      for (let request = 0; request < 5; request++) {
        expect((await postLogin(gateway, { email: someone() }, fields(request))).status).toBe(200);
      }
      await limitedBy(await postLogin(gateway, { email: someone() }, fields(5)), "IP");
    }),
  );

  test("from a peer that is not trusted are counted on the peer, whatever it says", () =>
    withLimits(
      async ({ gateway }) => {
        for (let request = 0; request < 5; request++) {
          expect((await postLogin(gateway, { email: someone() }, from(`1.1.1.${request}`))).status).toBe(200);
        }
        await limitedBy(await postLogin(gateway, { email: someone() }, from("1.1.1.99")), "IP");
      },
      { env: { RUNEGATE_TRUSTED_PROXIES: "10.0.0.0/8" } },
    ));

  test("malformed ones count nothing and are told first", () =>
    withLimits(async ({ gateway }) => {
      for (let request = 0; request < 8; request++)
        expect((await postLogin(gateway, { email: "x" }, from("198.51.100.1"))).status).toBe(400);
      expect((await postLogin(gateway, { email: someone() }, from("198.51.100.1"))).status).toBe(200);
    }));

  test("as a page say the same, with the form again", () =>
    withLimits(async ({ gateway }) => {
      for (let request = 0; request < 5; request++) await postLogin(gateway, { email: someone() });
      const page = await postLogin(gateway, { email: someone(), next: "/wanted" }, NAVIGATION);
      expect(page.status).toBe(429);
      expect([
        page.headers.get("x-ratelimit-exceeded"),
        page.headers.get("retry-after"),
        page.headers.get("x-ratelimit-reset"),
      ]).toEqual(["IP", "60", "60"]);
      const html = await page.text();
      for (const part of ["Try again in 60 seconds.", 'name="email"', 'value="/wanted"'])
        expect(html).toContain(part);
    }));
});

describe("mail to one address", () => {
  test("is one in 300 seconds, from wherever it is asked for, and the wait told is the true one", () =>
    withLimits(async ({ gateway, clock }) => {
      const email = someone();
      expect((await postLogin(gateway, { email }, from("198.51.100.1"))).status).toBe(200);
      clock.advance(10_500);
      expect(await limitedBy(await postLogin(gateway, { email }, from("203.0.113.5")), "Email")).toBe(290);
      expect(
        await limitedBy(
          await postLogin(gateway, { email: email.toUpperCase() }, from("203.0.113.6")),
          "Email",
        ),
      ).toBe(290);
      clock.advance(289_499);
      expect(await limitedBy(await postLogin(gateway, { email }, from("203.0.113.7")), "Email")).toBe(1);
      clock.advance(1);
      expect((await postLogin(gateway, { email }, from("203.0.113.8"))).status).toBe(200);
      await gateway.gateway.outbox.runDue();
      expect(gateway.mailbox.mails().filter(({ to }) => to === email)).toHaveLength(2);
    }));

  test("is one for all sub-addresses of a mailbox, which stay what they are otherwise", () =>
    withLimits(
      async ({ gateway }) => {
        const ask = (email: string) => postLogin(gateway, { email }, from("198.51.100.1"));
        expect((await ask("Boss+1@example.org")).status).toBe(200);
        for (const email of ["boss+2@example.org", "boss+1+2@example.org", "boss+1@EXAMPLE.org"])
          expect(await limitedBy(await ask(email), "Email")).toBe(300);
        // Of another mailbox, and one in which the sign separates nothing.
        for (const email of ["bos@example.org", "boss+1@example.com", "+boss@example.org"])
          expect((await ask(email)).status).toBe(200);
        await gateway.gateway.outbox.runDue();
        const to = gateway.mailbox.mails().map((mail) => mail.to);
        expect(to.sort()).toEqual([
          "+boss@example.org",
          "bos@example.org",
          "boss+1@example.com",
          "boss+1@example.org",
        ]);
        expect(auditOf(gateway)).toContainEqual({
          event: "login_requested",
          email: "boss+2@example.org",
          client: "198.51.100.1",
          outcome: "cooldown",
        });
      },
      { env: { RUNEGATE_LOGIN_RATE_LIMIT: "0" } },
    ));

  test.each(["boss@example.org", "Boss@Example.ORG"])(
    "is there for %s while somebody asks for sub-addresses that may not sign in, of which no mail tells",
    (email) =>
      withLimits(
        async ({ gateway, clock }) => {
          const attacker = from("203.0.113.5");
          for (let round = 0; round < 3; round++) {
            const forged = await postLogin(gateway, { email: `boss+${round}@example.org` }, attacker);
            expect(forged.status).toBe(200);
            expect((await postLogin(gateway, { email }, from("198.51.100.1"))).status).toBe(200);
            await gateway.gateway.outbox.runDue();
            expect(gateway.mailbox.mails().map(({ to }) => to)).toEqual(
              Array.from({ length: round + 1 }, () => "boss@example.org"),
            );
            clock.advance(300_000);
          }
        },
        { env: { RUNEGATE_ALLOW_ANY_EMAIL: "false", RUNEGATE_ALLOWED_EMAILS: "boss@example.org" } },
      ),
  );

  test("of a sub-address is for a user of their own", () =>
    withLimits(async ({ gateway }) => {
      const { token, cookie } = await askFor(gateway, "ada+work@example.org");
      const session = sessionOf(await openLink(gateway, token, { Cookie: cookie })) ?? "";
      expect((await whoAmI(gateway, session)).email).toBe("ada+work@example.org");
    }));

  test.each<[how: string, redeem: (gateway: TestGateway, asked: AskedFor) => Promise<Response>]>([
    ["link", (gateway, { token, cookie }) => openLink(gateway, token, { Cookie: cookie })],
    ["link, by its button in another browser", (gateway, { token }) => redeem(gateway, { token })],
    ["code", (gateway, { code, cookie }) => redeem(gateway, { code }, { Cookie: cookie })],
  ])("may be asked for again, for the next device, once it was redeemed by its %s", (_, use) =>
    withLimits(async ({ gateway }) => {
      const email = someone();
      const asked = await askFor(gateway, email);
      await limitedBy(await postLogin(gateway, { email }), "Email");
      expect((await use(gateway, asked)).status).toBeLessThan(400);
      const again = await askFor(gateway, email);
      // Once more, and no oftener; using a link a second time gives nothing back.
      expect((await use(gateway, asked)).status).toBe(401);
      await limitedBy(await postLogin(gateway, { email }), "Email");
      expect((await use(gateway, again)).status).toBeLessThan(400);
    }),
  );

  test("that cannot be given back signs in all the same", async () => {
    const stores = createMemoryStore({ clock: testClock() });
    const release = () => {
      throw new StoreUnavailable("the disk is full");
    };
    await withLimits(
      async ({ gateway }) => {
        const { token, cookie } = await askFor(gateway, someone());
        expect((await openLink(gateway, token, { Cookie: cookie })).status).toBe(302);
      },
      { stores: { ...stores, limits: { ...stores.limits, release } } },
    );
  });

  test("is counted in the same way for an address that may not sign in", () =>
    withLimits(
      async ({ gateway }) => {
        for (const email of ["ada@allowed.example", "eve@stranger.example"]) {
          expect((await postLogin(gateway, { email }, from("198.51.100.1"))).status).toBe(200);
          expect(await limitedBy(await postLogin(gateway, { email }, from("198.51.100.1")), "Email")).toBe(
            300,
          );
        }
      },
      { env: { RUNEGATE_ALLOW_ANY_EMAIL: "false", RUNEGATE_ALLOWED_DOMAINS: "allowed.example" } },
    ));

  test("asked for by a stranger, again and again, locks the owner out of nothing", () =>
    withLimits(async ({ gateway, clock }) => {
      const email = someone();
      const { token, cookie, code } = await askFor(gateway, email, { headers: from("198.51.100.1") });
      for (let request = 0; request < 4; request++) {
        await limitedBy(await postLogin(gateway, { email }, from("203.0.113.66")), "Email");
        clock.advance(50_000);
      }
      // The link that is out works, and so would its code.
      expect(
        (await redeem(gateway, { code: "2222-2222" }, { Cookie: cookie, ...from("198.51.100.1") })).status,
      ).toBe(401);
      expect((await openLink(gateway, token, { Cookie: cookie, ...from("198.51.100.1") })).status).toBe(302);
      expect(code).toMatch(/^\d{4} \d{4}$/);
      // After the cooldown, the owner's request counts as anybody's.
      clock.advance(100_000);
      expect((await postLogin(gateway, { email }, from("198.51.100.1"))).status).toBe(200);
    }));

  test("is not asked for again sooner because the recipient was refused, which would tell who is known", async () => {
    const refuse: Mailer = {
      send: () =>
        Promise.reject(
          new MailError({ reason: "550 no such mailbox", remedy: "", permanent: true, misconfigured: false }),
        ),
    };
    await withLimits(
      async ({ gateway }) => {
        const email = someone();
        expect((await postLogin(gateway, { email }, from("198.51.100.1"))).status).toBe(200);
        await gateway.gateway.outbox.runDue();
        expect(auditOf(gateway).filter(({ event }) => event === "mail_refused")).toHaveLength(1);
        expect((await postLogin(gateway, { email }, from("198.51.100.1"))).status).toBe(429);
      },
      { mailer: refuse },
    );
  });

  test("may be asked for again once it was tried until it was of no use", async () => {
    const away: Mailer = {
      send: () =>
        Promise.reject(
          new MailError({ reason: "ECONNREFUSED", remedy: "", permanent: false, misconfigured: false }),
        ),
    };
    await withLimits(
      async ({ gateway, clock }) => {
        const email = someone();
        await postLogin(gateway, { email });
        const givenUp = () => auditOf(gateway).some(({ event }) => event === "mail_given_up");
        await gateway.gateway.outbox.runDue();
        expect(givenUp()).toBe(false);
        for (let wait = 0; wait < 12 && !givenUp(); wait++) {
          await limitedBy(await postLogin(gateway, { email }), "Email");
          clock.advance(5_000);
          await gateway.gateway.outbox.runDue();
        }
        expect((await postLogin(gateway, { email })).status).toBe(200);
      },
      { mailer: away, env: { RUNEGATE_MAGIC_LINK_EXPIRY: "1", RUNEGATE_LOGIN_RATE_LIMIT: "0" } },
    );
  });
});

describe("redemptions of one client", () => {
  test("are ten a minute, links and codes, good and bad, together", () =>
    withLimits(async ({ gateway, clock }) => {
      const { token, cookie } = await askFor(gateway, someone(), { headers: from("198.51.100.200") });
      const here = { Cookie: cookie, ...from("198.51.100.1") };
      const tries = [
        () => openLink(gateway, "bad", here),
        () => redeem(gateway, { token: "bad" }, here),
        () => redeem(gateway, { code: "2222-2222" }, here),
        () => redeem(gateway, {}, here),
        () => openLink(gateway, "", here),
      ];
      for (let attempt = 0; attempt < 10; attempt++) {
        expect([400, 401]).toContain((await tries[attempt % tries.length]?.())?.status ?? 0);
        clock.advance(1_000);
      }
      expect(await limitedBy(await openLink(gateway, token, here), "IP")).toBe(50);
      expect(await limitedBy(await redeem(gateway, { token }, here), "IP")).toBe(50);
      expect(await limitedBy(await redeem(gateway, { code: "2222-2222" }, here), "IP")).toBe(50);
      // Another client is not held up, and the link has not been spent.
      expect((await openLink(gateway, token, { Cookie: cookie, ...from("198.51.100.2") })).status).toBe(302);
      expect(auditOf(gateway)).toContainEqual({
        event: "redemption_refused",
        client: "198.51.100.1",
        reason: "rate_limited",
      });
      clock.advance(50_000);
      expect((await redeem(gateway, { token }, here)).status).toBe(401);
    }));

  test("a HEAD is none", () =>
    withLimits(async ({ gateway }) => {
      const { token, cookie } = await askFor(gateway, someone());
      for (let look = 0; look < 15; look++)
        expect((await openLink(gateway, token, { Cookie: cookie }, "HEAD")).status).toBe(200);
      expect((await openLink(gateway, token, { Cookie: cookie })).status).toBe(302);
    }));

  test("as a page say the same", () =>
    withLimits(async ({ gateway }) => {
      for (let attempt = 0; attempt < 10; attempt++) await openLink(gateway, "bad");
      const page = await openLink(gateway, "bad", NAVIGATION);
      expect([
        page.status,
        page.headers.get("x-ratelimit-exceeded"),
        page.headers.get("retry-after"),
      ]).toEqual([429, "IP", "60"]);
      expect(await page.text()).toContain("Try again in 60 seconds.");
    }));
});

describe("limits are off", () => {
  test.each<[what: string, env: Record<string, string>, login: boolean, email: boolean, token: boolean]>([
    [
      "all, with RUNEGATE_RATE_LIMIT_ENABLED=false",
      { RUNEGATE_RATE_LIMIT_ENABLED: "false" },
      false,
      false,
      false,
    ],
    ["login requests, with 0", { RUNEGATE_LOGIN_RATE_LIMIT: "0" }, false, true, true],
    ["the cooldown, with 0", { RUNEGATE_EMAIL_COOLDOWN: "0" }, true, false, true],
    ["redemptions, with 0", { RUNEGATE_TOKEN_RATE_LIMIT: "0" }, true, true, false],
    ["none, by default", {}, true, true, true],
    [
      "none, with limits of one",
      { RUNEGATE_LOGIN_RATE_LIMIT: "1", RUNEGATE_TOKEN_RATE_LIMIT: "1" },
      true,
      true,
      true,
    ],
  ])("%s", (_, env, login, email, token) =>
    withLimits(
      async ({ gateway }) => {
        const once = someone();
        const statuses = async (times: number, send: (request: number) => Promise<Response>) => {
          const seen: number[] = [];
          for (let request = 0; request < times; request++) seen.push((await send(request)).status);
          return seen.includes(429);
        };
        expect(await statuses(8, () => postLogin(gateway, { email: someone() }, from("198.51.100.1")))).toBe(
          login,
        );
        expect(
          await statuses(3, (request) =>
            postLogin(gateway, { email: once }, from(`198.51.100.${10 + request}`)),
          ),
        ).toBe(email);
        expect(await statuses(14, () => openLink(gateway, "bad", from("198.51.100.1")))).toBe(token);
      },
      { env },
    ),
  );
});

test("limits are on the monotonic clock: setting the time opens none of them", () =>
  withLimits(async ({ gateway, clock }) => {
    const email = someone();
    await postLogin(gateway, { email });
    clock.setWall(clock.now() + 86_400_000);
    expect(await limitedBy(await postLogin(gateway, { email }), "Email")).toBe(300);
  }));

test("a flood of clients and addresses is refused nothing it should get, and grows no memory without bound", () =>
  withLimits(async ({ gateway, clock }) => {
    const { limits } = gateway.stores;
    const before = process.memoryUsage().heapUsed;
    for (let index = 0; index < 400_000; index++) {
      await limits.hit(`login:10.${index >> 16}.${(index >> 8) & 255}.${index & 255}`, {
        limit: 5,
        windowMs: 60_000,
      });
    }
    Bun.gc(true);
    expect(process.memoryUsage().heapUsed - before).toBeLessThan(200 * 1024 * 1024);
    clock.advance(1);
    const email = someone();
    expect((await postLogin(gateway, { email }, from("198.51.100.1"))).status).toBe(200);
    await limitedBy(await postLogin(gateway, { email }, from("198.51.100.1")), "Email");
  }));

describe("a mail that is given up late", () => {
  test("does not give back the cooldown of a later request, which would tell an allowed address from others", async () => {
    const clock = testClock();
    const gateway = await startGateway({
      clock,
      env: {
        RUNEGATE_RATE_LIMIT_ENABLED: "true",
        RUNEGATE_LOGIN_RATE_LIMIT: "0",
        RUNEGATE_ALLOW_ANY_EMAIL: "false",
        RUNEGATE_EMAIL_COOLDOWN: "240",
        RUNEGATE_ALLOWED_EMAILS: "allowed@example.org",
      },
      mailer: {
        async send() {
          throw new MailError({
            reason: "nobody answers",
            remedy: "",
            permanent: false,
            misconfigured: false,
          });
        },
      },
    });
    const statuses = async (name: string) => {
      const response = await fetch(`${gateway.url}/login`, {
        method: "POST",
        headers: { "Content-Type": "application/json" },
        body: JSON.stringify({ email: `${name}@example.org` }),
      });
      return response.status;
    };
    const answers: Record<string, number[]> = { allowed: [], other: [] };
    for (let minute = 0; minute < 20; minute++) {
      for (const [name, seen] of Object.entries(answers)) seen.push(await statuses(name));
      clock.advance(60_000);
      await gateway.gateway.outbox.runDue();
    }
    expect(gateway.lines.join("\n")).toContain("mail given up");
    expect(answers.allowed).toEqual(answers.other);
    await gateway.stop();
  });
});
