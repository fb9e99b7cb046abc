import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { type Sample, startSample } from "../../src/sample/app.ts";
import { startGateway, type TestGateway } from "../support/gateway.ts";
import { startOtherBrowser } from "./other-browser.ts";
import { TEST_TIMEOUT } from "./stage.ts";
import { chromium, openTab, type Tab } from "./tab.ts";
import { startTlsEdge, type TlsEdge } from "./tls-edge.ts";

/** Three applications on three hosts, one of them of another domain, behind TLS, in a real browser: one sign-in for all. */

const NAMES = ["app.test", "grafana.app.test", "other.example"] as const;
const RUNNING = `document.getElementById("clock-state")?.innerText === "live" &&
  document.getElementById("chat-state").innerText === "chat.v1"`;
const STOPPED = `["clock-state", "chat-state"].every((id) => document.getElementById(id).innerText === "session ended")`;

let edge: TlsEdge;
let samples: Sample[];
let gateway: TestGateway;
let urls: readonly string[];

setDefaultTimeout(TEST_TIMEOUT);

describe.skipIf(chromium === undefined)("several hosts", () => {
  beforeAll(async () => {
    samples = NAMES.map(() => startSample({ hostname: "127.0.0.1", port: 0 }));
    edge = await startTlsEdge(NAMES, () => gateway.port);
    urls = NAMES.map((name) => `https://${name}:${edge.port}`);
    gateway = await startGateway({
      env: { RUNEGATE_BASE_URL: urls[0] ?? "", RUNEGATE_SECURE_COOKIE: "true" },
      routes: NAMES.map(
        (host, at) => `
          [[routes]]
          name = "app-${at}"
          host = "${host}"
          target = "${samples[at]?.url}"
          title = "${["Weather station", "Grafana", "Notebooks of the laboratory"][at]}"
          icon = "${["🌦️", "📈", "🧪"][at]}"
        `,
      ).join("\n"),
    });
  });

  afterAll(async () => {
    await gateway.stop();
    edge.stop();
    await Promise.all(samples.map((sample) => sample.stop()));
  });

  const host = (tab: Tab) => tab.evaluate("location.origin");

  async function askFor(tab: Tab, email: string) {
    expect(await host(tab)).toBe(urls[0] ?? "");
    await tab.click("#email");
    await tab.type(email);
    await tab.follow("button");
    await gateway.gateway.outbox.runDue();
    const { link = "", code = "" } = gateway.mailbox.mails().find(({ to }) => to === email) ?? {};
    return { link, code };
  }

  test("one sign-in opens three applications, and signing out of one ends all within five seconds", async () => {
    const [home = "", grafana = "", other = ""] = urls;
    const tab = await openTab();
    await tab.open(`${grafana}/?tide=low`);
    const { link } = await askFor(tab, "ada@example.org");
    await tab.open(link);
    await tab.until(`document.querySelector("h1")?.innerText === "Hello ada@example.org"`);
    expect([await host(tab), await tab.where()]).toEqual([grafana, "/?tide=low"]);
    // E15: where it came from is told to nobody.
    expect(await tab.evaluate("document.referrer")).toBe("");
    await tab.until(RUNNING);

    const tabs = [tab];
    for (const url of [other, home]) {
      const further = await openTab({ sameBrowser: true });
      await further.open(`${url}/`);
      await further.until(RUNNING);
      expect([await host(further), await further.heading()]).toEqual([url, "Hello ada@example.org"]);
      tabs.push(further);
    }

    const leaving = await openTab({ sameBrowser: true });
    await leaving.open(`${other}/_runegate/logout`);
    await leaving.follow("button");
    expect(await leaving.heading()).toBe("You are signed out");
    const began = performance.now();
    for (const open of tabs) await open.until(STOPPED);
    expect(performance.now() - began).toBeLessThan(5000);
    for (const open of tabs) {
      await open.reload();
      await open.until(`document.querySelector("h1")?.innerText === "Sign in"`);
      expect(await host(open)).toBe(home);
    }
    for (const open of [...tabs, leaving]) {
      expect(await open.complaints()).toEqual([]);
      await open.close();
    }
  });

  test.each([true, false])(
    "a code that is typed leads to the other host, with script: %p",
    async (script) => {
      const tab = await openTab({ script });
      await tab.open(`${urls[2]}/whoami`);
      const { code } = await askFor(tab, `code-${script}@example.org`);
      await tab.click("#code");
      await tab.type(code);
      await tab.pressThrough("Enter");
      await tab.until(`location.pathname === "/whoami" && document.readyState === "complete"`);
      expect(await host(tab)).toBe(urls[2] ?? "");
      expect(await tab.text()).toContain(`code-${script}@example.org`);
      expect(await tab.complaints()).toEqual([]);
      await tab.close();
    },
  );

  test("the page that waits goes on to the other host once the link was opened in another tab", async () => {
    const waiting = await openTab();
    await waiting.open(`${urls[1]}/whoami`);
    const { link } = await askFor(waiting, "waiting@example.org");
    const tab = await openTab({ sameBrowser: true });
    await tab.open(link);
    await waiting.evaluate(`document.dispatchEvent(new Event("visibilitychange"))`);
    await waiting.until(`location.pathname === "/whoami" && document.readyState === "complete"`);
    expect([await host(waiting), await waiting.text()]).toEqual([
      urls[1] ?? "",
      expect.stringContaining("waiting@example.org"),
    ]);
    for (const one of [waiting, tab]) await one.close();
  });

  test("a link that is opened in another browser signs in there, on the host where it was asked for", async () => {
    const tab = await openTab();
    await tab.open(`${urls[2]}/whoami`);
    const { link } = await askFor(tab, "phone@example.org");
    const phone = startOtherBrowser();
    try {
      const other = await phone.openTab();
      await other.open(link);
      expect(await other.heading()).toBe("Confirm sign-in");
      await other.follow("button");
      await other.until(`location.pathname === "/whoami" && document.readyState === "complete"`);
      expect(await other.text()).toContain("phone@example.org");
      await other.open(`${urls[1]}/whoami`);
      expect(await other.text()).toContain("phone@example.org");
      await tab.open(`${urls[2]}/whoami`);
      expect(await tab.heading()).toBe("Sign in");
    } finally {
      await phone.stop();
      await tab.close();
    }
  });

  test("tabs that are opened at once all get in, and what fails is a page with a way on", async () => {
    const [home = "", grafana = ""] = urls;
    const tab = await openTab();
    await tab.open(`${home}/whoami`);
    const { link } = await askFor(tab, "tabs@example.org");
    await tab.open(link);
    const tabs = await Promise.all([1, 2, 3, 4, 5].map(() => openTab({ sameBrowser: true })));
    await Promise.all(
      tabs.map(async (one, at) => {
        await one.open(`${grafana}/whoami?tab=${at}`);
        await one.until(`location.pathname + location.search === "/whoami?tab=${at}"`);
        await one.until(`document.body?.innerText.includes("tabs@example.org")`);
      }),
    );
    for (const one of tabs) await one.close();

    await tab.open(`${grafana}/_runegate/handoff/finish?ticket=x`);
    expect(await tab.heading()).toBe("This sign-in cannot be finished here");
    await tab.screenshot("hand-off-refused");
    await tab.follow("a.button");
    await tab.until(`document.querySelector("h1")?.innerText === "Hello tabs@example.org"`);
    expect(await host(tab)).toBe(grafana);
    await tab.open(`${home}/_runegate/login?again=1`);
    await tab.screenshot("login-again");
    expect(await tab.text()).toContain("It has been too long since you signed in");
    expect(await tab.complaints()).toEqual([]);
    await tab.close();
  });

  test("the page of applications leads to each, without script, on a phone, in the dark, and read out", async () => {
    const tab = await openTab({ script: false });
    await tab.open(`${urls[0]}/_runegate/`);
    const { code } = await askFor(tab, "tiles@example.org");
    await tab.click("#code");
    await tab.type(code);
    await tab.pressThrough("Enter");
    await tab.open(`${urls[0]}/_runegate/`);
    expect(await tab.heading()).toBe("Applications");
    const contrast = (await Bun.file(`${import.meta.dir}/contrast.js`).text()).trimEnd().replace(/;$/, "");
    for (const scheme of ["light", "dark"] as const) {
      for (const [device, width] of [
        ["desktop", 1000],
        ["phone", 360],
      ] as const) {
        await tab.appear({ scheme, width });
        expect(await tab.evaluate("document.documentElement.scrollWidth <= innerWidth")).toBe(true);
        expect(await tab.evaluate(contrast)).toEqual({ checked: expect.any(Number), low: [] });
        await tab.screenshot(`applications-${device}-${scheme}`);
      }
    }
    const read = (await tab.accessible()).filter(({ role }) => role === "link").map(({ name }) => name);
    const place = (at: number) => urls[at]?.replace("https://", "");
    expect(read.sort()).toEqual([
      `Grafana ${place(1)}`,
      `Notebooks of the laboratory ${place(2)}`,
      "Sign out",
      `Weather station ${place(0)}`,
      "Your account",
    ]);
    await tab.follow(".tiles li:nth-child(2) a");
    expect([await host(tab), await tab.heading()]).toEqual([urls[1] ?? "", "Hello tiles@example.org"]);
    expect(await tab.complaints()).toEqual([]);
    await tab.close();
  });
});
