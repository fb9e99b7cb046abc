import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { type Stage, startStage, TEST_TIMEOUT } from "./stage.ts";
import { chromium } from "./tab.ts";

setDefaultTimeout(TEST_TIMEOUT);

/** The development mailbox, in a browser in which no script runs. */
describe.skipIf(chromium === undefined)("the mailbox", () => {
  let stage: Stage;
  beforeAll(async () => {
    stage = await startStage();
  });
  afterAll(() => stage.stop());

  test("shows a mail that comes by itself, as HTML whose link signs in", async () => {
    const mailbox = await stage.tab({ script: false });
    await mailbox.open(`${stage.gateway.url}/_runegate/mailbox`);
    expect(await mailbox.text()).toContain("No mail yet.");

    const tab = await stage.tab({ sameBrowser: true });
    await tab.open(`${stage.gateway.url}/whoami`);
    await stage.askFor(tab, "ada@example.org");
    const link = ".message a";
    expect(await tab.evaluate(`document.querySelector("${link}").getAttribute("href")`)).toBe(
      "/_runegate/mailbox",
    );
    await mailbox.until("document.querySelector('article') !== null");

    await mailbox.follow("a[href$=still]");
    const nodes = await mailbox.accessible();
    expect(nodes.filter(({ role }) => role === "Iframe").map(({ name }) => name)).toEqual([
      "The mail to ada@example.org",
    ]);
    await mailbox.click("h1");
    // Past the two links of the page, to the first of the mail.
    for (const tag of ["A", "A", "IFRAME"]) {
      await mailbox.press("Tab");
      await mailbox.until(`document.activeElement.tagName === "${tag}"`);
    }
    await mailbox.pressThrough("Enter");
    expect(await mailbox.where()).toBe("/whoami");
    expect(await stage.signedIn()).toEqual(["ada@example.org"]);
    // And so does the page that waited.
    await tab.until("location.pathname === '/whoami'");
    expect(await stage.clear()).toEqual([]);
  });
});
