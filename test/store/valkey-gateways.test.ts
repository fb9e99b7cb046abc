import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { systemClock } from "../../src/clock.ts";
import { createLoggers } from "../../src/observe/log.ts";
import { openValkeyStore } from "../../src/store/valkey.ts";
import { whoAmI } from "../login/support.ts";
import { cookieHeader, startGateway, type TestGateway } from "../support/gateway.ts";
import { needs } from "../support/needs.ts";
import { startValkey, type ValkeyServer } from "../support/valkey.ts";

/** Two gateways on two machines, so to speak, that share one server and one secret. */

const executable = needs("redis-server");
const SECRET = "two machines, one secret, at least thirty-two bytes";

describe.skipIf(executable === undefined)("two gateways on one server", () => {
  let server: ValkeyServer;
  let application: Bun.Server<undefined>;
  let here: TestGateway;
  let there: TestGateway;

  async function start(): Promise<TestGateway> {
    const lines: string[] = [];
    const log = createLoggers({
      format: "console",
      levels: { default: "info", modules: {} },
      write: (line) => lines.push(line),
      now: Date.now,
      color: false,
    })("store");
    const stores = await openValkeyStore({ url: server.url, clock: systemClock, log });
    return startGateway({
      stores,
      target: `http://127.0.0.1:${application.port}`,
      env: {
        RUNEGATE_JWT_SECRET: SECRET,
        RUNEGATE_SESSION_KEY: SECRET.repeat(2),
        RUNEGATE_BASE_URL: "http://127.0.0.1:9",
      },
    });
  }

  beforeEach(async () => {
    server = await startValkey(executable ?? "");
    application = Bun.serve({
      hostname: "127.0.0.1",
      port: 0,
      idleTimeout: 0,
      fetch(request) {
        if (!request.url.endsWith("/events")) return new Response("the application");
        const events = new ReadableStream({
          start: (controller) => controller.enqueue(new TextEncoder().encode("data: hello\n\n")),
        });
        return new Response(events, { headers: { "Content-Type": "text/event-stream" } });
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
    await application.stop(true);
    await server.stop();
  });

  const page = (gateway: TestGateway, cookie: string) =>
    fetch(`${gateway.url}/page`, { headers: { Cookie: cookie }, redirect: "manual" });
  const ready = (gateway: TestGateway) => fetch(`${gateway.url}/_runegate/health/ready`);
  const logOut = (gateway: TestGateway, cookie: string) =>
    fetch(`${gateway.url}/_runegate/logout`, { method: "POST", headers: { Cookie: cookie } });

  /** Asks for a link. @returns the answer, which has the cookie of the browser that asked. */
  const ask = (gateway: TestGateway, email: string) =>
    fetch(`${gateway.url}/_runegate/login`, {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify({ email }),
    });

  /** Opens the mailed link on a gateway. */
  async function openLink(gateway: TestGateway, asked: Response, email: string): Promise<Response> {
    await here.gateway.outbox.runDue();
    const link = here.mailbox.mails().find((mail) => mail.to === email)?.link ?? "no mail";
    return fetch(link.replace(/^https?:\/\/[^/]+/, gateway.url), {
      redirect: "manual",
      headers: { Cookie: cookieHeader(asked) },
    });
  }

  /** Opens an event stream and waits for its first event. `ended` is when it ends. */
  async function openEvents(gateway: TestGateway, cookie: string): Promise<{ ended: Promise<number> }> {
    const response = await fetch(`${gateway.url}/events`, { headers: { Cookie: cookie } });
    expect(response.status).toBe(200);
    const reader = response.body?.getReader();
    expect(new TextDecoder().decode((await reader?.read())?.value)).toContain("data: hello");
    const drain = async () => {
      try {
        while ((await reader?.read())?.done === false);
      } catch {
        // Broken off is an end, too.
      }
      return performance.now();
    };
    return { ended: drain() };
  }

  test("signed in on one, used on the other; signing out on one closes what is open on the other", async () => {
    const cookie = await here.signIn("ada@example.org");
    expect(await (await page(there, cookie)).text()).toBe("the application");
    const events = await openEvents(there, cookie);
    const begun = performance.now();
    expect((await logOut(here, cookie)).status).toBe(200);
    // By the push: the sweep of open streams comes every 2 s only.
    expect((await events.ended) - begun).toBeLessThan(1_000);
    expect((await page(there, cookie)).status).not.toBe(200);
    expect((await whoAmI(there, cookie)).authenticated).toBe(false);
  });

  test("a link asked for on one is good on either, once", async () => {
    const asked = await ask(here, "ada@example.org");
    const first = await openLink(there, asked, "ada@example.org");
    expect(first.status).toBe(302);
    expect((await page(here, cookieHeader(first))).status).toBe(200);
    const second = await openLink(here, asked, "ada@example.org");
    expect(cookieHeader(second)).not.toContain("runegate_id=");
    expect(second.status).not.toBe(302);
  });

  test("while the server is away nobody new gets in, and afterwards all is well", async () => {
    const cookie = await here.signIn("ada@example.org");
    const asked = await ask(here, "bob@example.org");
    await here.gateway.outbox.runDue();
    server.pause();
    const unready = await ready(here);
    expect(unready.status).toBe(503);
    expect(await unready.json()).toEqual({
      status: "unavailable",
      error: "store_unavailable",
      message: "The Valkey server does not answer.",
    });
    const refused = [await ask(here, "eve@example.org"), await openLink(here, asked, "bob@example.org")];
    for (const response of refused) {
      expect(response.status).toBe(503);
      expect(cookieHeader(response)).not.toContain("runegate_id=");
    }
    // Not asked for on this machine in the last seconds, so that nothing but the server could say who that is.
    expect((await page(there, cookie)).status).toBe(503);
    server.resume();
    for (const gateway of [here, there]) await until200(() => ready(gateway));
    expect((await page(there, cookie)).status).toBe(200);
    const entered = await openLink(there, asked, "bob@example.org");
    expect(entered.status).toBe(302);
    expect((await page(here, cookieHeader(entered))).status).toBe(200);
    expect((await logOut(here, cookie)).status).toBe(200);
  }, 60_000);
});

async function until200(ask: () => Promise<Response>): Promise<void> {
  for (const patience = performance.now() + 20_000; (await ask()).status !== 200; await Bun.sleep(10)) {
    if (performance.now() > patience) throw new Error("not ready again");
  }
}
