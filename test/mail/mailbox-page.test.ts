import { afterAll, describe, expect, test } from "bun:test";
import { testClock } from "../support/clock.ts";
import { startGateway } from "../support/gateway.ts";

/** The development mailbox as a browser gets it. */

const clock = testClock();
const gateway = await startGateway({ clock });
const real = await startGateway({ mailbox: false });
afterAll(async () => {
  await gateway.stop();
  await real.stop();
});

const open = (path = "", at = gateway) => fetch(`${at.url}/_runegate/mailbox${path}`);
const NAVIGATION = { Accept: "text/html", "Content-Type": "application/x-www-form-urlencoded" };
const askAsABrowser = async (at: typeof gateway, headers: Record<string, string> = {}) =>
  (
    await fetch(`${at.url}/_runegate/login`, {
      method: "POST",
      headers: { ...NAVIGATION, ...headers },
      body: new URLSearchParams({ email: `${crypto.randomUUID()}@example.org` }),
    })
  ).text();

describe("the mailbox", () => {
  test("is loaded again every two seconds while somebody waits, and leaves time to read what has come", async () => {
    const refresh = async (path?: string) => (await open(path)).headers.get("refresh");
    expect(await refresh()).toBe("2");
    await gateway.signIn();
    expect(await refresh()).toBe("10");
    expect(await refresh("?still")).toBeNull();
    clock.advance(5 * 60_000);
    expect(await refresh()).toBe("2");
  });
});

describe("the page that says to check the mail", () => {
  const LINK = 'href="/_runegate/mailbox"';
  test("leads to the mailbox", async () => {
    expect(await askAsABrowser(gateway)).toContain(LINK);
  });
  test("does not for whoever would not be shown it, nor where mail is really sent", async () => {
    expect(await askAsABrowser(gateway, { "X-Forwarded-For": "203.0.113.9" })).not.toContain(LINK);
    expect(await askAsABrowser(real)).not.toContain(LINK);
    expect((await open("", real)).status).toBe(404);
  });
});
