import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { type Sample, startSample } from "../../src/sample/app.ts";
import { axeViolations } from "../support/axe.ts";
import { startGateway, type TestGateway } from "../support/gateway.ts";
import { TEST_TIMEOUT } from "./stage.ts";
import { chromium, openTab, type Tab } from "./tab.ts";
import { startTlsEdge, type TlsEdge } from "./tls-edge.ts";

/** An administrator views an application on another host as somebody else, in a real browser. */

const NAMES = ["app.test", "grafana.app.test"] as const;
const ADA = "ada@example.org";
const ROOT = "root@example.org";
const RUNNING = `document.getElementById("clock-state")?.innerText === "live" &&
  document.getElementById("chat-state").innerText === "chat.v1"`;

let edge: TlsEdge;
let sample: Sample;
let gateway: TestGateway;
let home: string;
let grafana: string;

setDefaultTimeout(TEST_TIMEOUT);

describe.skipIf(chromium === undefined)("viewing as somebody else", () => {
  beforeAll(async () => {
    sample = startSample({ hostname: "127.0.0.1", port: 0 });
    edge = await startTlsEdge(NAMES, () => gateway.port);
    [home = "", grafana = ""] = NAMES.map((name) => `https://${name}:${edge.port}`);
    gateway = await startGateway({
      env: { RUNEGATE_BASE_URL: home, RUNEGATE_SECURE_COOKIE: "true" },
      routes: `
        [groups]
        admins = ["${ROOT}"]
        ${NAMES.map(
          (host, at) => `
          [[routes]]
          name = "${at === 0 ? "home" : "grafana"}"
          host = "${host}"
          target = "${sample.url}"
          ${at === 0 ? "" : 'impersonation = "allow"\n title = "Grafana"'}`,
        ).join("\n")}`,
    });
  });
  afterAll(async () => {
    await gateway.stop();
    edge.stop();
    await sample.stop();
  });

  async function signIn(tab: Tab, url: string, email: string): Promise<void> {
    await tab.open(url);
    await tab.click("#email");
    await tab.type(email);
    await tab.follow("button");
    await gateway.gateway.outbox.runDue();
    await tab.open(gateway.mailbox.mails().find(({ to }) => to === email)?.link ?? "");
  }

  async function looksRight(tab: Tab, name: string): Promise<void> {
    for (const scheme of ["light", "dark"] as const) {
      for (const width of [1000, 360]) {
        await tab.appear({ scheme, width });
        expect([name, await axeViolations(tab)]).toEqual([name, []]);
        expect([name, await tab.evaluate("document.documentElement.scrollWidth")]).toEqual([name, width]);
        await tab.screenshot(`${name}-${scheme}-${width}`);
      }
    }
    await tab.appear({});
  }

  test.each([true, false])("from the form to the end, with script: %p", async (script) => {
    const tab = await openTab({ script });
    await signIn(tab, `${home}/_runegate/admin/impersonate`, ROOT);
    expect(await tab.heading()).toBe("View as");
    if (script) await looksRight(tab, "view-as");
    for (const [field, text] of [
      ["#email", ADA],
      ["#reason", "ticket 4711: her dashboard is empty"],
    ] as const) {
      await tab.click(field);
      await tab.type(text);
    }
    await tab.follow('button[value="start"]');
    const control = await tab.text();
    for (const words of ["It has begun", `You are viewing as ${ADA}`, "left", "Nobody does."])
      expect(control).toContain(words);
    if (script) await looksRight(tab, "view-as-begun");

    const other = await openTab({ script, sameBrowser: true });
    const href = await tab.evaluate(`document.querySelector("#own a.button").href`);
    await other.open(`${href}`);
    await other.until(`document.querySelector("h1")?.innerText === "Hello ${ADA}"`);
    if (script) await other.until(RUNNING);
    await other.open(`${grafana}/whoami`);
    expect(await other.text()).toContain(ROOT);

    const own = await openTab({ script, sameBrowser: true });
    await own.open(`${grafana}/_runegate/as`);
    expect(await own.heading()).toBe(`You are viewing as ${ADA}`);
    if (script) await looksRight(own, "as");
    await other.open(`${grafana}/`);
    if (script) await other.until(RUNNING);
    await own.follow("form button");
    expect(await own.heading()).toBe("You are yourself again");
    if (script) await looksRight(own, "as-ended");
    await other.open(`${grafana}/whoami`);
    expect(await other.text()).not.toContain(ADA);
    await own.open(`${grafana}/_runegate/as`);
    expect(await own.heading()).toBe("You are yourself");
    for (const one of [tab, other, own]) await one.close();
  });

  test("the person sees it on the page of their account", async () => {
    const tab = await openTab();
    await signIn(tab, `${home}/_runegate/account`, ADA);
    await tab.open(`${home}/_runegate/account`);
    expect(await tab.text()).toContain(`${ROOT} looked at Grafana as you, 1 minute`);
    await looksRight(tab, "account-views");
    await tab.close();
  });
});
