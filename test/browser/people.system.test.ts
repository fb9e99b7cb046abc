import { afterAll, afterEach, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import type { Address } from "../../src/identity/address.ts";
import { axeViolations } from "../support/axe.ts";
import { type Stage, startStage, TEST_TIMEOUT } from "./stage.ts";
import { chromium, type Tab } from "./tab.ts";

/** Letting people in, and asking for access, as people do it: with script and without, on a phone, in the dark. */

const ROOT = "root@example.org";
const ADMIN = "/_runegate/admin";
const BOB = "bob@example.org";

const routesToml = (target: string) => `[groups]
admins = ["${ROOT}"]
[[routes]]
name = "sample"
title = "The sample"
target = "${target}"
allow = ["ada@example.org"]
request_access = true
[[routes]]
name = "reports"
path = "/reports"
target = "${target}"
allow = ["@example.org"]
`;

let stage: Stage;

setDefaultTimeout(2 * TEST_TIMEOUT);

describe.skipIf(chromium === undefined)("people", () => {
  beforeAll(async () => {
    stage = await startStage({ RUNEGATE_DYNAMIC_USERS: "true", RUNEGATE_EMAIL_COOLDOWN: "0" }, routesToml);
  });
  afterAll(() => stage.stop());
  afterEach(async () => {
    expect(await stage.clear()).toEqual([]);
    const { people, sessions } = stage.gateway.gateway;
    for (const { who } of await people.list()) await people.remove(who, "test");
    for (const email of await stage.signedIn()) await sessions.endAll(email as Address);
  });

  async function looksRight(tab: Tab, name: string): Promise<void> {
    for (const scheme of ["light", "dark"] as const) {
      for (const width of [1000, 360]) {
        await tab.appear({ scheme, width });
        expect([name, scheme, width, ...(await axeViolations(tab))]).toEqual([name, scheme, width]);
        expect([name, await tab.evaluate("document.documentElement.scrollWidth")]).toEqual([name, width]);
        await tab.screenshot(`people-${name}-${scheme}-${width}`);
      }
    }
    await tab.appear({ scheme: "light", width: 1000 });
  }

  test.each([true, false])(
    "an administrator lets somebody in for a week: two clicks and an address (script: %p)",
    async (script) => {
      const tab = await stage.tab({ script });
      await stage.signIn(tab, ROOT, ADMIN);
      await tab.follow(`a[href="${ADMIN}/people"]`);
      await tab.click("#who");
      await tab.type("bob@partner.example");
      await tab.follow("section form button");
      expect(await tab.text()).toContain("a mail with a link is on its way");
      const [grant] = await stage.gateway.gateway.people.list();
      expect([grant?.who, grant?.routes]).toEqual(["bob@partner.example", ["sample"]]);
      if (script) await looksRight(tab, "screen");
    },
  );

  test.each([true, false])("somebody asks, waits, and is let in (script: %p)", async (script) => {
    const bob = await stage.tab({ script });
    await stage.signIn(bob, BOB);
    expect(await bob.heading()).toBe("Not allowed");
    if (script) await looksRight(bob, "not-allowed");
    await bob.follow("main a.button");
    if (script) await looksRight(bob, "ask");
    await bob.click("#reason");
    await bob.type("The report for tomorrow");
    await bob.follow("main form button");
    expect(await bob.heading()).toBe("Waiting for an answer");
    if (script) await looksRight(bob, "waiting");

    const root = await stage.otherBrowser();
    await stage.signIn(root, ROOT, "/_runegate/requests");
    expect(await root.text()).toContain("The report for tomorrow");
    if (script) await looksRight(root, "requests");
    await root.open(`${stage.gateway.url}${ADMIN}/people`);
    if (script) await looksRight(root, "asked");
    await root.open(`${stage.gateway.url}/_runegate/requests`);
    await root.follow('button[value="8h"]');
    expect(await root.text()).toContain("They have access now");

    // The waiting page looks by itself.
    await bob.until(`document.querySelector("h1")?.innerText === "You have access"`);
    await bob.follow("main a.button");
    expect(await bob.where()).toBe("/");
  });
});
