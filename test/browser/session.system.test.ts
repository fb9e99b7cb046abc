import { afterAll, afterEach, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { type Stage, startStage, TEST_TIMEOUT } from "./stage.ts";
import { chromium } from "./tab.ts";

/** How a session ends, as somebody sees it who has the application open (CONTRACT section 3). */

const IDLE = 3 * 24 * 60 * 60_000;
/** Both of the sample page's kinds of stream are up. */
const RUNNING = `document.getElementById("clock-state")?.innerText === "live" &&
  document.getElementById("chat-state").innerText === "chat.v1" &&
  document.getElementById("echo-state").innerText === "open" &&
  document.getElementById("time").dateTime !== ""`;
const STOPPED = `["clock-state", "chat-state", "echo-state"]
  .every((id) => document.getElementById(id).innerText === "session ended")`;

let stage: Stage;

setDefaultTimeout(TEST_TIMEOUT);

describe.skipIf(chromium === undefined)("a session", () => {
  beforeAll(async () => {
    stage = await startStage();
  });
  afterAll(() => stage.stop());
  afterEach(async () => expect(await stage.clear()).toEqual([]));

  test("that expires while a page is open stops what is open there, which shows the way back", async () => {
    const tab = await stage.tab();
    await stage.signIn(tab, "ada@example.org", "/?tide=low");
    await tab.until(RUNNING);
    await tab.click("#echo-text");
    await tab.type("ahoy");
    await tab.press("Enter");
    await tab.until(`document.getElementById("echo-log").innerText.includes("← ahoy")`);

    stage.clock.advance(IDLE);
    await tab.until(STOPPED);
    expect(await tab.evaluate("document.getElementById('ended').hidden")).toBe(false);
    expect(await tab.accessible()).toContainEqual(expect.objectContaining({ role: "alert" }));
    expect(await tab.text()).toContain("1008");
    await tab.screenshot("session-ended");
    expect(await tab.evaluate("fetch('/whoami').then(({ status }) => status)")).toBe(401);

    await tab.reload();
    expect(await tab.where()).toBe(`/_runegate/login?next=${encodeURIComponent("/?tide=low")}`);
    const { link } = await stage.askFor(tab, "ada@example.org");
    await stage.openFromMail(tab, link);
    expect(await tab.where()).toBe("/?tide=low");
    await tab.until(RUNNING);
  });

  test("that expired is followed by another through the link that the page shows", async () => {
    const tab = await stage.tab();
    await stage.signIn(tab, "grace@example.org");
    await tab.until(RUNNING);
    stage.clock.advance(IDLE);
    await tab.until(`!document.getElementById("ended").hidden`);
    await tab.follow("#sign-in");
    expect(await tab.heading()).toBe("Sign in");
    const { link } = await stage.askFor(tab, "grace@example.org");
    await tab.open(link);
    expect(await tab.heading()).toBe("Hello grace@example.org");
  });

  test("that is logged out in one tab ends in the other, and leaves nothing behind the back button", async () => {
    const tab = await stage.tab();
    await stage.signIn(tab, "linus@example.org");
    const other = await stage.tab({ sameBrowser: true });
    await other.open(stage.gateway.url);
    await other.until(RUNNING);

    await tab.follow("a[href='/_runegate/logout']");
    expect(await tab.heading()).toBe("Sign out?");
    expect(await tab.text()).toContain("linus@example.org");
    await tab.follow("button");
    expect(await tab.heading()).toBe("You are signed out");
    expect(await stage.signedIn()).not.toContain("linus@example.org");
    await other.until(STOPPED);

    await tab.back();
    expect(await tab.text()).not.toContain("linus@example.org");
    await tab.back();
    expect(await tab.heading()).toBe("Sign in");
    expect(await tab.text()).not.toContain("linus@example.org");
  });

  test("is logged out without script too", async () => {
    const tab = await stage.tab({ script: false });
    await stage.signIn(tab, "ken@example.org");
    await tab.follow("a[href='/_runegate/logout']");
    await tab.follow("button");
    expect(await tab.heading()).toBe("You are signed out");
    await tab.back();
    expect(await tab.text()).not.toContain("ken@example.org");
    await tab.back();
    expect(await tab.heading()).toBe("Sign in");
    await tab.open(`${stage.gateway.url}/_runegate/logout`);
    expect(await tab.heading()).toBe("You are not signed in");
    await tab.follow("a.button");
    expect(await tab.heading()).toBe("Sign in");
  });

  test("ends when the same browser signs in with another address", async () => {
    const tab = await stage.tab();
    await stage.signIn(tab, "first@example.org", "/whoami");
    const other = await stage.otherBrowser();
    await other.open(stage.gateway.url);
    const { link } = await stage.askFor(other, "second@example.org");
    await tab.open(link);
    expect(await tab.heading()).toBe("Confirm sign-in");
    await tab.follow("button");
    expect(await tab.heading()).toBe("Hello second@example.org");
    expect(await stage.signedIn()).not.toContain("first@example.org");
  });
});
