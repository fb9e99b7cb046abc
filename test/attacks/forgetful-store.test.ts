import { afterEach, beforeEach, describe, expect, setDefaultTimeout, test } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { openStore } from "../../src/store/open.ts";
import { askFor, auditOf, redeem, said, sessionOf } from "../login/support.ts";
import { until } from "../process/stage.ts";
import { type TestClock, testClock } from "../support/clock.ts";
import { startGateway, type TestGateway } from "../support/gateway.ts";
import { needs } from "../support/needs.ts";
import { SILENT } from "../support/silent.ts";
import { type InterceptedCall, intercepted } from "../support/store.ts";
import { startValkey, type ValkeyServer } from "../support/valkey.ts";

/** A store that has lost what it knew, and with it which links were used. */

setDefaultTimeout(20_000);

const INVALID = {
  status: 401,
  error: "invalid_token",
  message: "This login link is invalid or has expired.",
};
const SECOND = 1_000;
const MINUTE = 60 * SECOND;
const DAY = 24 * 60 * MINUTE;

let clock: TestClock;
let directory: string;
const open: { stop(): Promise<void> | void }[] = [];
beforeEach(() => {
  clock = testClock();
  directory = mkdtempSync(join(tmpdir(), "runegate-forgetful-"));
});
afterEach(async () => {
  for (const one of open.splice(0).reverse()) await one.stop();
  rmSync(directory, { recursive: true });
});

/** A gateway whose links are good after its restart. */
async function start(
  location: Parameters<typeof openStore>[0],
  at: TestClock = clock,
  answer: (call: InterceptedCall) => unknown = ({ go }) => go(),
): Promise<TestGateway> {
  const stores = intercepted(await openStore(location, { clock: at, log: SILENT }), answer);
  const gateway = await startGateway({
    stores,
    clock: at,
    env: {
      RUNEGATE_JWT_SECRET: "j".repeat(64),
      RUNEGATE_LOG_FORMAT: "json",
      RUNEGATE_BASE_URL: "http://localhost",
    },
  });
  open.push({
    async stop() {
      await gateway.stop();
      await stores.close();
    },
  });
  return gateway;
}

const lastReason = (gateway: TestGateway) =>
  auditOf(gateway).findLast(({ event }) => event === "redemption_refused")?.reason;

/** A used link, its code, and a link that was never used, all from before what follows. */
async function issue(gateway: TestGateway) {
  const used = await askFor(gateway);
  expect(sessionOf(await redeem(gateway, { token: used.token }))).toBeDefined();
  expect(await said(await redeem(gateway, { token: used.token }))).toMatchObject(INVALID);
  expect(lastReason(gateway)).toBe("spent");
  return { used, unused: await askFor(gateway, "bob@example.org") };
}

async function expectForgotten(gateway: TestGateway, { used, unused }: Awaited<ReturnType<typeof issue>>) {
  for (const { token } of [used, unused]) {
    expect(await said(await redeem(gateway, { token }))).toMatchObject(INVALID);
    expect(lastReason(gateway)).toBe("before_store");
  }
  const byCode = await redeem(gateway, { code: used.code }, { Cookie: used.cookie });
  expect([byCode.status, sessionOf(byCode)]).toEqual([401, undefined]);
  // Whoever asks for a new one, as the page says, gets in.
  expect(sessionOf(await redeem(gateway, { token: (await askFor(gateway)).token }))).toBeDefined();
}

const redis = needs("redis-server");

describe.skipIf(redis === undefined)("a Valkey server", () => {
  let server: ValkeyServer;
  beforeEach(async () => {
    server = await startValkey(redis ?? "");
    open.push(server);
  });
  const location = () => ({ kind: "valkey", url: server.url, shown: server.url }) as const;

  test("that was restarted without its data accepts no link from before", async () => {
    const gateway = await start(location());
    const issued = await issue(gateway);
    clock.advance(10 * SECOND);
    await server.kill();
    await server.start();
    await until("the store is back", async () => {
      try {
        await gateway.stores.ready();
        return true;
      } catch {
        return false;
      }
    });
    clock.advance(SECOND);
    await expectForgotten(gateway, issued);
  });

  test("that was emptied under its gateways accepts no link from before", async () => {
    const [gateway, other] = [await start(location()), await start(location())];
    // It would send the mails of both.
    await other.gateway.outbox.stop();
    const issued = await issue(gateway);
    clock.advance(10 * SECOND);
    await server.run("FLUSHALL");
    clock.advance(SECOND);
    // Its worker still wakes for the mails from before, and would send one that the other queues from here on.
    await gateway.gateway.outbox.stop();
    // Nobody has noticed yet, and no connection was lost.
    await expectForgotten(other, issued);
  });

  test("that was emptied just when a link is redeemed does not let it in either", async () => {
    let emptied = false;
    const gateway = await start(location(), clock, async ({ of, verb, go }) => {
      if (emptied && of === "ticket" && verb === "add") await server.run("FLUSHALL");
      return go();
    });
    const { used } = await issue(gateway);
    clock.advance(10 * SECOND);
    emptied = true;
    expect(await said(await redeem(gateway, { token: used.token }))).toMatchObject(INVALID);
  });

  test("keeps its beginning: other gateways, later starts and a new day change nothing about a link", async () => {
    const gateway = await start(location());
    const begun = await gateway.stores.since();
    const { token } = await askFor(gateway);
    // It would send the mails of the others.
    await gateway.gateway.outbox.stop();
    clock.advance(MINUTE);
    const later = await start(location());
    expect(sessionOf(await redeem(later, { token }))).toBeDefined();
    clock.advance(2 * DAY);
    const muchLater = await start(location());
    await muchLater.gateway.outbox.stop();
    expect(await muchLater.stores.since()).toBe(begun);
    expect(sessionOf(await redeem(gateway, { token: (await askFor(later)).token }))).toBeDefined();
  });

  test("whose beginning a gateway with a wrong clock has written keeps nobody out", async () => {
    const ahead = testClock(clock.now() + DAY);
    const wrong = await start(location(), ahead);
    await wrong.gateway.outbox.stop();
    const gateway = await start(location());
    expect(sessionOf(await redeem(gateway, { token: (await askFor(gateway)).token }))).toBeDefined();
  });

  test("may be empty at first, and the first link is good within the same second", async () => {
    const gateway = await start(location());
    expect(sessionOf(await redeem(gateway, { token: (await askFor(gateway)).token }))).toBeDefined();
  });
});

test("a database file that was removed accepts no link from before", async () => {
  const location = { kind: "sqlite", path: join(directory, "state.db") } as const;
  const issued = await issue(await start(location));
  await open.pop()?.stop();
  for (const suffix of ["", "-wal", "-shm"]) rmSync(location.path + suffix, { force: true });
  clock.advance(10 * SECOND);
  await expectForgotten(await start(location), issued);
});

test("a database that is opened again remembers what it did", async () => {
  const location = { kind: "sqlite", path: join(directory, "state.db") } as const;
  const { used, unused } = await issue(await start(location));
  await open.pop()?.stop();
  clock.advance(10 * SECOND);
  const gateway = await start(location);
  expect(await said(await redeem(gateway, { token: used.token }))).toMatchObject(INVALID);
  expect(lastReason(gateway)).toBe("spent");
  expect(sessionOf(await redeem(gateway, { token: unused.token }))).toBeDefined();
});

test("memory accepts after a restart no link from before", async () => {
  const issued = await issue(await start({ kind: "memory" }));
  clock.advance(10 * SECOND);
  await expectForgotten(await start({ kind: "memory" }), issued);
});
