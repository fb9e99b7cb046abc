import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { SESSIONS } from "../../src/session/record.ts";
import { createMemoryStore } from "../../src/store/memory.ts";
import { StoreUnavailable } from "../../src/store/records.ts";
import type { Store } from "../../src/store/store.ts";
import { askFor, auditOf, NAVIGATION, openLink, redeem, sessionOf, whoAmI } from "../login/support.ts";
import { type TestClock, testClock } from "../support/clock.ts";
import { startGateway, type TestGateway, type TestGatewaySettings } from "../support/gateway.ts";
import { intercepted } from "../support/store.ts";
import { startUpstream, type Upstream } from "../support/upstream.ts";

/** How long a cookie is worth something, and to whom (CONTRACT section 3). */

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;
const START = Date.parse("2026-03-04T05:06:07.000Z");
const iso = (time: number) => new Date(time).toISOString();

let upstream: Upstream;
beforeAll(async () => {
  upstream = await startUpstream();
});
afterAll(() => upstream.stop());

async function withGateway(
  settings: TestGatewaySettings,
  run: (gateway: TestGateway) => Promise<void>,
): Promise<void> {
  const gateway = await startGateway({ target: upstream.url, ...settings });
  try {
    await run(gateway);
  } finally {
    await gateway.stop();
  }
}

async function enters(gateway: TestGateway, cookie: string): Promise<boolean> {
  const response = await fetch(`${gateway.url}/inside`, { headers: { Cookie: cookie } });
  await response.body?.cancel();
  if (response.status !== 200 && response.status !== 401) throw new Error(`status ${response.status}`);
  return response.status === 200;
}

/** A memory store that counts how often a session's last use is written. */
function counted(clock: TestClock): { readonly stores: Store; touches: number } {
  const state = {
    touches: 0,
    stores: intercepted(createMemoryStore({ clock }), ({ of, verb, go }) => {
      if (of === "session" && verb === "replace") state.touches++;
      return go();
    }),
  };
  return state;
}

/** Every session record, as the store has it. */
const kept = async (store: Store) => store.records(SESSIONS).find({ most: 1e6 });

describe("a session ends", () => {
  test("on the absolute clock, whatever its use, to the millisecond", async () => {
    const clock = testClock(START);
    await withGateway(
      { clock, env: { RUNEGATE_SESSION_TTL: "3d", RUNEGATE_SESSION_IDLE: "1d" } },
      async (gateway) => {
        const cookie = await gateway.signIn();
        for (let hour = 0; hour < 71; hour += 12) {
          expect(await enters(gateway, cookie)).toBe(true);
          clock.advance(12 * HOUR);
        }
        clock.setWall(START + 3 * DAY - 1);
        expect(await enters(gateway, cookie)).toBe(true);
        clock.setWall(START + 3 * DAY);
        expect(await enters(gateway, cookie)).toBe(false);
        expect(await gateway.gateway.sessions.list()).toEqual([]);
      },
    );
  });

  test("on the idle clock, to the millisecond", async () => {
    const clock = testClock(START);
    await withGateway({ clock }, async (gateway) => {
      const cookie = await gateway.signIn();
      clock.advance(3 * DAY - 1);
      expect(await enters(gateway, cookie)).toBe(true);
      clock.advance(3 * DAY - 1);
      expect(await enters(gateway, cookie)).toBe(true);
      clock.advance(3 * DAY);
      expect(await enters(gateway, cookie)).toBe(false);
    });
  });

  test("not by a weekend: who leaves on Friday evening is signed in on Monday morning", async () => {
    const clock = testClock(Date.parse("2026-01-02T16:00:00Z"));
    await withGateway({ clock }, async (gateway) => {
      const cookie = await gateway.signIn();
      clock.setWall(Date.parse("2026-01-05T09:00:00Z"));
      expect(await enters(gateway, cookie)).toBe(true);
    });
  });

  test("for good: setting the clock back does not bring it back", async () => {
    const clock = testClock(START);
    await withGateway({ clock }, async (gateway) => {
      const cookie = await gateway.signIn();
      clock.advance(3 * DAY);
      expect(await enters(gateway, cookie)).toBe(false);
      clock.setWall(START);
      expect(await enters(gateway, cookie)).toBe(false);
    });
  });

  test("when it is told to: no use of it afterwards, by any path", async () => {
    await withGateway({}, async (gateway) => {
      const cookie = await gateway.signIn();
      const out = await fetch(`${gateway.url}/_runegate/logout`, {
        method: "POST",
        headers: { Cookie: cookie },
      });
      expect(out.status).toBe(200);
      for (const path of ["/", "/inside", "/proxy/inside", "/_runegate/debug/protected"]) {
        expect((await fetch(gateway.url + path, { headers: { Cookie: cookie } })).status).toBe(401);
      }
      expect((await whoAmI(gateway, cookie)).authenticated).toBe(false);
    });
  });
});

describe("/session says", () => {
  test("who, since when and until when", async () => {
    const clock = testClock(START);
    await withGateway({ clock }, async (gateway) => {
      const cookie = await gateway.signIn();
      expect(await whoAmI(gateway, cookie)).toEqual({
        authenticated: true,
        email: "ada@example.org",
        created_at: iso(START),
        expires_at: iso(START + 14 * DAY),
        idle_expires_at: iso(START + 3 * DAY),
      });
    });
  });

  test("the true end of the idle clock: at that moment, and not before, it is over", async () => {
    for (const used of [1, 59_999, 60_000, 90_000]) {
      const clock = testClock(START);
      await withGateway({ clock }, async (gateway) => {
        const cookie = await gateway.signIn();
        clock.advance(used);
        const end = Date.parse((await whoAmI(gateway, cookie)).idle_expires_at ?? "");
        clock.setWall(end);
        expect([used, await enters(gateway, cookie)]).toEqual([used, false]);
      });
    }
  });

  test("no idle end after the absolute one", async () => {
    const clock = testClock(START);
    await withGateway({ clock, env: { RUNEGATE_SESSION_TTL: "25h" } }, async (gateway) => {
      const cookie = await gateway.signIn();
      clock.advance(20 * HOUR);
      expect((await whoAmI(gateway, cookie)).idle_expires_at).toBe(iso(START + 25 * HOUR));
    });
  });

  test.each([
    ["no cookie", ""],
    ["an empty cookie", "runegate_id="],
    ["a made-up cookie", `runegate_id=${"A".repeat(43)}`],
    ["a cookie of another length", `runegate_id=${"A".repeat(42)}`],
    ["characters of no cookie", `runegate_id=${"A".repeat(42)}=`],
    ["a huge cookie", `runegate_id=${"A".repeat(12_000)}`],
    ["SQL", "runegate_id=' OR 1=1 --"],
    ["a percent sign", "runegate_id=%"],
    ["a name of the object's own", "runegate_id=__proto__"],
  ])("nobody, for %s", async (_, cookie) => {
    await withGateway({}, async (gateway) => {
      expect(await whoAmI(gateway, cookie)).toEqual({
        authenticated: false,
        email: null,
        created_at: null,
        expires_at: null,
        idle_expires_at: null,
      });
      expect(await enters(gateway, cookie)).toBe(false);
    });
  });
});

describe("the last use", () => {
  test("is written at most once a minute", async () => {
    const clock = testClock(START);
    const store = counted(clock);
    await withGateway({ clock, stores: store.stores }, async (gateway) => {
      const cookie = await gateway.signIn();
      for (let request = 0; request < 10; request++) await enters(gateway, cookie);
      clock.advance(MINUTE - 1);
      await enters(gateway, cookie);
      expect(store.touches).toBe(0);
      clock.advance(1);
      for (let request = 0; request < 10; request++) await enters(gateway, cookie);
      expect(store.touches).toBe(1);
      for (let minute = 0; minute < 5; minute++) {
        clock.advance(MINUTE);
        await Promise.all([enters(gateway, cookie), enters(gateway, cookie)]);
      }
      expect(store.touches).toBe(6);
      expect((await gateway.gateway.sessions.list())[0]?.seenAt).toBe(START + 6 * MINUTE);
    });
  });

  test("that cannot be written costs nobody the request", async () => {
    const clock = testClock(START);
    const stores = intercepted(createMemoryStore({ clock }), ({ of, verb, go }) =>
      of === "session" && verb === "replace" ? Promise.reject(new StoreUnavailable("read only")) : go(),
    );
    await withGateway({ clock, stores }, async (gateway) => {
      const cookie = await gateway.signIn();
      clock.advance(HOUR);
      expect(await enters(gateway, cookie)).toBe(true);
    });
  });

  test("is that of whoever used it last, where two note it at once, and brings no ended session back", async () => {
    const clock = testClock(START);
    const stores = createMemoryStore({ clock });
    await withGateway({ clock, stores, env: { RUNEGATE_SESSION_KEY: "k".repeat(64) } }, async (one) => {
      // Before the other is there, which would send the mail as well.
      const cookie = await one.signIn();
      await withGateway({ clock, stores, env: { RUNEGATE_SESSION_KEY: "k".repeat(64) } }, async (other) => {
        clock.advance(MINUTE);
        expect(await Promise.all([enters(one, cookie), enters(other, cookie)])).toEqual([true, true]);
        expect((await kept(stores))[0]).toMatchObject({ record: { seenAt: START + MINUTE } });
        clock.advance(MINUTE);
        const [id = ""] = (await kept(stores)).map((seen) => seen.id);
        await Promise.all([enters(one, cookie), one.gateway.sessions.end(id), enters(other, cookie)]);
        expect(await kept(stores)).toEqual([]);
        expect(await enters(other, cookie)).toBe(false);
      });
    });
  });
});

describe("an address that leaves the allow-list", () => {
  test("is refused at once with a session that was good, and the audit says so once", async () => {
    const clock = testClock(START);
    const stores = createMemoryStore({ clock });
    const env = { RUNEGATE_SESSION_KEY: "k".repeat(64), RUNEGATE_LOG_FORMAT: "json" };
    let cookie = "";
    await withGateway({ clock, stores, env }, async (gateway) => {
      cookie = await gateway.signIn("gone@example.org");
      expect(await enters(gateway, cookie)).toBe(true);
    });
    const strict = { ...env, RUNEGATE_ALLOW_ANY_EMAIL: "false", RUNEGATE_ALLOWED_EMAILS: "ada@example.org" };
    await withGateway({ clock, stores, env: strict }, async (gateway) => {
      expect(await enters(gateway, cookie)).toBe(false);
      expect(await enters(gateway, cookie)).toBe(false);
      expect((await whoAmI(gateway, cookie)).authenticated).toBe(false);
      expect(await kept(stores)).toEqual([]);
      expect(auditOf(gateway)).toEqual([
        {
          event: "session_revoked",
          email: "gone@example.org",
          session: expect.stringMatching(/^[\w-]{8}$/),
          by: "allow_list",
        },
      ]);
    });
  });
});

describe("at a login", () => {
  test("the browser gets a new id, and its old session ends", async () => {
    await withGateway({}, async (gateway) => {
      const first = await gateway.signIn();
      const { token, cookie } = await askFor(gateway);
      const opened = await openLink(gateway, token, { Cookie: `${first}; ${cookie}`, ...NAVIGATION });
      const second = sessionOf(opened) ?? "";
      expect(second).not.toBe(first);
      expect([await enters(gateway, first), await enters(gateway, second)]).toEqual([false, true]);
      expect(await gateway.gateway.sessions.list()).toHaveLength(1);
    });
  });

  test("another browser's session of the same address stays", async () => {
    await withGateway({}, async (gateway) => {
      const [first, second] = [await gateway.signIn(), await gateway.signIn()];
      expect(first).not.toBe(second);
      expect([await enters(gateway, first), await enters(gateway, second)]).toEqual([true, true]);
    });
  });

  test.each([
    ["a made-up id", `runegate_id=${"A".repeat(43)}`],
    ["an attacker's own id, once theirs has ended", undefined],
  ])("a session id that was there before is worth nothing after (fixation): %s", async (_, planted) => {
    await withGateway({}, async (gateway) => {
      let fixed = planted;
      if (fixed === undefined) {
        fixed = await gateway.signIn("eve@example.org");
        await fetch(`${gateway.url}/_runegate/logout`, { method: "POST", headers: { Cookie: fixed } });
      }
      const { token, cookie } = await askFor(gateway);
      const opened = await openLink(gateway, token, { Cookie: `${cookie}; ${fixed}` });
      expect(opened.status).toBe(302);
      expect(sessionOf(opened)).not.toBe(fixed);
      expect(await enters(gateway, fixed)).toBe(false);
    });
  });

  test("ids are 256 bits that the store never sees", async () => {
    await withGateway({}, async (gateway) => {
      const cookies = await Promise.all(
        Array.from({ length: 5 }, (_, index) => gateway.signIn(`u${index}@example.org`)),
      );
      const values = cookies.map((cookie) => cookie.slice("runegate_id=".length));
      expect(new Set(values).size).toBe(5);
      const stored = JSON.stringify(await kept(gateway.stores));
      for (const value of values) {
        expect(Buffer.from(value, "base64url")).toHaveLength(32);
        expect(stored).not.toContain(value);
      }
      // What a thief of the store could send opens nothing.
      for (const { id } of await kept(gateway.stores))
        expect(await enters(gateway, `runegate_id=${id}`)).toBe(false);
    });
  });
});

describe("tossed cookies", () => {
  test("two live sessions let nobody in, and harm nobody's session", async () => {
    await withGateway({}, async (gateway) => {
      const mine = await gateway.signIn();
      const theirs = await gateway.signIn("eve@example.org");
      for (const cookie of [
        `${mine}; ${theirs}`,
        `${theirs}; ${mine}`,
        `runegate_id=x; ${theirs}; ${mine}`,
      ]) {
        expect(await enters(gateway, cookie)).toBe(false);
      }
      expect(await enters(gateway, `${mine}; ${mine}`)).toBe(true);
      expect([await enters(gateway, mine), await enters(gateway, theirs)]).toEqual([true, true]);
      expect(gateway.lines.some((line) => line.includes("two cookies of one name"))).toBe(true);
    });
  });

  test("what names no live session beside the one that does locks nobody out", async () => {
    await withGateway({}, async (gateway) => {
      const mine = await gateway.signIn();
      for (const cookie of [
        `runegate_id=x; ${mine}`,
        `${mine}; a=b; runegate_id=`,
        `runegate_id=${"A".repeat(43)}; ${mine}`,
      ]) {
        expect(await enters(gateway, cookie)).toBe(true);
      }
      // However many are planted in front of it, with a longer path for example.
      const many = Array.from({ length: 100 }, (_, index) => `runegate_id=${`${index}`.padStart(43, "x")}`);
      expect(await enters(gateway, `${many.join("; ")}; ${mine}`)).toBe(true);
      const headers = { Cookie: `${many.join("; ")}; ${mine}` };
      expect((await fetch(`${gateway.url}/_runegate/logout`, { method: "POST", headers })).status).toBe(200);
      expect(await enters(gateway, mine)).toBe(false);
    });
  });

  test("the store is asked about eight of them at most", async () => {
    let asked = 0;
    const stores = intercepted(createMemoryStore({ clock: testClock() }), ({ of, verb, go }) => {
      if (of === "session" && verb === "get") asked++;
      return go();
    });
    await withGateway({ stores }, async (gateway) => {
      const many = Array.from({ length: 250 }, (_, index) => `runegate_id=${`${index}`.padStart(43, "x")}`);
      expect(await enters(gateway, many.join("; "))).toBe(false);
      expect(asked).toBe(8);
    });
  });

  test("a login ends every session the browser sent", async () => {
    await withGateway({}, async (gateway) => {
      const one = await gateway.signIn("one@example.org");
      const two = await gateway.signIn("two@example.org");
      const { token, cookie } = await askFor(gateway);
      await openLink(gateway, token, { Cookie: `${cookie}; ${one}; ${two}` });
      expect([await enters(gateway, one), await enters(gateway, two)]).toEqual([false, false]);
    });
  });

  test("a logout ends every session the browser sent", async () => {
    await withGateway({}, async (gateway) => {
      const one = await gateway.signIn("one@example.org");
      const two = await gateway.signIn("two@example.org");
      const headers = { Cookie: `${one}; ${two}` };
      expect((await fetch(`${gateway.url}/_runegate/logout`, { method: "POST", headers })).status).toBe(200);
      expect([await enters(gateway, one), await enters(gateway, two)]).toEqual([false, false]);
    });
  });

  test("a cookie from before a domain was configured is expired at login and logout", async () => {
    const env = { RUNEGATE_COOKIE_DOMAIN: "example.org", RUNEGATE_BASE_URL: "https://gate.example.org" };
    await withGateway({ env }, async (gateway) => {
      const { token } = await askFor(gateway);
      const lines = (await redeem(gateway, { token })).headers.getSetCookie();
      expect(lines).toHaveLength(4);
      expect(lines[0]).toBe("runegate_id=; Path=/; HttpOnly; SameSite=Lax; Max-Age=0");
      expect(lines[1]).toMatch(/Max-Age=1209600; Domain=example\.org$/);
      expect(lines[2]).toStartWith("runegate_device=");
      expect(lines[3]).toMatch(/^runegate_last=.*; Domain=example\.org$/);
      const out = await fetch(`${gateway.url}/_runegate/logout`, { method: "POST" });
      expect(out.headers.getSetCookie().slice(0, 2)).toEqual([
        "runegate_id=; Path=/; HttpOnly; SameSite=Lax; Max-Age=0",
        "runegate_id=; Path=/; HttpOnly; SameSite=Lax; Max-Age=0; Domain=example.org",
      ]);
    });
  });
});

describe("RUNEGATE_SESSION_KEY_PREVIOUS", () => {
  test("keeps everybody signed in through a change of key, and nobody without it", async () => {
    const clock = testClock(START);
    const stores = createMemoryStore({ clock });
    const key = (letter: string) => letter.repeat(64);
    let old = "";
    let fresh = "";
    await withGateway({ clock, stores, env: { RUNEGATE_SESSION_KEY: key("a") } }, async (gateway) => {
      old = await gateway.signIn();
    });
    await withGateway(
      { clock, stores, env: { RUNEGATE_SESSION_KEY: key("b"), RUNEGATE_SESSION_KEY_PREVIOUS: key("a") } },
      async (gateway) => {
        expect(await enters(gateway, old)).toBe(true);
        fresh = await gateway.signIn("bob@example.org");
        expect(await enters(gateway, fresh)).toBe(true);
        clock.advance(2 * HOUR);
        expect(await enters(gateway, old)).toBe(true);
      },
    );
    await withGateway({ clock, stores, env: { RUNEGATE_SESSION_KEY: key("b") } }, async (gateway) => {
      expect([await enters(gateway, old), await enters(gateway, fresh)]).toEqual([false, true]);
    });
    await withGateway(
      { clock, stores, env: { RUNEGATE_SESSION_KEY: key("c"), RUNEGATE_SESSION_KEY_PREVIOUS: key("b") } },
      async (gateway) => {
        const out = await fetch(`${gateway.url}/_runegate/logout`, {
          method: "POST",
          headers: { Cookie: fresh },
        });
        expect(out.status).toBe(200);
        expect(await enters(gateway, fresh)).toBe(false);
      },
    );
  });
});

describe("the session cookie", () => {
  test.each<[what: string, env: Record<string, string>, line: RegExp]>([
    ["by default", {}, /^runegate_id=[\w-]{43}; Path=\/; HttpOnly; SameSite=Lax; Max-Age=1209600$/],
    [
      "secure",
      { RUNEGATE_SECURE_COOKIE: "true" },
      /^runegate_id=[\w-]{43}; Path=\/; HttpOnly; SameSite=Lax; Max-Age=1209600; Secure$/,
    ],
    [
      "of another name",
      { RUNEGATE_SESSION_COOKIE_NAME: "gate" },
      /^gate=[\w-]{43}; Path=\/; HttpOnly; SameSite=Lax; Max-Age=1209600$/,
    ],
    [
      "with a prefix",
      { RUNEGATE_SESSION_COOKIE_NAME: "__Host-gate", RUNEGATE_SECURE_COOKIE: "true" },
      /^__Host-gate=[\w-]{43}; Path=\/; HttpOnly; SameSite=Lax; Max-Age=1209600; Secure$/,
    ],
    ["of another lifetime", { RUNEGATE_SESSION_TTL: "90m", RUNEGATE_SESSION_IDLE: "10m" }, /Max-Age=5400$/],
  ])("%s", async (_, env, line) => {
    await withGateway({ env }, async (gateway) => {
      const { token } = await askFor(gateway);
      const redeemed = await redeem(gateway, { token });
      const [set = ""] = redeemed.headers.getSetCookie();
      expect(set).toMatch(line);
      const cookie = set.split(";", 1)[0] ?? "";
      expect(await enters(gateway, cookie)).toBe(true);
      const out = await fetch(`${gateway.url}/_runegate/logout`, {
        method: "POST",
        headers: { Cookie: cookie },
      });
      // A browser forgets the cookie only if everything but value and lifetime is as it was set.
      const name = set.slice(0, set.indexOf("="));
      expect(out.headers.getSetCookie()[0]).toBe(
        set.replace(/=[\w-]{43};/, "=;").replace(/Max-Age=\d+/, "Max-Age=0"),
      );
      expect(out.headers.getSetCookie()[1]).toMatch(
        /^(?:__Host-)?runegate_login=; Path=\/; HttpOnly; SameSite=Lax; Max-Age=0/,
      );
      expect(name).toBe(env.RUNEGATE_SESSION_COOKIE_NAME ?? "runegate_id");
    });
  });
});
