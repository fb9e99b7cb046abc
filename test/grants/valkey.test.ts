import { afterEach, beforeEach, describe, expect, setDefaultTimeout, test } from "bun:test";
import { systemClock } from "../../src/clock.ts";
import { openValkeyStore } from "../../src/store/valkey.ts";
import { JSON_BODY } from "../api/support.ts";
import { startGateway, type TestGateway } from "../support/gateway.ts";
import { needs } from "../support/needs.ts";
import { SILENT } from "../support/silent.ts";
import { startUpstream } from "../support/upstream.ts";
import { startValkey, type ValkeyServer } from "../support/valkey.ts";

/** People who are let in and out by one machine, as another one that shares its store sees them. */

setDefaultTimeout(20_000);

const executable = needs("redis-server");
const SECRET = "two machines, one secret, at least thirty-two bytes";
const BOB = "bob@partner.example";

describe.skipIf(executable === undefined)("two machines on one server", () => {
  let server: ValkeyServer;
  let here: TestGateway;
  let there: TestGateway;

  beforeEach(async () => {
    server = await startValkey(executable ?? "");
    const upstream = await startUpstream();
    const start = async () =>
      startGateway({
        stores: await openValkeyStore({ url: server.url, clock: systemClock, log: SILENT }),
        target: upstream.url,
        env: {
          RUNEGATE_JWT_SECRET: SECRET,
          RUNEGATE_SESSION_KEY: SECRET.repeat(2),
          RUNEGATE_BASE_URL: "http://127.0.0.1:9",
          RUNEGATE_ALLOW_ANY_EMAIL: "false",
          RUNEGATE_ALLOWED_EMAILS: "ada@example.org",
          RUNEGATE_DYNAMIC_USERS: "true",
        },
      });
    here = await start();
    there = await start();
    // They have one outbox: either would send the mails of both.
    await there.gateway.outbox.stop();
  });
  afterEach(async () => {
    for (const gateway of [here, there]) {
      await gateway.stop();
      await gateway.stores.close();
    }
    await server.stop();
  });

  const status = async (gateway: TestGateway, cookie: string) =>
    (await fetch(gateway.url, { headers: { Cookie: cookie }, redirect: "manual" })).status;

  test("what one grants and takes back, the other does within 5 s; a session is not lost meanwhile", async () => {
    await here.gateway.people.allow({ who: BOB, reason: "trial" }, "operator");
    const cookie = await here.signIn(BOB);
    const soon = async (expected: number) => {
      const begun = performance.now();
      while ((await status(there, cookie)) !== expected) {
        if (performance.now() - begun > 5_000) break;
        await Bun.sleep(50);
      }
      expect(await status(there, cookie)).toBe(expected);
    };
    await soon(200);
    expect(await status(here, cookie)).toBe(200);
    expect((await there.gateway.people.list()).map(({ who, reason }) => [who, reason])).toEqual([
      [BOB, "trial"],
    ]);
    // Without the end of a session, which would be told at once.
    const [grant] = await here.gateway.people.list();
    expect(await here.gateway.grants.take(grant?.id ?? "")).toBe(true);
    await soon(401);
    expect(await status(here, cookie)).toBe(401);
  });

  test("both remove somebody at once: it is done once, and no link is mailed to them any more", async () => {
    await here.gateway.people.allow({ who: BOB, until: systemClock.now() + 60_000 }, "operator");
    const answers = await Promise.all(
      [here, there].map(({ gateway }) => gateway.people.remove(BOB, "operator")),
    );
    expect(answers.map(({ grants }) => grants).sort()).toEqual([0, 1]);
    const asked = await fetch(`${there.url}/_runegate/login`, {
      ...{ method: "POST", headers: JSON_BODY, body: JSON.stringify({ email: BOB }) },
    });
    expect(asked.status).toBe(200);
    await here.gateway.outbox.runDue();
    expect(here.mailbox.mails().filter(({ to }) => to === BOB)).toEqual([]);
  });
});
