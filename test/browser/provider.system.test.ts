import { afterAll, afterEach, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { parseClients } from "../../src/config/clients.ts";
import { authorizePath, clientBlock, post } from "../provider/support.ts";
import { axeViolations } from "../support/axe.ts";
import { type Stage, startStage, TEST_TIMEOUT } from "./stage.ts";
import { chromium, type Tab } from "./tab.ts";

/** Signing in to an application on another site, as whoever does it sees it: with and without script. */

const ADA = "ada.lovelace@example.org";

let stage: Stage;
/** The application: what of it matters here is that it is somewhere else. */
const application = Bun.serve({
  hostname: "127.0.0.1",
  port: 0,
  fetch: () =>
    new Response("<!doctype html><title>Wiki</title><h1>The wiki</h1>", {
      headers: { "Content-Type": "text/html" },
    }),
});
const callback = `http://127.0.0.1:${application.port}/callback`;

setDefaultTimeout(TEST_TIMEOUT);

describe.skipIf(chromium === undefined)("an application that signs people in with Runegate", () => {
  beforeAll(async () => {
    const wiki = clientBlock("wiki", 'title = "The wiki"\nconsent = "first"').replace(
      /redirect_uris.*/,
      `redirect_uris = ["${callback}"]`,
    );
    const cli = clientBlock("cli", 'title = "Backup program"\ndevice = true', false).replace(
      /redirect_uris.*/,
      "",
    );
    const after = wiki.replace(/post_logout.*/, `post_logout_redirect_uris = ["${callback}"]`);
    stage = await startStage({}, undefined, parseClients(after + cli, "clients.toml", undefined).clients);
  });
  afterAll(() => Promise.all([stage.stop(), application.stop(true)]));
  afterEach(async () => {
    const complaints = await stage.clear();
    expect(complaints.filter((one) => !one.includes(`:${application.port}/`))).toEqual([]);
  });

  /** In light and dark, on a desk and on a phone. */
  async function looksRight(tab: Tab, name: string): Promise<void> {
    for (const scheme of ["light", "dark"] as const) {
      for (const width of [1000, 360]) {
        await tab.appear({ scheme, width });
        expect(await axeViolations(tab)).toEqual([]);
        expect(await tab.evaluate("document.documentElement.scrollWidth")).toBe(width);
        await tab.screenshot(`${name}-${scheme}-${width}`);
      }
    }
  }

  const begin = (sent = {}) =>
    `${stage.gateway.url}${authorizePath({ client_id: "wiki", redirect_uri: callback, ...sent })}`;

  test.each([true, false])(
    "from it, by mail and by agreeing, back to it; then out of both (script: %p)",
    async (script) => {
      const tab = await stage.tab({ script });
      const email = script ? ADA : "grace@example.org";
      await tab.open(begin());
      expect(await tab.heading()).toBe("Sign in");
      const { link } = await stage.askFor(tab, email);
      await tab.open(link);
      expect(await tab.heading()).toBe("Sign in to The wiki");
      if (script) await looksRight(tab, "provider-consent");
      await tab.follow("button[value=true]");
      await tab.until(`location.href.startsWith("${callback}?code=")`);
      // The second time, nothing is asked.
      await tab.open(begin());
      await tab.until(`location.href.startsWith("${callback}?code=")`);
      await tab.open(begin({ prompt: "select_account" }));
      expect(await tab.heading()).toBe("Who signs in to The wiki?");
      if (script) await looksRight(tab, "provider-choose");
      await tab.follow("main a.button");
      await tab.until(`location.href.startsWith("${callback}?code=")`);
      const back = `client_id=wiki&post_logout_redirect_uri=${encodeURIComponent(callback)}&state=s`;
      await tab.open(`${stage.gateway.url}/_runegate/oidc/end_session?${back}`);
      expect(await tab.heading()).toBe("Sign out?");
      if (script) await looksRight(tab, "provider-sign-out");
      await tab.follow("main button");
      await tab.until(`location.href === "${callback}?state=s"`);
      expect(await stage.signedIn()).not.toContain(email);
    },
  );

  test("a code typed in the middle of it: a form of ours leads to another site all the same", async () => {
    const tab = await stage.tab();
    await tab.open(begin({ scope: "openid", client_id: "wiki" }));
    const { code } = await stage.askFor(tab, "joan@example.org");
    await tab.click("#code");
    await tab.type(code);
    await tab.follow("form[action='/_runegate/auth'] button, main form button");
    expect(await tab.heading()).toBe("Sign in to The wiki");
    await tab.follow("button[value=false]");
    await tab.until(`location.href.startsWith("${callback}?error=access_denied")`);
  });

  test("a program without a browser is let in", async () => {
    const house = { issuer: stage.gateway.url };
    const { body } = await post(
      house,
      "device_authorization",
      { client_id: "cli", scope: "openid email" },
      {},
    );
    const tab = await stage.tab();
    await tab.open(`${stage.gateway.url}/_runegate/oidc/device`);
    const { link } = await stage.askFor(tab, ADA);
    await tab.open(link);
    expect(await tab.heading()).toBe("Let a program in");
    await looksRight(tab, "provider-device-code");
    await tab.click("#code");
    await tab.type(body.user_code ?? "");
    await tab.follow("main button");
    expect(await tab.text()).toContain("Backup program");
    await looksRight(tab, "provider-device");
    await tab.follow("button[value=true]");
    expect(await tab.heading()).toBe("Approved");
    await looksRight(tab, "provider-device-done");
    const sent = {
      grant_type: "urn:ietf:params:oauth:grant-type:device_code",
      client_id: "cli",
      device_code: body.device_code,
    };
    expect((await post(house, "token", sent, {})).status).toBe(200);
  });
});
