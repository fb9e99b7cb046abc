import { afterAll, describe, expect, test } from "bun:test";
import { loadConfiguration } from "../../src/config/configuration.ts";
import { ConfigError } from "../../src/option/finding.ts";
import { testClock } from "../support/clock.ts";
import { cookieHeader, startGateway } from "../support/gateway.ts";
import { exchange } from "../support/raw.ts";
import { testMachine } from "../support/surroundings.ts";

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
async function askAsABrowser(at: typeof gateway, headers: Record<string, string> = {}): Promise<string> {
  const asked = await fetch(`${at.url}/_runegate/login`, {
    method: "POST",
    redirect: "manual",
    headers: { ...NAVIGATION, ...headers },
    body: new URLSearchParams({ email: `${crypto.randomUUID()}@example.org` }),
  });
  const Cookie = cookieHeader(asked);
  return (await fetch(`${at.url}/_runegate/code`, { headers: { ...NAVIGATION, ...headers, Cookie } })).text();
}

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

test("the mailbox shows a mail's HTML in a frame that can do nothing but follow a link, and no script runs", async () => {
  await gateway.signIn();
  const answer = await open();
  const policy = answer.headers.get("content-security-policy");
  expect(policy).toContain("default-src 'none'");
  expect(policy).not.toMatch(/script-src[^;]*unsafe|frame-src/);
  const page = await answer.text();
  const [frame = ""] = /<iframe [^>]*>/.exec(page) ?? [];
  expect(frame).toContain('sandbox="allow-top-navigation-by-user-activation"');
  expect(frame).toMatch(/srcdoc="[^"]*This button signs you in/);
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

describe("the development mailbox", () => {
  test("is shown to this machine alone, under a name of this machine", async () => {
    const gateway = await startGateway();
    const ask = (fields: string[]) => exchange(gateway.port, "GET /_runegate/mailbox", fields);
    for (const host of ["localhost", "127.0.0.1:7870", "[::1]"]) {
      expect((await ask([`Host: ${host}`])).status).toBe(200);
    }
    expect((await ask(["Host: localhost", "X-Forwarded-For: 203.0.113.9"])).status).toBe(404);
    // DNS rebinding: a page of this name, in a browser here, would be of the same origin.
    expect((await ask(["Host: evil.example:7870"])).status).toBe(404);
    expect((await ask(["Host: localhost", "X-Forwarded-Host: evil.example"])).status).toBe(404);
    await gateway.stop();
  });

  test.each([
    ["Forwarded: for=203.0.113.9"],
    ["Via: 1.1 edge"],
    ["X-Real-IP: 203.0.113.9"],
    ["X-Real-IP: 127.0.0.1"],
    ["X-Forwarded-For: unknown"],
    ["X-Forwarded-For: for=203.0.113.9"],
    ["X-Forwarded-For: 203.0.113.9, garbage"],
    ["X-Forwarded-For: garbage, 127.0.0.1"],
    ["X-Forwarded-For:"],
    // What nginx sends that was told nothing but `proxy_pass`, and one that was told of the scheme too.
    ["Connection: close"],
    ["X-Forwarded-Proto: https"],
    ["X-Forwarded-Host: localhost"],
  ])("is hidden where %s tells of a proxy whose client may be anybody", async (field) => {
    for (const trusted of ["127.0.0.0/8", ""]) {
      const gateway = await startGateway({ env: { RUNEGATE_TRUSTED_PROXIES: trusted } });
      const ask = (fields: string[]) => exchange(gateway.port, "GET /_runegate/mailbox", fields);
      expect((await ask(["Host: localhost"])).status).toBe(200);
      expect((await ask(["Host: localhost", field])).status).toBe(404);
      await gateway.stop();
    }
  });

  test("is hidden where a proxy is not trusted, and shown to a browser here that a trusted one names", async () => {
    for (const [trusted, status] of [
      ["", 404],
      ["127.0.0.0/8", 200],
    ] as const) {
      const gateway = await startGateway({ env: { RUNEGATE_TRUSTED_PROXIES: trusted } });
      const fields = ["Host: localhost", "X-Forwarded-For: 127.0.0.1"];
      expect((await exchange(gateway.port, "GET /_runegate/mailbox", fields)).status).toBe(status);
      await gateway.stop();
    }
  });

  test("is no way to run a public site: that is a configuration error", () => {
    using machine = testMachine();
    const load = (env: Record<string, string>) => () => loadConfiguration({ env }, machine);
    expect(load({ RUNEGATE_BASE_URL: "https://app.example.org", RUNEGATE_SECURE_COOKIE: "true" })).toThrow(
      ConfigError,
    );
    expect(load({ RUNEGATE_BASE_URL: "http://localhost:7870" })).not.toThrow();
  });
});
