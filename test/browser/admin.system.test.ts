import { afterAll, afterEach, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { type Address, parseAddress } from "../../src/identity/address.ts";
import { axeViolations } from "../support/axe.ts";
import { type Stage, startStage, TEST_TIMEOUT } from "./stage.ts";
import { chromium, type Tab } from "./tab.ts";

/** The pages for administrators, as people use them: with script and without, by a screen reader, on a phone, in the dark. */

const ROOT = "root@example.org";
const ADA = "ada.lovelace@example.org";
const ADMIN = "/_runegate/admin";
const MINUTE = 60_000;
const PHONE = "Mozilla/5.0 (iPhone; CPU iPhone OS 17_4 like Mac OS X) Version/17.4 Mobile Safari/604.1";

const SCREENS = {
  overview: "",
  sessions: "/sessions",
  activity: "/activity",
  keys: "/keys",
  mail: "/mail",
  routes: "/routes",
} as const;

const routesToml = (target: string) => `[groups]
admins = ["${ROOT}"]
[[routes]]
name = "lab"
title = "The laboratory"
target = "${target}"
api_keys = true
[[routes]]
name = "reports"
title = "Reports"
path = "/reports"
target = "${target}"
allow = ["${ADA}", "group:admins"]
`;

let stage: Stage;

setDefaultTimeout(2 * TEST_TIMEOUT);

describe.skipIf(chromium === undefined)("the pages for administrators", () => {
  beforeAll(async () => {
    stage = await startStage({ RUNEGATE_API_KEYS: "true" }, routesToml);
  });
  afterAll(() => stage.stop());
  afterEach(async () => {
    expect(await stage.clear()).toEqual([]);
    for (const email of await stage.signedIn()) await stage.gateway.gateway.sessions.endAll(email as Address);
  });

  async function signIn(tab: Tab, screen = ""): Promise<void> {
    await stage.signIn(tab, ROOT, ADMIN + screen);
  }

  const start = (email: string, ip: string, userAgent = PHONE) =>
    stage.gateway.gateway.sessions.start({ email: parseAddress(email), ip, userAgent });

  async function somePeople(): Promise<void> {
    await start(ADA, "2001:db8:85a3::8a2e:370:7334");
    await start("grace.hopper@example.org", "198.51.100.23", "curl/8.5");
    await start(`${"a-rather-long-name".repeat(3)}@${"long-names.".repeat(6)}example.org`, "192.0.2.1");
  }

  async function someKeys(): Promise<void> {
    for (const description of ["Nightly backup", null]) {
      await stage.gateway.gateway.apiKeys.create({ owner: ADA, description, routes: ["lab"] } as never, {
        name: ROOT,
        isAdmin: true,
      });
    }
  }

  const rows = (tab: Tab) =>
    tab.evaluate(`[...document.querySelectorAll("tbody th bdi")].map((one) => one.textContent)`);

  /** As after a day of work. */
  function someTraffic(): void {
    const { metrics } = stage.gateway.gateway;
    const wave = (at: number) => Math.max(0, Math.sin((at - 24) / 15)) * (1 + (at % 7) / 10);
    const points = Array.from({ length: 96 }, (_, at) => ({
      from: stage.clock.now() - (96 - at) * 15 * MINUTE,
      requests: Math.round(4_000 * wave(at)),
      logins: Math.round(12 * wave(at)),
      refusals: at % 9 === 0 ? 3 : 0,
      p95: wave(at) > 0 ? 40 + (at % 11) * 20 : undefined,
    }));
    Object.assign(metrics, { lastDay: async () => points });
  }

  test("read and look right in light and dark, on a desk and on a phone", async () => {
    await somePeople();
    await someKeys();
    someTraffic();
    const tab = await stage.tab();
    await signIn(tab);
    for (const [name, path] of Object.entries(SCREENS)) {
      await tab.open(stage.gateway.url + ADMIN + path);
      for (const scheme of ["light", "dark"] as const) {
        for (const width of [1000, 360]) {
          await tab.appear({ scheme, width });
          expect([name, scheme, width, ...(await axeViolations(tab))]).toEqual([name, scheme, width]);
          expect([name, await tab.evaluate("document.documentElement.scrollWidth")]).toEqual([name, width]);
          await tab.screenshot(`admin-${name}-${scheme}-${width}`);
        }
      }
      await tab.appear({ scheme: "light", width: 1000 });
    }
  });

  test("a screen reader is told where one is, what each list is, and what each button does to whom", async () => {
    await somePeople();
    const tab = await stage.tab();
    await signIn(tab, "/sessions");
    const nodes = await tab.accessible();
    const named = (role: string) => nodes.filter((node) => node.role === role).map(({ name }) => name);
    expect(named("heading")).toEqual(["Sessions"]);
    expect(named("navigation")).toContain("Administration");
    expect(named("table")).toEqual(["Who is signed in"]);
    expect(named("button")).toContain(`Sign out ${ADA} here: Safari on iOS, 2001:db8:85a3::8a2e:370:7334`);
  });

  test.each([true, false])("end a session in three clicks from the overview (script: %p)", async (script) => {
    await somePeople();
    const tab = await stage.tab({ script });
    await signIn(tab);
    await tab.follow(`a[href="${ADMIN}/sessions"]`);
    await tab.follow(`tr:has(a[href*="grace"]) button`);
    expect(await tab.evaluate(`document.querySelector("[role=status]").innerText`)).toBe(
      "That browser is signed out.",
    );
    expect(await stage.signedIn()).not.toContain("grace.hopper@example.org");
  });

  test.each([true, false])("ask before they sign somebody out everywhere (script: %p)", async (script) => {
    await start(ADA, "192.0.2.1");
    await start(ADA, "192.0.2.2");
    const tab = await stage.tab({ script });
    await signIn(tab, `/sessions?email=${ADA}`);
    await tab.click("tbody tr summary");
    await tab.follow("details[open] button");
    expect(await stage.signedIn()).toEqual([ROOT]);
    expect(await tab.where()).toContain(`email=${ADA}`.replace("@", "%40"));
  });

  test("a list changes by itself, but not under somebody's hands", async () => {
    const tab = await stage.tab();
    await signIn(tab, "/sessions");
    await start(ADA, "192.0.2.1");
    await tab.passTime(6_000);
    await tab.until(`document.querySelectorAll("tbody tr").length === 2`);
    expect(await rows(tab)).toContain(ADA);
    // What came by script is as what came with the page.
    expect(await tab.evaluate(`[...document.querySelectorAll("tbody time")].every((one) => one.title)`)).toBe(
      true,
    );
    await tab.click("tbody tr summary");
    await start("grace.hopper@example.org", "192.0.2.9");
    await tab.passTime(6_000);
    expect(await rows(tab)).not.toContain("grace.hopper@example.org");
  });

  test("to act after a quarter of an hour, one signs in again and comes back", async () => {
    await start(ADA, "192.0.2.1");
    const tab = await stage.tab();
    await signIn(tab, "/sessions");
    stage.clock.advance(16 * MINUTE);
    await tab.follow(`tr:has(a[href*="ada"]) button`);
    expect(await tab.heading()).toBe("Sign in");
    expect(await stage.signedIn()).toContain(ADA);
    const { link } = await stage.askFor(tab, ROOT);
    await stage.openFromMail(tab, link);
    expect(await tab.where()).toBe(`${ADMIN}/sessions`);
  });
});
