import { afterAll, afterEach, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { axeViolations } from "../support/axe.ts";
import { type Stage, startStage, TEST_TIMEOUT } from "./stage.ts";
import { chromium, type Tab } from "./tab.ts";

/** A screen that is signed in by a phone, as the two people or the one with both meet it. */

const ADA = "ada.lovelace@example.org";

let stage: Stage;

setDefaultTimeout(TEST_TIMEOUT);

describe.skipIf(chromium === undefined)("a screen and a phone", () => {
  beforeAll(async () => {
    stage = await startStage({
      RUNEGATE_APPROVAL: "true",
      RUNEGATE_REMEMBER: "ask",
      RUNEGATE_APP_NAME: "Lab",
    });
  });
  afterAll(() => stage.stop());
  afterEach(async () => expect(await stage.clear()).toEqual([]));

  /** In light and dark, on a desk and on a phone. */
  async function looksRight(tab: Tab, name: string, audited = true): Promise<void> {
    for (const scheme of ["light", "dark"] as const) {
      for (const width of [1000, 360]) {
        await tab.appear({ scheme, width });
        if (audited) expect(await axeViolations(tab)).toEqual([]);
        expect(await tab.evaluate("document.documentElement.scrollWidth")).toBe(width);
        await tab.screenshot(`${name}-${scheme}-${width}`);
      }
    }
  }

  const numberOn = async (screen: Tab) =>
    String(await screen.evaluate("document.querySelector('.number').textContent"));
  const choose = async (phone: Tab, number: string) => phone.follow(`button[name=number][value="${number}"]`);

  /** From the login page of the application to the page with the code. */
  async function askOn(screen: Tab): Promise<string> {
    await screen.open(`${stage.gateway.url}/whoami`);
    await screen.follow(".way-in button");
    return String(await screen.evaluate("document.getElementById('code').textContent"));
  }

  async function phoneSignedIn(): Promise<Tab> {
    const phone = await stage.otherBrowser();
    await phone.open(`${stage.gateway.url}/_runegate/login`);
    const { link } = await stage.askFor(phone, ADA);
    await phone.open(link);
    return phone;
  }

  test("go all the way by themselves, and look right on it", async () => {
    const screen = await stage.tab();
    await screen.open(`${stage.gateway.url}/whoami`);
    await looksRight(screen, "approval-login");
    const code = await askOn(screen);
    expect(await screen.heading()).toBe("Sign in with your phone");
    expect(await screen.accessible()).toContainEqual(
      expect.objectContaining({ role: "image", name: "QR code of the page for your phone" }),
    );
    await looksRight(screen, "approval-screen");

    // The phone is not signed in, and types the code.
    const phone = await stage.otherBrowser();
    await phone.open(`${stage.gateway.url}/_runegate/approve`);
    const { link } = await stage.askFor(phone, ADA);
    await phone.open(link);
    expect(await phone.heading()).toBe("Sign in another screen");
    await looksRight(phone, "approve-code");
    await phone.click("#code");
    await phone.type("ABCDEFGH");
    expect(await phone.evaluate("document.getElementById('code').value")).toBe("ABCD-EFGH");
    await phone.follow("button");
    expect(await phone.text()).toContain("There is no such code");
    await looksRight(phone, "approve-code-wrong");
    await phone.click("#code");
    await phone.type(code.replace("-", "").toLowerCase());
    await phone.follow("button");
    expect(await phone.text()).toContain(ADA);
    const nodes = await phone.accessible();
    expect(nodes).toContainEqual(
      expect.objectContaining({ role: "group", name: "Which number does that screen show?" }),
    );
    await looksRight(phone, "approve");

    // The screen has noticed by itself.
    await screen.until("document.querySelector('.number') !== null");
    expect(await screen.heading()).toBe("Pick this number on your phone");
    await looksRight(screen, "approval-number");
    await choose(phone, await numberOn(screen));
    expect(await phone.heading()).toBe("Approved");
    await looksRight(phone, "approve-done");
    await screen.until("location.pathname === '/whoami'");
    expect(await screen.text()).toContain(ADA);
    // Both sessions may be of one millisecond, so their order says nothing.
    const sessions = (await stage.gateway.gateway.sessions.list()).filter(({ email }) => email === ADA);
    expect(sessions.filter(({ method }) => method === "approval").map(({ brief }) => brief)).toEqual([true]);

    await phone.open(`${stage.gateway.url}/_runegate/account`);
    expect(await phone.text()).toContain("approved from another device");
    await looksRight(phone, "account-approved");
  });

  test("go nowhere by the wrong number", async () => {
    const screen = await stage.tab();
    const phone = await phoneSignedIn();
    await phone.open(`${stage.gateway.url}/_runegate/approve?code=${await askOn(screen)}`);
    await screen.until("document.querySelector('.number') !== null");
    const right = await numberOn(screen);
    await phone.follow(`button[name=number]:not([value="${right}"])`);
    expect(await phone.heading()).toBe("That was not the number");
    await looksRight(phone, "approve-wrong");
    await screen.until("document.querySelector('h1').textContent === 'Nobody is signed in'");
    await looksRight(screen, "approval-denied");
    await screen.follow("button");
    expect(await screen.heading()).toBe("Sign in with your phone");
    stage.clock.advance(5 * 60_000);
    await screen.reload();
    expect(await screen.heading()).toBe("This code has expired");
    await looksRight(screen, "approval-expired");
  });

  test("go all the way without script", async () => {
    const screen = await stage.tab({ script: false });
    const phone = await phoneSignedIn();
    const code = await askOn(screen);
    await phone.open(`${stage.gateway.url}/_runegate/approve?code=${code}`);
    await screen.follow("a.quiet[href='/_runegate/phone']");
    const number = await numberOn(screen);
    await choose(phone, number);
    await screen.until("location.pathname === '/whoami'");
    expect(await screen.text()).toContain(ADA);
  });
});
