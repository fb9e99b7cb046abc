import { afterAll, afterEach, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import type { Address } from "../../src/identity/address.ts";
import { axeViolations } from "../support/axe.ts";
import { type Stage, startStage, TEST_TIMEOUT } from "./stage.ts";
import { chromium, type Tab } from "./tab.ts";

/** The page of one's account, as people use it: with script and without, by a screen reader, on a phone, in the dark. */

const ADA = "ada.lovelace@example.org";
const PHONE = "Mozilla/5.0 (iPhone; CPU iPhone OS 17_4 like Mac OS X) Version/17.4 Mobile Safari/604.1";

let stage: Stage;

setDefaultTimeout(TEST_TIMEOUT);

describe.skipIf(chromium === undefined)("one's account", () => {
  beforeAll(async () => {
    stage = await startStage();
  });
  afterAll(() => stage.stop());
  afterEach(async () => expect(await stage.clear()).toEqual([]));

  /** Signed in here, and at one moment on a telephone far away and by a program. */
  async function open(tab: Tab): Promise<void> {
    await stage.signIn(tab, ADA, "/whoami");
    const { sessions } = stage.gateway.gateway;
    await sessions.start({ email: ADA as Address, ip: "2001:db8:85a3::8a2e:370:7334", userAgent: PHONE });
    await sessions.start({ email: ADA as Address, ip: "198.51.100.23", userAgent: "curl/8.5" });
    await tab.open(`${stage.gateway.url}/_runegate/account`);
  }

  const titles = (tab: Tab) =>
    tab.evaluate(`[...document.querySelectorAll("#sessions .rows strong")].map((one) => one.innerText)`);

  async function endAll(): Promise<void> {
    await stage.gateway.gateway.sessions.endAll(ADA as Address);
  }

  test("reads and looks right in light and dark, on a desk and on a phone", async () => {
    const tab = await stage.tab();
    await open(tab);
    const nodes = await tab.accessible();
    const named = (role: string) => nodes.filter((node) => node.role === role).map(({ name }) => name);
    expect(named("heading")).toEqual([
      "Your account",
      "Where you are signed in",
      "Browsers you have signed in with",
    ]);
    // Apart from each other when only their names are read out.
    expect(named("button").sort()).toEqual([
      "Forget Chrome on Linux",
      "Sign out Safari on iOS, 2001:db8:85a3::8a2e:370:7334",
      "Sign out curl, 198.51.100.23",
      "Sign out everywhere else",
    ]);
    for (const scheme of ["light", "dark"] as const) {
      for (const width of [1000, 360]) {
        await tab.appear({ scheme, width });
        expect(await axeViolations(tab)).toEqual([]);
        expect(await tab.evaluate("document.documentElement.scrollWidth")).toBe(width);
        await tab.screenshot(`account-${scheme}-${width}`);
      }
    }
    const small = `[...document.querySelectorAll("button")].filter((one) => one.offsetHeight < 44).length`;
    expect(await tab.evaluate(small)).toBe(0);
    await endAll();
  });

  test.each([true, false])("ends one session, and then all others (script: %p)", async (script) => {
    const tab = await stage.tab({ script });
    await open(tab);
    const shown = await titles(tab);
    const [here, ...others] = shown as string[];
    expect([here, others.sort()]).toEqual(["Chrome on Linux", ["Safari on iOS", "curl"]]);
    const phone = (shown as string[]).indexOf("Safari on iOS") + 1;
    await tab.follow(`.rows li:nth-child(${phone}) button`);
    expect(await titles(tab)).toEqual(["Chrome on Linux", "curl"]);
    expect(await tab.evaluate(`document.querySelector("[role=status]").innerText`)).toBe("Signed out there.");
    await tab.follow("#sessions > form button");
    expect(await titles(tab)).toEqual(["Chrome on Linux"]);
    expect(await tab.text()).not.toContain("everywhere else\n");
    expect(await stage.signedIn()).toEqual([ADA]);
    await endAll();
  });

  test("the page of applications leads there, and has nothing that axe finds", async () => {
    const tab = await stage.tab();
    await open(tab);
    await tab.follow(".links li:last-child a");
    expect(await tab.heading()).toBe("Sign out?");
    await endAll();
  });
});
