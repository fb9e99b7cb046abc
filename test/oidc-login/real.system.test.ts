import { afterAll, afterEach, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type Sample, startSample } from "../../src/sample/app.ts";
import { TEST_TIMEOUT } from "../browser/stage.ts";
import { chromium, openTab, type Tab } from "../browser/tab.ts";
import { auditOf } from "../login/support.ts";
import { axeViolations } from "../support/axe.ts";
import { startGateway, type TestGateway } from "../support/gateway.ts";
import { needs } from "../support/needs.ts";
import { freePort, type RunningProcess, startProcess } from "../support/process.ts";

/** A real provider, in a process of its own on Node, as a person sees it in a browser. */

setDefaultTimeout(TEST_TIMEOUT);

const node = needs("node");
const SECRET = "for-tests: 100 % & more";

describe.skipIf(chromium === undefined || node === undefined)("oidc-provider on Node", () => {
  let sample: Sample;
  let gateway: TestGateway;
  let provider: RunningProcess;
  let folder: string;
  let issuer: string;
  let tabs: Tab[] = [];

  beforeAll(async () => {
    folder = mkdtempSync(join(tmpdir(), "runegate-oidc-"));
    writeFileSync(join(folder, "secret"), SECRET, { mode: 0o600 });
    sample = startSample({ hostname: "127.0.0.1", port: 0 });
    const idp = freePort();
    const port = freePort();
    issuer = `http://127.0.0.1:${idp}`;
    const home = `http://localhost:${port}`;
    gateway = await startGateway({
      target: sample.url,
      routes: `
        [groups]
        staff = []
        [[providers]]
        name = "idp"
        title = "Our provider"
        issuer = "${issuer}"
        client_id = "runegate"
        client_secret_file = "${folder}/secret"
        scopes = ["openid", "email", "groups"]
        groups = { "lab staff" = "staff" }`,
      env: {
        RUNEGATE_LISTEN: `127.0.0.1:${port}`,
        RUNEGATE_BASE_URL: home,
        RUNEGATE_ALLOW_ANY_EMAIL: "false",
        RUNEGATE_ALLOWED_DOMAINS: "example.org",
        RUNEGATE_LOG_FORMAT: "json",
      },
    });
    provider = startProcess([node ?? "", join(import.meta.dir, "provider.js")], {
      PROVIDER: JSON.stringify({
        port: idp,
        secret: SECRET,
        groups: ["lab staff", "others"],
        redirectUri: `${home}/_runegate/oidc/idp/callback`,
        logoutUri: `${gateway.url}/_runegate/oidc/idp/backchannel-logout`,
      }),
    });
    await provider.waitFor(/provider ready/, 20_000);
  });
  afterEach(async () => {
    await Promise.all(tabs.map((tab) => tab.close()));
    tabs = [];
  });
  afterAll(async () => {
    provider.signal("SIGKILL");
    await Promise.all([provider.exited, gateway.stop(), sample.stop()]);
    rmSync(folder, { recursive: true, force: true });
  });

  const homeUrl = () => gateway.gateway.options.baseUrl;

  async function continueAs(tab: Tab, who: string): Promise<void> {
    await tab.open(`${homeUrl()}/lab?a=1`);
    await tab.follow(".way-in a");
    await tab.until(`location.origin === "${issuer}" && document.readyState === "complete"`);
    await tab.click("[name=login]");
    await tab.type(who);
    await tab.click("[name=password]");
    await tab.type("anything");
    await tab.follow("form button");
    // It asks once whether we may know who they are.
    await tab.follow("form button");
    await tab.until(`location.origin === "${homeUrl()}" && document.readyState === "complete"`);
  }

  async function newTab(): Promise<Tab> {
    const tab = await openTab();
    tabs.push(tab);
    return tab;
  }

  test("a person signs in, ends where they wanted to, and is signed out when the provider says so", async () => {
    const tab = await newTab();
    await tab.open(`${homeUrl()}/lab?a=1`);
    expect(await tab.text()).toContain("Continue with Our provider");
    expect(await axeViolations(tab)).toEqual([]);
    await continueAs(tab, "Ada@Example.org");
    expect(await tab.evaluate("location.pathname + location.search")).toBe("/lab?a=1");
    const [session] = await gateway.gateway.sessions.list();
    expect(session).toMatchObject({ email: "ada@example.org", method: "oidc", groups: "staff" });

    await tab.open(`${issuer}/session/end`);
    await tab.follow("button[value=yes]");
    await tab.until("document.readyState === 'complete'");
    expect(auditOf(gateway)).toContainEqual(
      expect.objectContaining({ event: "session_revoked", email: "ada@example.org", by: "oidc:idp" }),
    );
    expect(await gateway.gateway.sessions.list()).toEqual([]);
    await tab.open(`${homeUrl()}/lab`);
    expect(await tab.evaluate("location.pathname")).toBe("/_runegate/login");
  });

  test.each([
    [
      "an address that is not verified there",
      "unverified@example.org",
      "does not say that your e-mail address is yours",
    ],
    ["an address that may not sign in", "eve@evil.example", "your address may not sign in here"],
  ])("%s gets a page with a way on, and no session", async (_, who, text) => {
    const tab = await newTab();
    await continueAs(tab, who);
    expect(await tab.text()).toContain(text);
    expect(await axeViolations(tab)).toEqual([]);
    expect(await gateway.gateway.sessions.list()).toEqual([]);
    await tab.follow("a.button");
    expect(await tab.evaluate("location.pathname + location.search")).toBe(
      "/_runegate/login?next=%2Flab%3Fa%3D1",
    );
  });

  test("whoever says no there gets a page with a way on", async () => {
    const tab = await newTab();
    await tab.open(`${homeUrl()}/lab`);
    await tab.follow(".way-in a");
    await tab.until(`location.origin === "${issuer}" && document.readyState === "complete"`);
    await tab.follow('a[href*="abort"]');
    await tab.until(`location.origin === "${homeUrl()}" && document.readyState === "complete"`);
    expect(await tab.text()).toContain("Our provider did not sign you in");
    expect(await gateway.gateway.sessions.list()).toEqual([]);
  });
});
