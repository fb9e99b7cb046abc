import { afterEach, beforeEach, describe, expect, setDefaultTimeout, test } from "bun:test";
import { type Sample, startSample } from "../../src/sample/app.ts";
import { chromium, openTab, type Tab } from "../browser/tab.ts";

setDefaultTimeout(30_000);

describe.skipIf(chromium === undefined)("the sample application's page", () => {
  let sample: Sample;
  let tab: Tab;
  beforeEach(async () => {
    sample = startSample({ hostname: "127.0.0.1", port: 0 });
  });
  afterEach(async () => {
    await tab.close();
    await sample.stop();
  });

  const says = (id: string, text: string) =>
    tab.until(`document.getElementById(${JSON.stringify(id)}).textContent.includes(${JSON.stringify(text)})`);
  const live = async () => {
    await says("clock-state", "live");
    await says("chat-state", "chat.v1");
    await says("echo-state", "open");
  };
  const choose = (selector: string) =>
    tab.evaluate(`(() => {
      const files = new DataTransfer();
      files.items.add(new File([new Uint8Array(100000)], "<shell>.bin"));
      document.querySelector(${JSON.stringify(selector)}).files = files.files;
    })()`);

  test("has a clock, an echo, a chat and an upload, and asks nobody else for anything", async () => {
    tab = await openTab();
    await tab.open(`${sample.url}/`);
    await live();
    await tab.click("#echo-text");
    await tab.type("ahoy");
    await tab.press("Enter");
    await says("echo-log", "← ahoy");
    await tab.click("#echo-bytes");
    await says("echo-log", "← 1,000,000 bytes");
    await tab.click("#chat-text");
    await tab.type("<b>anyone?</b>");
    await tab.press("Enter");
    await says("chat-log", "<b>anyone?</b>");
    await choose("#upload-file");
    await tab.click("#upload-form button");
    await says("upload-result", "<shell>.bin");
    await says("upload-result", "100,000");
    expect(await tab.complaints()).toEqual([]);
    const hosts = (await tab.requests()).map((url) => new URL(url).host);
    expect([...new Set(hosts)]).toEqual([new URL(sample.url).host]);
  });

  test("closes a socket for good when told to, and opens it again", async () => {
    tab = await openTab();
    await tab.open(`${sample.url}/`);
    await live();
    await tab.click("#echo-toggle");
    await says("echo-log", "Closed with code 1000 (that is all).");
    await says("echo-toggle", "Open again");
    await tab.click("#echo-toggle");
    await says("echo-state", "open");
    await tab.click("#echo-server-close");
    await says("echo-log", "Closed with code 4001 (as you wish).");
    await says("echo-state", "open");
  });

  test("finds its way back after a restart", async () => {
    tab = await openTab();
    await tab.open(`${sample.url}/`);
    await live();
    await sample.stop();
    for (const id of ["clock-state", "chat-state", "echo-state"]) await says(id, "reconnecting");
    sample = startSample({ hostname: "127.0.0.1", port: sample.port });
    await live();
    expect(await tab.evaluate("document.getElementById('ended').hidden")).toBe(true);
  });

  test("uploads without JavaScript too", async () => {
    tab = await openTab({ script: false });
    await tab.open(`${sample.url}/`);
    await choose("#upload-file");
    await tab.follow("#upload-form button");
    expect(await tab.heading()).toBe("Upload received");
    expect(await tab.text()).toContain("<shell>.bin");
  });
});
