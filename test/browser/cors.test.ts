import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { startProvider, type TestProvider } from "../bearer/support.ts";
import { startGateway, type TestGateway } from "../support/gateway.ts";
import { freePort } from "../support/process.ts";
import { TEST_TIMEOUT } from "./stage.ts";
import { chromium, openTab, type Tab } from "./tab.ts";

/**
 * What a browser lets pages of other origins do with the management API. Both are of the gateway's own site, so that `SameSite`
 * is no obstacle and the visitor's cookies go along wherever a page wants them to.
 */

setDefaultTimeout(TEST_TIMEOUT);

describe.skipIf(chromium === undefined)("a page of another origin", () => {
  let provider: TestProvider;
  let gateway: TestGateway;
  let token: string;
  let tab: Tab;
  const named = freePort();
  const unnamed = freePort();
  const pages = () =>
    [named, unnamed].map((port) =>
      Bun.serve({
        ...{ hostname: "127.0.0.1", port },
        fetch: () =>
          new Response(
            '<!doctype html><html lang="en"><title>x</title><link rel="icon" href="data:,"><h1>Page</h1>',
            {
              headers: { "Content-Type": "text/html" },
            },
          ),
      }),
    );
  let servers: ReturnType<typeof pages>;

  beforeAll(async () => {
    servers = pages();
    provider = await startProvider();
    gateway = await startGateway({
      env: { ...provider.env, RUNEGATE_API_ORIGINS: `http://127.0.0.1:${named}` },
    });
    token = await provider.tokenOf("ada");
    tab = await openTab();
    await tab.open(`${gateway.url}/_runegate/login`);
    await tab.click("#email");
    await tab.type("ada@example.org");
    await tab.follow("button");
    await gateway.gateway.outbox.runDue();
    await tab.open(gateway.mailbox.mails().find(({ to }) => to === "ada@example.org")?.link ?? "");
  });
  afterAll(async () => {
    await tab.close();
    await gateway.stop();
    await provider.stop();
    for (const server of servers) await server.stop(true);
  });

  /** @returns what a script of the page is told: the status, or that it is told nothing. */
  async function fetchFrom(port: number, method: string, init: object): Promise<unknown> {
    await tab.open(`http://127.0.0.1:${port}/`);
    const asked = `fetch(${JSON.stringify(`${gateway.url}/_runegate/api/sessions`)}, ${JSON.stringify({ method, ...init })})`;
    await tab.evaluate(
      `(${asked}.then(({ status }) => { window.told = status; }, () => { window.told = "nothing"; }), 0)`,
    );
    await tab.until("window.told !== undefined");
    return tab.evaluate("window.told");
  }

  const withBearer = () => ({ headers: { Authorization: `Bearer ${token}` } });
  const withCookies = { credentials: "include" };
  const sessions = async () => (await gateway.gateway.sessions.list()).length;

  test("uses it with a bearer, where it is named", async () => {
    expect(await sessions()).toBe(1);
    expect(await fetchFrom(named, "GET", withBearer())).toBe(200);
    expect(await fetchFrom(named, "GET", {})).toBe(401);
    expect(await fetchFrom(unnamed, "GET", withBearer())).toBe("nothing");
    expect(await fetchFrom(unnamed, "DELETE", withBearer())).toBe("nothing");
    expect(await sessions()).toBe(1);
  });

  test("is shown nothing of the visitor's, and ends nothing of theirs, named or not", async () => {
    for (const port of [named, unnamed]) {
      for (const method of ["GET", "DELETE"]) {
        expect([method, await fetchFrom(port, method, withCookies)]).toEqual([method, "nothing"]);
        expect([method, await fetchFrom(port, method, { ...withCookies, ...withBearer() })]).toEqual([
          method,
          "nothing",
        ]);
      }
    }
    expect(await sessions()).toBe(1);
    // The cookie is there, and good at home.
    await tab.open(`${gateway.url}/_runegate/api/session`);
    expect(await tab.text()).toContain("ada@example.org");
  });

  test("ends with its bearer what is its bearer's", async () => {
    expect(await fetchFrom(named, "DELETE", withBearer())).toBe(200);
    expect(await sessions()).toBe(0);
  });
});
