import { afterAll, afterEach, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { readFileSync } from "node:fs";
import { type Stage, startStage, TEST_TIMEOUT } from "./stage.ts";
import { chromium, type Tab } from "./tab.ts";

/** The page of API keys as a person uses it: with and without script, in light and dark, on a phone, and what axe says of it. */

setDefaultTimeout(TEST_TIMEOUT);

const EMAIL = "ada@example.org";
const axe = readFileSync(Bun.resolveSync("axe-core/axe.min.js", import.meta.dir), "utf8");

describe.skipIf(chromium === undefined)("the page of keys", () => {
  let stage: Stage;
  beforeAll(async () => {
    stage = await startStage({ RUNEGATE_API_KEYS: "true" });
  });
  afterAll(() => stage.stop());
  afterEach(async () => {
    for (const { id } of await stage.gateway.gateway.apiKeys.list())
      await stage.gateway.gateway.apiKeys.revoke(id, { name: "test", isAdmin: true });
    expect(await stage.clear()).toEqual([]);
  });

  const shown = (tab: Tab) => tab.evaluate("document.querySelector('#key').textContent") as Promise<string>;
  const ask = async (token: string) =>
    (await fetch(`${stage.gateway.url}/whoami`, { headers: { Authorization: `Bearer ${token}` } })).status;

  /** From the page that was reached to the one with the new key. */
  async function make(tab: Tab, description: string): Promise<string> {
    await tab.click("#description");
    await tab.type(description);
    await tab.follow("section form button");
    expect(await tab.heading()).toBe("Your key");
    return shown(tab);
  }

  test.each([true, false])(
    "signs in, makes a key, gives it a new secret, ends it; script: %s",
    async (script) => {
      const tab = await stage.tab({ script });
      await stage.signIn(tab, EMAIL, "/_runegate/keys");
      expect([await tab.heading(), await tab.where()]).toEqual(["API keys", "/_runegate/keys"]);
      expect(await tab.text()).toContain("You have no keys yet.");
      const token = await make(tab, "nightly backup");
      expect(await ask(token)).toBe(200);
      // What copies is script's, and not there without it.
      const copies = await tab.evaluate(
        "[...document.querySelectorAll('[data-copy]')].filter((one) => one.offsetHeight > 0).length",
      );
      expect(copies).toBe(script ? 2 : 0);
      if (script) {
        await tab.click("[data-copy=key]");
        await tab.until("document.querySelector('[data-copy=key]').innerText === 'Copied'");
      }
      await tab.follow("a.button");
      expect(await tab.text()).toContain("nightly backup");
      expect(await tab.text()).not.toContain(token.slice(16));

      await tab.click("article .actions details:first-child summary");
      await tab.follow("article .actions details:first-child button");
      expect(await tab.heading()).toBe("Its new secret");
      const next = await shown(tab);
      expect([await ask(token), await ask(next)]).toEqual([200, 200]);
      await tab.follow("a.button");
      await tab.click("article .actions details:last-child summary");
      await tab.follow("article .actions details:last-child button");
      expect(await tab.text()).toContain("The key “nightly backup” has ended.");
      expect([await ask(token), await ask(next)]).toEqual([401, 401]);
    },
  );

  test("is read out and looks right in every state, on a desk and on a phone, in light and dark", async () => {
    const tab = await stage.tab();
    async function look(name: string): Promise<void> {
      for (const [scheme, width] of [
        ["light", 1000],
        ["dark", 1000],
        ["light", 360],
        ["dark", 360],
      ] as const) {
        await tab.appear({ scheme, width });
        await tab.evaluate(`(() => { ${axe}; return 0; })()`);
        const found = await tab.evaluate(
          "axe.run().then(({ violations }) => violations.map(({ id, nodes }) => [id, nodes.map(({ html }) => html)]))",
        );
        expect([name, scheme, width, found]).toEqual([name, scheme, width, []]);
        expect(await tab.evaluate("document.documentElement.scrollWidth")).toBe(width);
        const small = await tab.evaluate(
          "[...document.querySelectorAll('button, select, input:not([type=hidden], [type=checkbox]), a.button, .check')].filter((e) => e.offsetHeight > 0 && e.offsetHeight < 44).length",
        );
        expect([name, width, small]).toEqual([name, width, 0]);
        await tab.screenshot(`keys-${name}-${scheme}-${width === 360 ? "phone" : "desk"}`);
      }
      await tab.appear({ scheme: "light", width: 1000 });
    }
    await stage.signIn(tab, EMAIL, "/_runegate/keys");
    await look("none");
    await tab.click("section details summary");
    await tab.click("#paths");
    await tab.type("nonsense");
    await tab.follow("section form button");
    await look("refused");
    await tab.open(`${stage.gateway.url}/_runegate/keys`);
    await make(tab, "a program with rather a long name, so that it shows what that does to a narrow page");
    await look("made");
    await tab.follow("a.button");
    await make(tab, "nightly backup");
    await tab.follow("a.button");
    await tab.follow("article .actions form button.quiet");
    await tab.evaluate("[...document.querySelectorAll('details')].forEach((one) => { one.open = true; })");
    await look("listed");
    await tab.open(`${stage.gateway.url}/_runegate/account`);
    expect(await tab.text()).toContain("You have 2 keys.");
    await look("account");
    await tab.follow("#keys a");
    expect(await tab.where()).toBe("/_runegate/keys");
  });
});
