import { afterAll, afterEach, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { type Stage, startStage, TEST_TIMEOUT } from "./stage.ts";
import { chromium } from "./tab.ts";

/** A form that is sent after its session ended, in a real browser. */

setDefaultTimeout(TEST_TIMEOUT);

let stage: Stage;
let contrast: string;

describe.skipIf(chromium === undefined)("a form that is sent after its session ended", () => {
  beforeAll(async () => {
    stage = await startStage();
    contrast = (await Bun.file(`${import.meta.dir}/contrast.js`).text()).trimEnd().replace(/;$/, "");
  });
  afterAll(() => stage.stop());
  afterEach(async () => expect(await stage.clear()).toEqual([]));

  test.each([
    ["with script", true],
    ["without script", false],
  ])("is offered again, and sent by one click, %s", async (_, script) => {
    const email = `writer.${script}@example.org`;
    const tab = await stage.tab({ script });
    await stage.signIn(tab, email, "/?page=1");
    for (const { id } of await stage.gateway.gateway.sessions.list())
      await stage.gateway.gateway.sessions.end(id);
    // A form as the application could have one.
    await tab.evaluate(
      `document.body.insertAdjacentHTML('afterbegin', '<form method="post" action="/whoami?note=7"><textarea name="note">Hello</textarea><button>Save</button></form>')`,
    );
    await tab.follow("button");
    expect(await tab.where()).toBe("/_runegate/login?next=%2F&kept=yes");
    expect(await tab.text()).toContain("What you wrote is kept for 15 minutes.");
    expect(await tab.evaluate(contrast)).toMatchObject({ low: [] });
    if (script) await tab.screenshot("login-kept-light");

    const { link } = await stage.askFor(tab, email);
    await tab.open(link);
    expect(await tab.heading()).toBe("What you wrote");
    expect(await tab.text()).toContain("/whoami?note=7");
    await tab.until("document.activeElement.innerText === 'Send it now'");
    const nodes = await tab.accessible();
    expect(nodes.filter(({ role }) => role === "button").map(({ name }) => name)).toEqual([
      "Send it now",
      "Do not send",
    ]);
    for (const scheme of ["light", "dark"] as const) {
      await tab.appear({ scheme });
      expect(await tab.evaluate(contrast)).toMatchObject({ low: [] });
      if (script) await tab.screenshot(`kept-${scheme}`);
    }
    await tab.appear({ width: 360 });
    expect(await tab.evaluate("document.documentElement.scrollWidth")).toBe(360);
    if (script) await tab.screenshot("kept-phone");

    await tab.follow("button");
    expect(await tab.where()).toBe("/whoami?note=7");
    expect(await tab.text()).toContain(`"user":"${email}"`);
    expect(await tab.text()).toContain('"method":"POST"');
  });
});
