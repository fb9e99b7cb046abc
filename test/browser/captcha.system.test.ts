import { afterAll, afterEach, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import {
  HCAPTCHA,
  httpsPortsOf,
  type Provider,
  type StandIns,
  startStandIns,
  TURNSTILE,
} from "../captcha/stand-ins.ts";
import { auditOf } from "../login/support.ts";
import { axeViolations } from "../support/axe.ts";
import { type TestClock, testClock } from "../support/clock.ts";
import { startGateway, type TestGateway } from "../support/gateway.ts";
import { type OtherBrowser, startOtherBrowser } from "./other-browser.ts";
import { type Stage, startStage, TEST_TIMEOUT } from "./stage.ts";
import { chromium, type Tab } from "./tab.ts";

/** What stands before asking for a mail, in a real browser: type an address, send it, and the mail arrives. */

setDefaultTimeout(TEST_TIMEOUT);

const PROOF = "document.querySelector('input[name=captcha]')?.value";

/** In light and dark, and on a phone: what axe finds, and what sticks out. Leaves pictures. */
async function looksRight(tab: Tab, name: string): Promise<void> {
  for (const scheme of ["light", "dark"] as const) {
    await tab.appear({ scheme });
    expect(await axeViolations(tab)).toEqual([]);
    await tab.screenshot(`${name}-${scheme}`);
  }
  await tab.appear({ width: 360 });
  expect(await axeViolations(tab)).toEqual([]);
  expect(await tab.evaluate("document.documentElement.scrollWidth")).toBe(360);
  await tab.screenshot(`${name}-phone`);
}

describe.skipIf(chromium === undefined)("a proof of work", () => {
  let stage: Stage;
  beforeAll(async () => {
    stage = await startStage({ RUNEGATE_CAPTCHA: "work", RUNEGATE_LOG_FORMAT: "json" });
  });
  afterAll(() => stage.stop());
  afterEach(async () => {
    expect(await stage.clear()).toEqual([]);
    stage.clock.advance(3_600_000);
  });
  const refused = () => auditOf(stage.gateway).filter(({ event }) => event === "captcha_refused");
  const asksForWork = async (tab: Tab) =>
    (await tab.requests()).filter((url) => url.endsWith("/_runegate/captcha")).length;

  test("is begun while somebody types, and the mail arrives", async () => {
    const tab = await stage.tab();
    await tab.open(`${stage.gateway.url}/_runegate/login`);
    expect(await asksForWork(tab)).toBe(0);
    await tab.click("#email");
    await tab.type("a");
    await tab.until(
      `performance.getEntriesByType("resource").some(({ name }) => name.includes("captcha-worker"))`,
    );
    const mail = await stage.askFor(tab, "typed@example.org");
    expect(await tab.heading()).toBe("Check your mail");
    expect(await asksForWork(tab)).toBe(1);
    await stage.openFromMail(tab, mail.link);
    expect(await stage.signedIn()).toContain("typed@example.org");
    // By its work, and not by what is there for those without script: that is still to be had.
    const { limiter } = stage.gateway.gateway;
    expect((await limiter.unproven({ ip: "127.0.0.1" })).allowed).toBe(true);
    await limiter.release("unproven:127.0.0.1");
    expect(refused()).toEqual([]);
  });

  test("is done for an address that was filled in and sent by Enter, one after another", async () => {
    for (const email of ["one@example.org", "two@example.org", "three@example.org"]) {
      const tab = await stage.tab();
      await tab.open(`${stage.gateway.url}/_runegate/login`);
      await tab.evaluate(`document.getElementById("email").value = "${email}"`);
      await tab.pressThrough("Enter");
      expect(await tab.heading()).toBe("Check your mail");
    }
    expect(refused()).toEqual([]);
  });

  test("that is done before the form is sent goes with it at the first time", async () => {
    const tab = await stage.tab();
    await tab.open(`${stage.gateway.url}/_runegate/login`);
    await tab.evaluate(`(() => {
      const { terminate } = Worker.prototype;
      Worker.prototype.terminate = function () { window.isWorkDone = true; terminate.call(this); };
    })()`);
    await tab.click("#email");
    await tab.type("unhurried@example.org");
    await tab.until("window.isWorkDone === true");
    await tab.pressThrough("Enter");
    expect(await tab.heading()).toBe("Check your mail");
    expect(refused()).toEqual([]);
  });

  test("is done once more for a page that comes back from the history", async () => {
    const tab = await stage.tab();
    await tab.open(`${stage.gateway.url}/_runegate/login`);
    await stage.askFor(tab, "first@example.org");
    await tab.back();
    await stage.askFor(tab, "second@example.org");
    expect(refused()).toEqual([]);
  });

  test("that has expired on a page that stayed open is done anew by sending again", async () => {
    const tab = await stage.tab();
    await tab.open(`${stage.gateway.url}/_runegate/login`);
    await tab.click("#email");
    await tab.type("slow@example.org");
    await tab.until(
      `performance.getEntriesByType("resource").some(({ name }) => name.includes("captcha-worker"))`,
    );
    stage.clock.advance(600_000);
    await tab.pressThrough("Enter");
    expect(await tab.text()).toContain(
      "That you are not a robot could not be confirmed, or was too long ago.",
    );
    await looksRight(tab, "captcha-work-refused");
    await tab.appear({});
    await tab.follow("form button");
    expect(await tab.heading()).toBe("Check your mail");
  });

  test("is not there without script: the form works, and says when to come again", async () => {
    const tab = await stage.tab({ script: false });
    await tab.open(`${stage.gateway.url}/_runegate/login`);
    const mail = await stage.askFor(tab, "plain@example.org");
    await stage.openFromMail(tab, mail.link);
    expect(await stage.signedIn()).toContain("plain@example.org");
    const other = await stage.tab({ script: false });
    await other.open(`${stage.gateway.url}/_runegate/login`);
    await other.click("#email");
    await other.type("again@example.org");
    await other.follow("form button");
    expect(await other.text()).toContain(
      "Send it again from here. Where JavaScript is off, that works in 10 minutes.",
    );
    expect(refused().at(-1)).toMatchObject({ reason: "missing" });
  });

  test("is done by one more click where another page of ours asked, if that has been done lately", async () => {
    const tab = await stage.tab();
    await tab.open(`${stage.gateway.url}/_runegate/login`);
    await stage.askFor(tab, "expired@example.org");
    stage.clock.advance(900_000);
    await tab.reload();
    expect(await tab.heading()).toBe("This link has expired");
    // Somebody behind the same address, without script.
    expect((await stage.gateway.gateway.limiter.unproven({ ip: "127.0.0.1" })).allowed).toBe(true);
    await tab.follow("form button");
    expect(await tab.text()).toContain("Send it again from here.");
    expect(await tab.evaluate("document.querySelector('#email').value")).toBe("expired@example.org");
    await tab.follow("form button");
    expect(await tab.heading()).toBe("Check your mail");
  });

  test("leaves the page as it looks, and takes no more than its policy lets every page do", async () => {
    const tab = await stage.tab();
    await tab.open(`${stage.gateway.url}/_runegate/login`);
    await looksRight(tab, "captcha-work");
    expect(await tab.evaluate(PROOF)).toBe("");
  });
});

describe.skipIf(chromium === undefined).each([
  [TURNSTILE.kind, TURNSTILE],
  [HCAPTCHA.kind, HCAPTCHA],
] as const)("%s", (kind, provider: Provider) => {
  let clock: TestClock;
  let services: StandIns;
  let gateway: TestGateway;
  let browser: OtherBrowser;
  beforeAll(async () => {
    clock = testClock();
    services = startStandIns(clock);
    browser = startOtherBrowser();
    gateway = await startGateway({
      clock,
      fetch: services.fetch,
      env: {
        RUNEGATE_CAPTCHA: kind,
        RUNEGATE_CAPTCHA_SITE_KEY: provider.siteKey,
        RUNEGATE_CAPTCHA_SECRET: provider.secret,
        RUNEGATE_LOG_FORMAT: "json",
      },
    });
  });
  afterAll(async () => {
    await browser.stop();
    await gateway.stop();
    services.stop();
  });
  const open = async (script = true) => {
    const tab = await browser.openTab({ script, httpsPorts: httpsPortsOf(services) });
    await tab.open(`${gateway.url}/_runegate/login`);
    return tab;
  };
  const passed = `document.documentElement.dataset.passed === "${kind}"`;

  test("shows its box under the page's policy, and the mail arrives", async () => {
    const tab = await open();
    await tab.until(passed);
    await tab.click("#email");
    await tab.type("ada@example.org");
    await tab.follow("form button");
    expect(await tab.heading()).toBe("Check your mail");
    await gateway.gateway.outbox.runDue();
    expect(gateway.mailbox.mails().map(({ to }) => to)).toEqual(["ada@example.org"]);
    expect(await tab.complaints()).toEqual([]);
    const hosts = new Set(
      (await tab.requests()).flatMap((url) => (url.startsWith("http") ? new URL(url).hostname : [])),
    );
    expect([...hosts].sort()).toEqual(
      kind === "turnstile"
        ? ["127.0.0.1", "challenges.cloudflare.com"]
        : ["127.0.0.1", "api.hcaptcha.com", "js.hcaptcha.com", "newassets.hcaptcha.com"],
    );
  });

  test("looks right with it, in light and dark and on a phone", async () => {
    const tab = await open();
    await tab.until(passed);
    await looksRight(tab, `captcha-${kind}`);
    await tab.appear({ scheme: "dark", width: 320 });
    await tab.reload();
    await tab.until(passed);
    expect(await tab.evaluate("document.documentElement.scrollWidth")).toBe(320);
    if (kind === "hcaptcha") {
      const { theme, size } = (await tab.evaluate(
        "({ ...document.querySelector('.h-captcha').dataset })",
      )) as Record<string, string>;
      expect([theme, size]).toEqual(["dark", "compact"]);
    }
  });

  test("says that it takes script where there is none", async () => {
    const tab = await open(false);
    expect(await tab.text()).toContain("which takes JavaScript");
    await tab.click("#email");
    await tab.type("plain@example.org");
    await tab.follow("form button");
    expect(await tab.text()).toContain("Confirm that you are not a robot, then send it again.");
    await tab.screenshot(`captcha-${kind}-without-script`);
  });
});
