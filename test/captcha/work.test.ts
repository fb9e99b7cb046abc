import { afterAll, beforeAll, beforeEach, describe, expect, test } from "bun:test";
import { join } from "node:path";
import { bitsFor, CHALLENGE_MS, WORK } from "../../src/captcha/work.ts";
import { systemRandom } from "../../src/clock.ts";
import { LOGIN_REQUEST } from "../../src/login/ticket.ts";
import { createKeys } from "../../src/secret/keys.ts";
import { createTickets, type TicketKind } from "../../src/secret/ticket.ts";
import { createMemoryStore } from "../../src/store/memory.ts";
import type { Store } from "../../src/store/store.ts";
import { auditOf, NAVIGATION, postLogin, said } from "../login/support.ts";
import { type TestClock, testClock } from "../support/clock.ts";
import { startGateway, type TestGateway } from "../support/gateway.ts";
import { intercepted } from "../support/store.ts";
import { numberFor, offerOf, solved } from "./support.ts";

/** A proof of work in front of asking for a mail. */

const SECRETS = { RUNEGATE_JWT_SECRET: "1".repeat(64), RUNEGATE_SESSION_KEY: "9".repeat(128) };
const ENV = {
  RUNEGATE_CAPTCHA: "work",
  RUNEGATE_LOG_FORMAT: "json",
  RUNEGATE_TRUSTED_PROXIES: "127.0.0.1",
  ...SECRETS,
};

let clock: TestClock;
let gateway: TestGateway;
const calls: string[] = [];
beforeAll(async () => {
  clock = testClock();
  const stores: Store = intercepted(createMemoryStore({ clock }), ({ of, verb, go }) => {
    calls.push(`${of}.${verb}`);
    return go();
  });
  gateway = await startGateway({ clock, stores, env: ENV });
});
afterAll(() => gateway.stop());
beforeEach(() => clock.advance(3_600_000));

const from = (ip: string) => ({ "X-Forwarded-For": ip, "X-Forwarded-Proto": "http" });
const ask = (captcha: string, headers: Readonly<Record<string, string>> = {}) =>
  postLogin(gateway, { email: "ada@example.org", captcha }, headers);
const askByForm = (
  at: TestGateway,
  fields: Readonly<Record<string, string>>,
  headers: Readonly<Record<string, string>> = {},
) =>
  fetch(`${at.url}/_runegate/login`, {
    method: "POST",
    redirect: "manual",
    headers: { ...NAVIGATION, Origin: at.url, ...headers },
    body: new URLSearchParams(fields),
  });
const lastReason = () => auditOf(gateway).findLast(({ event }) => event === "captcha_refused")?.reason;

async function mails(at = gateway): Promise<number> {
  await at.gateway.outbox.runDue();
  return at.mailbox.mails().length;
}

/** As this gateway signs, or another would. */
function sign<T>(
  kind: TicketKind<T>,
  ticket: T,
  {
    jwtSecret = SECRETS.RUNEGATE_JWT_SECRET,
    audience = gateway.url,
    jti = "a-salt-of-its-own",
    life = CHALLENGE_MS,
  } = {},
): string {
  const keys = createKeys({
    jwtSecret: Buffer.from(jwtSecret),
    sessionKey: Buffer.from("9".repeat(128), "hex"),
    jwtSecretPrevious: undefined,
    sessionKeyPrevious: undefined,
  });
  const grant = { jti, issuedAt: clock.now(), expiresAt: clock.now() + life };
  return createTickets(keys, { audience, clock }).sign(kind, { ...ticket, ...grant });
}

test("work that was done has a mail sent, and one that was sent is good once", async () => {
  const before = await mails();
  const captcha = solved(await offerOf(gateway));
  expect((await ask(captcha)).status).toBe(200);
  expect(await mails()).toBe(before + 1);
  expect(await said(await ask(captcha))).toMatchObject({ status: 403, error: "captcha_failed" });
  expect(lastReason()).toBe("spent");
  expect(await mails()).toBe(before + 1);
});

test("of a hundred who send one proof at once, one gets a mail", async () => {
  const captcha = solved(await offerOf(gateway));
  const answers = await Promise.all(
    Array.from({ length: 100 }, (_, count) =>
      postLogin(gateway, { email: `a${count}@example.org`, captcha }),
    ),
  );
  expect(answers.filter(({ status }) => status === 200)).toHaveLength(1);
});

describe("what is refused:", () => {
  /** The page's own work on a challenge of ours. */
  const network = "127.0.0.1";
  const bits = 4;
  const jti = "a-salt-of-its-own";
  const number = numberFor(jti, (zeros) => zeros >= 16);
  test.each<[string, () => Promise<string> | string, string]>([
    ["none", () => "", "missing"],
    ["something else", () => "yes", "malformed"],
    ["a challenge without work", async () => (await offerOf(gateway)).challenge, "malformed"],
    [
      "a challenge with work that is not enough",
      async () => {
        const { salt, challenge, bits: wanted } = await offerOf(gateway);
        return `${numberFor(salt, (zeros) => zeros === wanted - 1)}.${challenge}`;
      },
      "unsolved",
    ],
    [
      "a challenge that has expired",
      async () => {
        const captcha = solved(await offerOf(gateway));
        clock.advance(CHALLENGE_MS);
        return captcha;
      },
      "expired",
    ],
    [
      "a challenge whose bits were lowered",
      async () => {
        const { challenge, ...rest } = await offerOf(gateway);
        const [head, claims = "", signature] = challenge.split(".");
        const lowered = { ...JSON.parse(Buffer.from(claims, "base64url").toString()), bits };
        const forged = [head, Buffer.from(JSON.stringify(lowered)).toString("base64url"), signature].join(
          ".",
        );
        return solved({ ...rest, challenge: forged, bits });
      },
      "wrong_signature",
    ],
    [
      "a challenge signed with another key",
      () => `${number}.${sign(WORK, { bits, network }, { jwtSecret: "2".repeat(64) })}`,
      "wrong_signature",
    ],
    [
      "a challenge signed with none",
      () => {
        const encode = (json: object) => Buffer.from(JSON.stringify(json)).toString("base64url");
        const [, claims = ""] = sign(WORK, { bits, network }).split(".");
        return `${number}.${encode({ alg: "none", typ: WORK.typ })}.${claims}.`;
      },
      "wrong_algorithm",
    ],
    [
      "a challenge of another gateway with the same secret",
      () => `${number}.${sign(WORK, { bits, network }, { audience: "https://other.example" })}`,
      "wrong_audience",
    ],
    [
      "a ticket of another purpose, with work on its id",
      () => {
        const login = { email: "ada@example.org", next: "/", secret: "s", codeHash: "c", sentAgain: 0 };
        return `${number}.${sign(LOGIN_REQUEST, login as Parameters<typeof LOGIN_REQUEST.write>[0])}`;
      },
      "wrong_signature",
    ],
    [
      "a challenge of a kind that calls itself so, under another key",
      () => `${number}.${sign({ ...WORK, purpose: "something else" }, { bits, network })}`,
      "wrong_signature",
    ],
    [
      "a challenge without bits",
      () => {
        const without: TicketKind<object> = {
          typ: WORK.typ,
          write: () => ({ sub: network }),
          read: () => ({}),
        };
        return `${number}.${sign(without, {})}`;
      },
      "claims",
    ],
  ])("%s", async (_, captcha, reason) => {
    const before = await mails();
    const { status, error } = await said(await ask(await captcha()));
    expect([status, error]).toEqual([403, reason === "missing" ? "captcha_required" : "captcha_failed"]);
    expect(lastReason()).toBe(reason);
    expect(await mails()).toBe(before);
  });

  test("and that is for what each of them is, not for how it was made here", async () => {
    expect((await ask(`${number}.${sign(WORK, { bits, network })}`)).status).toBe(200);
  });

  test.each([
    ["203.0.113.1", "203.0.113.2", 403],
    ["2001:db8:1:2::a", "2001:db8:1:2::b", 200],
    ["2001:db8:1:2::a", "2001:db8:1:3::a", 403],
  ])("work for %s shown by %s: %d", async (solver, shower, status) => {
    const captcha = solved(await offerOf(gateway, from(solver)));
    expect((await ask(captcha, from(shower))).status).toBe(status);
    if (status === 403) expect(lastReason()).toBe("other_client");
  });
});

test("a person gets the form once more, with what is wrong and their address", async () => {
  const captcha = solved(await offerOf(gateway));
  clock.advance(CHALLENGE_MS);
  const response = await askByForm(gateway, { email: "ada@example.org", captcha });
  const html = await response.text();
  expect(response.status).toBe(403);
  expect(html).toContain("That you are not a robot could not be confirmed, or was too long ago. Try again.");
  expect(html).toContain('value="ada@example.org"');
  expect(html).toContain('name="captcha"');
});

describe("without script", () => {
  test("the form works, one in ten minutes from each client, whatever the limits say", async () => {
    // The three limits are off here.
    const send = (ip: string) => askByForm(gateway, { email: "ada@example.org" }, from(ip));
    const before = await mails();
    expect((await send("203.0.113.9")).status).toBe(303);
    const second = await send("203.0.113.9");
    expect([second.status, second.headers.get("retry-after")]).toEqual([429, "600"]);
    expect(await second.text()).toContain(
      "Send it again from here. Where JavaScript is off, that works in 10 minutes.",
    );
    expect((await send("203.0.113.10")).status).toBe(303);
    clock.advance(600_000);
    expect((await send("203.0.113.9")).status).toBe(303);
    expect(await mails()).toBe(before + 3);
  });

  test("a /56 gets four, and whoever does the work gets theirs all the same", async () => {
    const statuses: number[] = [];
    for (let subnet = 0; subnet < 5; subnet++) {
      const ip = from(`2001:db8:77:${subnet}::1`);
      statuses.push((await askByForm(gateway, { email: "ada@example.org" }, ip)).status);
    }
    expect(statuses).toEqual([303, 303, 303, 303, 429]);
    const client = from("2001:db8:77:4::1");
    const captcha = solved(await offerOf(gateway, client));
    expect((await askByForm(gateway, { email: "ada@example.org", captcha }, client)).status).toBe(303);
  });
});

describe("how much work", () => {
  test.each([
    [0, 16],
    [0.24, 16],
    [0.25, 17],
    [0.5, 18],
    [0.99, 19],
    [1, 20],
    [7, 20],
  ])("for a share of %d: %d bits", (share, bits) => expect(bitsFor(share)).toBe(bits));

  test("more for a client the nearer it is to its limit, and no more for another", async () => {
    const limited = await startGateway({ clock, env: { ...ENV, RUNEGATE_RATE_LIMIT_ENABLED: "true" } });
    const busy = from("203.0.113.1");
    const bits: number[] = [];
    for (let count = 0; count < 5; count++) {
      const offer = await offerOf(limited, busy);
      bits.push(offer.bits);
      const asked = await postLogin(
        limited,
        { email: `a${count}@example.org`, captcha: solved(offer) },
        busy,
      );
      expect(asked.status).toBe(200);
    }
    expect(bits).toEqual([16, 17, 18, 19, 20]);
    expect((await offerOf(limited, from("203.0.113.2"))).bits).toBe(16);
    await limited.stop();
  });
});

describe("only under pressure", () => {
  const start = (env: Readonly<Record<string, string>> = {}) =>
    startGateway({ clock, env: { ...ENV, RUNEGATE_CAPTCHA_WHEN: "pressure", ...env } });
  const page = async (at: TestGateway, headers: Readonly<Record<string, string>> = {}) =>
    (await fetch(`${at.url}/_runegate/login`, { headers: { ...NAVIGATION, ...headers } })).text();

  test("of the client's login requests: nothing is asked below half, and the page and the judgment agree", async () => {
    const quiet = await start({ RUNEGATE_RATE_LIMIT_ENABLED: "true" });
    const client = from("203.0.113.1");
    for (const email of ["a@example.org", "b@example.org"]) {
      expect(await offerOf(quiet, client)).toEqual({ kind: "work", required: false } as never);
      expect(await page(quiet, client)).not.toContain('name="captcha"');
      expect((await postLogin(quiet, { email }, client)).status).toBe(200);
    }
    expect(await page(quiet, client)).toContain('name="captcha"');
    const offer = await offerOf(quiet, client);
    expect(offer).toMatchObject({ required: true, bits: 18 });
    expect((await postLogin(quiet, { email: "c@example.org" }, client)).status).toBe(403);
    expect((await postLogin(quiet, { email: "c@example.org" }, from("203.0.113.2"))).status).toBe(200);
    expect((await postLogin(quiet, { email: "d@example.org", captcha: solved(offer) }, client)).status).toBe(
      200,
    );
    await quiet.stop();
  });

  test("of the mails of an hour, as if each who asks had one: those that are sent would tell who may sign in", async () => {
    const sequence = async (domain: string) => {
      const asked = await start({
        ...{ RUNEGATE_MAIL_CEILING: "8", RUNEGATE_ALLOW_ANY_EMAIL: "false" },
        RUNEGATE_ALLOWED_DOMAINS: "in.example",
      });
      const seen: unknown[] = [];
      for (let count = 0; count < 5; count++) {
        const { required, bits } = await offerOf(asked, from(`203.0.113.${count}`));
        seen.push(required && bits);
        const response = await postLogin(
          asked,
          { email: `a${count}@${domain}` },
          from(`198.51.100.${count}`),
        );
        seen.push(response.status);
        await asked.gateway.outbox.runDue();
      }
      const mailed = await mails(asked);
      clock.advance(3_600_000);
      expect((await postLogin(asked, { email: `b@${domain}` })).status).toBe(200);
      await asked.stop();
      return { seen, mailed };
    };
    const { seen, mailed } = await sequence("in.example");
    expect(seen).toEqual([false, 200, false, 200, false, 200, 18, 403, 18, 403]);
    expect(mailed).toBe(3);
    expect(await sequence("no.example")).toEqual({ seen, mailed: 0 });
  });

  test("of the queue of those who ask", async () => {
    const held = Promise.withResolvers<void>();
    const crowded = await startGateway({
      clock,
      env: { ...ENV, RUNEGATE_CAPTCHA_WHEN: "pressure" },
      pause: () => held.promise,
    });
    const asking = Array.from({ length: 51 }, (_, count) =>
      postLogin(crowded, { email: `a${count}@example.org` }),
    );
    while (crowded.gateway.login.crowd() < 0.5) await Bun.sleep(1);
    expect((await postLogin(crowded, { email: "b@example.org" })).status).toBe(403);
    held.resolve();
    for (const asked of asking) expect((await asked).status).toBe(200);
    expect((await postLogin(crowded, { email: "b@example.org" })).status).toBe(200);
    await crowded.stop();
  });
});

describe("cost", () => {
  test("a challenge is not kept, and work that is refused costs the store nothing", async () => {
    const offer = await offerOf(gateway);
    const captcha = solved(offer);
    calls.length = 0;
    await offerOf(gateway);
    await ask("1.x.y.z");
    await ask(captcha, from("203.0.113.77"));
    // The mail worker and the look at closed applications have turns of their own.
    expect(calls.filter((call) => !/^(?:limits|mail|closure)/.test(call))).toEqual([]);
    await ask(captcha);
    expect(calls.filter((call) => call.startsWith("work"))).toEqual(["work.add"]);
  });

  test("work is checked by one hash, however hard it was", async () => {
    const hash = Bun.SHA256.hash;
    const offer = await offerOf(gateway);
    const captcha = solved(offer);
    let hashes = 0;
    const counted = (...args: Parameters<typeof hash>) => {
      // The audit's chain is hashed too, whenever its turn comes.
      if (typeof args[0] === "string" && args[0].startsWith(`${offer.salt}.`)) hashes++;
      return hash(...args);
    };
    Bun.SHA256.hash = counted as typeof hash;
    try {
      expect((await ask(captcha)).status).toBe(200);
    } finally {
      Bun.SHA256.hash = hash;
    }
    expect(hashes).toBe(1);
  });

  test("nothing at all while it is off: no path, no part of the page, no look at the limits", async () => {
    const seen: string[] = [];
    const stores: Store = intercepted(createMemoryStore({ clock }), ({ of, verb, go }) => {
      seen.push(`${of}.${verb}`);
      return go();
    });
    const off = await startGateway({ clock, stores });
    const html = await (await fetch(`${off.url}/_runegate/login`, { headers: NAVIGATION })).text();
    expect(html).not.toContain("captcha");
    expect((await fetch(`${off.url}/_runegate/captcha`)).status).toBe(404);
    expect((await postLogin(off, { email: "ada@example.org", captcha: "whatever" })).status).toBe(200);
    expect(seen.filter((call) => call === "limits.count")).toEqual([]);
    await off.stop();
  });
});

test("the page's worker finds what another SHA-256 finds, for many salts", async () => {
  const worker = new Worker(join(import.meta.dir, "../../static/captcha-worker.js"));
  const solve = (salt: string, bits: number) => {
    const { promise, resolve } = Promise.withResolvers<number>();
    worker.onmessage = ({ data }) => resolve(data);
    worker.postMessage({ salt, bits });
    return promise;
  };
  for (let count = 0; count < 200; count++) {
    const salt = Buffer.from(systemRandom.bytes(16)).toString("base64url");
    expect([salt, await solve(salt, 8)]).toEqual([salt, numberFor(salt, (zeros) => zeros >= 8)]);
  }
  worker.terminate();
});
