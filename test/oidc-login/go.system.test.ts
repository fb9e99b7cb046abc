import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type Sample, startSample } from "../../src/sample/app.ts";
import { TEST_TIMEOUT } from "../browser/stage.ts";
import { chromium, openTab } from "../browser/tab.ts";
import { startGateway, type TestGateway } from "../support/gateway.ts";
import { needs } from "../support/needs.ts";
import { freePort, type RunningProcess, startProcess } from "../support/process.ts";

/** A provider on zitadel/oidc, in Go (`go/main.go`). Its issuer ends in a slash. */

setDefaultTimeout(TEST_TIMEOUT);

const SOURCE = new URL("go", import.meta.url).pathname;
const go = needs("go");

describe.skipIf(chromium === undefined || go === undefined)("a provider in Go", () => {
  let folder: string;
  let sample: Sample;
  let gateway: TestGateway;
  let provider: RunningProcess;
  let idp: number;

  beforeAll(async () => {
    folder = mkdtempSync(join(tmpdir(), "runegate-oidc-"));
    writeFileSync(join(folder, "secret"), "secret\n", { mode: 0o600 });
    const built = startProcess([go ?? "", "build", "-C", SOURCE, "-o", join(folder, "provider"), "."]);
    if ((await built.exited) !== 0) throw new Error(built.output());
    idp = freePort();
    const port = freePort();
    sample = startSample({ hostname: "127.0.0.1", port: 0 });
    gateway = await startGateway({
      target: sample.url,
      routes: `
        [[providers]]
        name = "go"
        issuer = "http://localhost:${idp}/"
        client_id = "web"
        client_secret_file = "${folder}/secret"`,
      env: {
        RUNEGATE_LISTEN: `127.0.0.1:${port}`,
        RUNEGATE_BASE_URL: `http://127.0.0.1:${port}`,
        RUNEGATE_ALLOW_ANY_EMAIL: "false",
        RUNEGATE_ALLOWED_EMAILS: "test-user@zitadel.ch,ann@example.org",
      },
    });
    provider = startProcess([join(folder, "provider")], {
      PORT: String(idp),
      REDIRECT_URI: `${gateway.url}/_runegate/oidc/go/callback`,
    });
    await provider.waitFor(/server listening/, 20_000);
  }, 300_000);
  afterAll(async () => {
    provider.signal("SIGKILL");
    await Promise.all([provider.exited, gateway.stop(), sample.stop()]);
    rmSync(folder, { recursive: true, force: true });
  });

  test("signs a person in, who ends where they wanted to", async () => {
    const tab = await openTab();
    try {
      await tab.open(`${gateway.url}/lab`);
      await tab.follow(".way-in a");
      await tab.until(`location.port === "${idp}" && document.readyState === "complete"`);
      await tab.click("[name=username]");
      await tab.type("test-user@localhost");
      await tab.click("[name=password]");
      await tab.type("verysecure");
      await tab.follow("button");
      await tab.until(`location.origin === "${gateway.url}" && document.readyState === "complete"`);
      expect(await tab.evaluate("location.pathname")).toBe("/lab");
      const [session] = await gateway.gateway.sessions.list();
      expect(session).toMatchObject({ email: "test-user@zitadel.ch", method: "oidc" });
    } finally {
      await tab.close();
    }
  });

  test("tells that somebody has logged out there, who is signed out here and nobody else", async () => {
    const { sessions } = gateway.gateway;
    const other = await gateway.signIn("ann@example.org");
    expect((await sessions.list()).map(({ email }) => email).sort()).toEqual([
      "ann@example.org",
      "test-user@zitadel.ch",
    ]);
    const tell = (sub: string) => {
      const to = encodeURIComponent(`${gateway.url}/_runegate/oidc/go/backchannel-logout`);
      return fetch(`http://localhost:${idp}/tell-logout?sub=${sub}&to=${to}`);
    };
    expect((await tell("id2")).status).toBe(200);
    expect(await sessions.list()).toHaveLength(2);
    expect((await tell("id1")).status).toBe(200);
    expect((await sessions.list()).map(({ email }) => email)).toEqual(["ann@example.org"]);
    expect((await fetch(`${gateway.url}/`, { headers: { Cookie: other } })).status).toBe(200);
  });
});
