import { afterAll, afterEach, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { axeViolations } from "../support/axe.ts";
import { type Stage, startStage, TEST_TIMEOUT } from "./stage.ts";
import { chromium, type Tab } from "./tab.ts";

/** A browser that comes back, one that is new, and one that is not to be remembered, as people meet them. */

const ADA = "ada.lovelace@example.org";
const GRACE = "grace.hopper@example.org";

let stage: Stage;

setDefaultTimeout(TEST_TIMEOUT);

describe.skipIf(chromium === undefined)("a browser", () => {
  beforeAll(async () => {
    stage = await startStage({ RUNEGATE_REMEMBER: "ask", RUNEGATE_NEW_DEVICE_MAIL: "true" });
  });
  afterAll(() => stage.stop());
  afterEach(async () => expect(await stage.clear()).toEqual([]));

  /** In light and dark, on a desk and on a phone. */
  async function looksRight(tab: Tab, name: string): Promise<void> {
    for (const scheme of ["light", "dark"] as const) {
      for (const width of [1000, 360]) {
        await tab.appear({ scheme, width });
        expect(await axeViolations(tab)).toEqual([]);
        expect(await tab.evaluate("document.documentElement.scrollWidth")).toBe(width);
        await tab.screenshot(`${name}-${scheme}-${width}`);
      }
    }
  }

  test("is asked whether it is to be kept signed in, and has its address filled in when it comes back", async () => {
    const tab = await stage.tab();
    await tab.open(`${stage.gateway.url}/whoami`);
    const nodes = await tab.accessible();
    expect(nodes).toContainEqual({
      role: "checkbox",
      name: "Keep me signed in on this browser",
      description: expect.stringContaining("a computer that is not yours"),
    });
    await looksRight(tab, "login-remember");
    await tab.click("#remember");
    const { link } = await stage.askFor(tab, ADA);
    await stage.openFromMail(tab, link);
    expect(await tab.where()).toBe("/whoami");
    const [session] = await stage.gateway.gateway.sessions.list();
    expect(session?.brief).toBe(false);

    await tab.open(`${stage.gateway.url}/_runegate/account`);
    await looksRight(tab, "account-devices");
    await tab.open(`${stage.gateway.url}/_runegate/logout`);
    await tab.follow("button");
    await tab.open(`${stage.gateway.url}/_runegate/login`);
    expect(await tab.evaluate("document.getElementById('email').value")).toBe(ADA);
  });

  test("that is new is told of by mail, whose link ends everything at a click", async () => {
    const tab = await stage.tab();
    await stage.signIn(tab, GRACE, "/whoami");
    const other = await stage.otherBrowser();
    await other.open(`${stage.gateway.url}/whoami`);
    const { link } = await stage.askFor(other, GRACE);
    await other.open(link);
    await stage.gateway.gateway.outbox.runDue();
    const [notice] = stage.gateway.mailbox.mails();
    expect(notice?.subject).toContain("New sign-in");

    await other.open(`${stage.gateway.url}/_runegate/mailbox?still`);
    await other.screenshot("mail-new-device");
    await stage.openFromMail(tab, notice?.link ?? "");
    expect(await tab.heading()).toBe("Was this you?");
    await looksRight(tab, "not-me");
    expect(await stage.signedIn()).toContain(GRACE);
    await tab.follow("button");
    expect(await tab.heading()).toBe("Every sign-in has ended");
    await looksRight(tab, "not-me-done");
    expect(await stage.signedIn()).not.toContain(GRACE);
  });
});
