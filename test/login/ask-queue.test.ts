import { describe, expect, test } from "bun:test";
import { createAskQueue, ROOM } from "../../src/login/ask-queue.ts";
import { createMemoryStore } from "../../src/store/memory.ts";
import { until } from "../proxy/support.ts";
import { testClock } from "../support/clock.ts";
import { startGateway, type TestGateway, type TestGatewaySettings } from "../support/gateway.ts";
import { intercepted } from "../support/store.ts";
import { startUpstream } from "../support/upstream.ts";
import { askFor, auditOf, NAVIGATION, openLink, postLogin, said } from "./support.ts";

/** A crowd that asks for links waits or is turned away, and nobody else notices. */

const AT_ONCE = 4;

/** Pauses that last until the test ends them, in the order in which they began. */
function pauses() {
  const begun: Array<{ milliseconds: number; end(): void }> = [];
  return {
    begun,
    pause: (milliseconds: number) => {
      const { promise, resolve } = Promise.withResolvers<void>();
      begun.push({ milliseconds, end: resolve });
      return promise;
    },
  };
}

const settled = () => new Promise<void>((resolve) => void setImmediate(resolve));

describe("the queue", () => {
  test("begins one after the other, a pause apart, in the order in which they came", async () => {
    const { begun, pause } = pauses();
    const queue = createAskQueue(pause);
    const started: number[] = [];
    const asks = Array.from({ length: 10 }, (_, index) =>
      queue.run(async () => {
        started.push(index);
        return index;
      }),
    );
    await settled();
    expect(started).toEqual([0]);
    for (let index = 1; index < 10; index++) {
      begun.shift()?.end();
      await settled();
      expect(started.at(-1)).toBe(index);
      expect(started).toHaveLength(index + 1);
    }
    expect(await Promise.all(asks)).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
  });

  test("has a few under way at most, however slow they are", async () => {
    const queue = createAskQueue(() => Promise.resolve());
    const ends: Array<() => void> = [];
    for (let index = 0; index < 10; index++) void queue.run(() => new Promise<void>((end) => ends.push(end)));
    await settled();
    expect(ends).toHaveLength(AT_ONCE);
    ends[2]?.();
    await settled();
    expect(ends).toHaveLength(AT_ONCE + 1);
  });

  test("takes so many and no more, and more again when some are done", async () => {
    const queue = createAskQueue(() => Promise.resolve());
    const ends: Array<() => void> = [];
    const ask = () => queue.run(() => new Promise<void>((end) => ends.push(end)));
    for (let index = 0; index < AT_ONCE; index++) expect(ask()).toBeDefined();
    await settled();
    for (let index = 0; index < ROOM; index++) {
      expect(queue.isFull()).toBe(false);
      expect(ask()).toBeDefined();
    }
    expect(queue.isFull()).toBe(true);
    expect(ask()).toBeUndefined();
    ends[0]?.();
    await settled();
    expect(queue.isFull()).toBe(false);
    expect(ask()).toBeDefined();
    expect(ask()).toBeUndefined();
  });

  test("tells each of its own failure, and goes on", async () => {
    const queue = createAskQueue(() => Promise.resolve());
    const failing = queue.run(() => Promise.reject(new Error("the disk is full")));
    const others = Array.from({ length: 10 }, (_, index) => queue.run(async () => index));
    await expect(failing).rejects.toThrow("the disk is full");
    expect(await Promise.all(others)).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
  });

  test("has those it turns away wait a second or two, each for another while", () => {
    const { begun, pause } = pauses();
    const queue = createAskQueue(pause);
    for (let index = 0; index < 100; index++) void queue.beforeRefusal();
    for (const { milliseconds } of begun) {
      expect(milliseconds).toBeGreaterThanOrEqual(1_000);
      expect(milliseconds).toBeLessThanOrEqual(2_000);
    }
    expect(new Set(begun.map(({ milliseconds }) => milliseconds)).size).toBeGreaterThan(50);
  });
});

/** Mails are put into the store when the test says so, and not before. */
function heldStores() {
  const store = createMemoryStore({ clock: testClock() });
  const queued: string[] = [];
  const held: Array<() => void> = [];
  let holding = false;
  return {
    queued,
    hold: () => {
      holding = true;
    },
    release: () => {
      holding = false;
      for (const end of held.splice(0)) end();
    },
    stores: intercepted(store, async ({ of, verb, args, go }) => {
      if (of !== "mail" || verb !== "add") return go();
      queued.push(String((args[1] as { readonly to: string }).to));
      if (holding) await new Promise<void>((end) => held.push(end));
      return go();
    }),
  };
}

type Crowd = {
  readonly gateway: TestGateway;
  readonly queued: readonly string[];
  /** The answers of all who wait, in the order in which they asked. */
  answers(): Promise<number[]>;
};

/** As many ask as there is room for, each from another address, and one more, who is turned away. */
async function withCrowd(
  act: (crowd: Crowd) => Promise<void>,
  before: (gateway: TestGateway) => Promise<void> = async () => {},
  settings: TestGatewaySettings = {},
): Promise<void> {
  const held = heldStores();
  const gateway = await startGateway({
    stores: held.stores,
    ...settings,
    env: {
      RUNEGATE_RATE_LIMIT_ENABLED: "true",
      RUNEGATE_LOG_FORMAT: "json",
      RUNEGATE_ALLOW_ANY_EMAIL: "false",
      RUNEGATE_ALLOWED_DOMAINS: "in.example",
      ...settings.env,
    },
  });
  try {
    await before(gateway);
    held.queued.length = 0;
    held.hold();
    const statuses: number[] = [];
    const crowd = Array.from({ length: AT_ONCE + ROOM + 1 }, async (_, index) => {
      const response = await postLogin(gateway, { email: `c${index}@in.example` }, from(index));
      statuses.push(response.status);
      return response.status;
    });
    // All the others wait: the first answer of all is that there is no room.
    expect(await Promise.race(crowd)).toBe(503);
    await act({
      gateway,
      queued: held.queued,
      async answers() {
        expect(statuses).toEqual([503]);
        held.release();
        return Promise.all(crowd);
      },
    });
  } finally {
    held.release();
    await gateway.stop();
  }
}

const from = (index: number) => ({ "X-Forwarded-For": `2001:db8:${index.toString(16)}::1` });

describe("while as many ask as there is room for", () => {
  test("nobody else is let in, whoever they are, and told so alike; those who wait are served in their order", () =>
    withCrowd(async ({ gateway, queued, answers }) => {
      const refusals = await Promise.all(
        ["ada@in.example", "eve@no.example", "c1@in.example"].map((email, index) =>
          postLogin(gateway, { email }, from(0x1000 + index)),
        ),
      );
      for (const response of refusals) {
        expect([response.status, response.headers.get("retry-after")]).toEqual([503, "5"]);
        expect(response.headers.getSetCookie()).toEqual([]);
        expect(await said(response)).toEqual({
          status: 503,
          error: "busy",
          message: "Too many people are asking for a link at the moment. Try again in 5 seconds.",
          retry_after: 5,
        });
      }
      expect(auditOf(gateway)).toContainEqual({
        event: "login_refused",
        client: "2001:db8:1000::1",
        reason: "busy",
      });
      await until(() => queued.length === AT_ONCE);
      const statuses = await answers();
      expect(statuses.filter((status) => status === 503)).toHaveLength(1);
      expect(statuses.filter((status) => status === 200)).toHaveLength(AT_ONCE + ROOM);
      expect(queued).toHaveLength(AT_ONCE + ROOM);
      const requested = auditOf(gateway).filter(({ event }) => event === "login_requested");
      expect(requested.map(({ email }) => email as string)).toEqual([...queued]);
      // Nothing was counted on the address of somebody who was turned away.
      expect((await postLogin(gateway, { email: "ada@in.example" }, from(0x2000))).status).toBe(200);
    }));

  test("somebody with a browser gets the form again, as they filled it in", () =>
    withCrowd(async ({ gateway, answers }) => {
      const page = await postLogin(gateway, { email: "ada@in.example", next: "/wanted" }, NAVIGATION);
      expect([page.status, page.headers.get("retry-after")]).toEqual([503, "5"]);
      const html = await page.text();
      for (const part of [
        "Try again in 5 seconds.",
        'name="email"',
        'value="ada@in.example"',
        'value="/wanted"',
      ])
        expect(html).toContain(part);
      await answers();
    }));

  test("those who are signed in reach the application, and a link that is out is redeemed", async () => {
    const upstream = await startUpstream();
    let cookie = "";
    let link: Awaited<ReturnType<typeof askFor>> | undefined;
    await withCrowd(
      async ({ gateway, answers }) => {
        const answered = await fetch(`${gateway.url}/echo`, { headers: { Cookie: cookie } });
        expect(answered.status).toBe(200);
        const redeemed = await openLink(gateway, link?.token ?? "", { Cookie: link?.cookie ?? "" });
        expect(redeemed.status).toBe(302);
        await answers();
      },
      async (gateway) => {
        cookie = await gateway.signIn("ada@in.example");
        link = await askFor(gateway, "bob@in.example");
      },
      { target: upstream.url },
    );
    upstream.stop();
  });
});

test("one client alone is refused by its limit, and takes nobody's room", async () => {
  const held = heldStores();
  const gateway = await startGateway({
    stores: held.stores,
    env: { RUNEGATE_RATE_LIMIT_ENABLED: "true" },
  });
  held.hold();
  try {
    const waiting: Array<Promise<Response>> = [];
    const limited: number[] = [];
    for (let index = 0; index < 2 * ROOM; index++) {
      const asked = postLogin(gateway, { email: `e${index}@evil.example` }, from(1));
      if (index < 5) waiting.push(asked);
      else limited.push((await asked).status);
    }
    expect(new Set(limited)).toEqual(new Set([429]));
    const honest = postLogin(gateway, { email: "ada@example.org" }, from(2));
    held.release();
    expect((await honest).status).toBe(200);
    for (const asked of waiting) expect((await asked).status).toBe(200);
  } finally {
    await gateway.stop();
  }
});

test("between the steps of an ask the process sees to others, however quickly the store answers", async () => {
  const seen: string[] = [];
  /** What else there is to do comes to its turn before the next step, or after it. */
  const step = (name: string) => {
    seen.push(name);
    setImmediate(() => seen.push("others"));
  };
  const gateway = await startGateway({
    env: { RUNEGATE_RATE_LIMIT_ENABLED: "true" },
    stores: intercepted(createMemoryStore({ clock: testClock() }), ({ of, verb, args, go }) => {
      if (of === "limits" && verb === "hit") step(String(args[0]).split(":", 1)[0] ?? "");
      if (of === "mail" && verb === "add") step("outbox");
      return go();
    }),
  });
  try {
    expect((await postLogin(gateway, { email: "ada@example.org" })).status).toBe(200);
    expect(seen.slice(0, 5)).toEqual(["login", "others", "mail", "others", "outbox"]);
  } finally {
    await gateway.stop();
  }
});
