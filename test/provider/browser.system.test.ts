import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { TEST_TIMEOUT } from "../browser/stage.ts";
import { chromium, openTab, type Tab } from "../browser/tab.ts";
import { axeViolations } from "../support/axe.ts";
import { freePort } from "../support/process.ts";
import type { RunningParty } from "./parties/party.ts";
import { type Provider, startProvider } from "./parties/provider.ts";
import { openidClient } from "./parties/web-apps.ts";

/** What a real browser makes of the way to the provider and back: its policies for forms, cookies and pages of other sites. */

setDefaultTimeout(TEST_TIMEOUT);

describe.skipIf(chromium === undefined)("a person in a browser", () => {
  let provider: Provider;
  let running: RunningParty;
  let origin: string;
  let directory: string;
  let tab: Tab;

  beforeAll(async () => {
    const party = openidClient("RS256", "confidential");
    const port = freePort();
    origin = `http://localhost:${port}`;
    directory = mkdtempSync(join(tmpdir(), "runegate-party-"));
    const client = { id: "notes", ...party.client(origin) };
    provider = await startProvider([client]);
    running = await party.start({ port, origin, client, directory, issuer: provider.issuer });
    tab = await openTab();
  });
  afterAll(async () => {
    await tab?.close();
    running?.process.signal("SIGKILL");
    await running?.process.exited;
    await provider?.[Symbol.asyncDispose]();
    rmSync(directory, { recursive: true, force: true });
  });

  const arrive = (at: string) =>
    tab.until(`location.origin === "${at}" && document.readyState === "complete"`);

  test("signs in by the code in the mail, and signs out at both by a link of the application", async () => {
    await tab.open(`${origin}/login`);
    expect(await tab.evaluate("location.origin")).toBe(provider.issuer);
    expect(await axeViolations(tab)).toEqual([]);
    await tab.click("#email");
    await tab.type("ada@example.org");
    await tab.follow("button");
    await tab.click("#code");
    await tab.type(await provider.codeFor("ada@example.org"));
    // The last digit sends it.
    await arrive(origin);
    expect(JSON.parse(await tab.text())).toMatchObject({ email: "ada@example.org", groups: ["staff"] });

    // Already signed in there: nothing is asked.
    await tab.open(`${origin}/login`);
    expect(await tab.where()).toBe("/me");

    await tab.open(`${origin}/logout`);
    await arrive(origin);
    expect(await tab.where()).toBe("/bye");
    await tab.open(`${origin}/login`);
    expect(await tab.evaluate("location.origin")).toBe(provider.issuer);
    // What Chromium says of every sign-in that goes by way of another site.
    const complaints = (await tab.complaints()).filter((one) => !one.startsWith("issue: BounceTracking"));
    expect(complaints).toEqual([]);
  });
});
