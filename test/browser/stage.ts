import type { MailboxMail } from "../../src/pages/pages.ts";
import type { Client } from "../../src/provider/client.ts";
import { type Sample, startSample } from "../../src/sample/app.ts";
import { type TestClock, testClock } from "../support/clock.ts";
import { startGateway, type TestGateway } from "../support/gateway.ts";
import { type OtherBrowser, startOtherBrowser } from "./other-browser.ts";
import { openTab, type Tab, type TabSettings } from "./tab.ts";

/** Milliseconds for one test: many times what it takes, for machines that have other things to do. */
export const TEST_TIMEOUT = 60_000;

/** What stands around a browser: the gateway, the sample application behind it, a webmail, and time. */
export type Stage = {
  readonly gateway: TestGateway;
  readonly clock: TestClock;
  /** A new browser, or with `sameBrowser` another tab of the one there is. */
  tab(settings?: TabSettings): Promise<Tab>;
  /** A browser that shares nothing with the first. */
  otherBrowser(settings?: TabSettings): Promise<Tab>;
  /** From the login page on: asks for a link. Ends at the page that says to check the mail. */
  askFor(tab: Tab, email: string): Promise<Mail>;
  /** All of a login with the link, from and to `path`. */
  signIn(tab: Tab, email: string, path?: string): Promise<void>;
  /** Clicks a link in a mail, in a webmail that is another site. */
  openFromMail(tab: Tab, link: string): Promise<void>;
  /** Addresses that have a session now. */
  signedIn(): Promise<string[]>;
  /** Closes the tabs, and gives what any of them complained of and whom they talked to besides the gateway. */
  clear(): Promise<string[]>;
  stop(): Promise<void>;
};

export type Mail = MailboxMail & { readonly link: string; readonly code: string };

/**
 * @param routes the text of a `routes.toml`, by the URL of the sample application.
 * @param clients that sign people in with us.
 */
export async function startStage(
  env: Readonly<Record<string, string>> = {},
  routes?: (target: string) => string,
  clients: readonly Client[] = [],
): Promise<Stage> {
  const clock = testClock();
  const sample: Sample = startSample({ hostname: "127.0.0.1", port: 0 });
  const gateway = await startGateway({
    ...(routes === undefined ? { target: sample.url } : { routes: routes(sample.url) }),
    ...{ clock, env, clients },
  });
  const webmail = startWebmail();
  let tabs: Tab[] = [];
  let other: OtherBrowser | undefined;

  const keep = (tab: Tab) => {
    tabs.push(tab);
    return tab;
  };
  const known = (url: string) =>
    [`${gateway.url}/`, `${gateway.url.replace("http", "ws")}/`, webmail.url, "data:", "about:"].some(
      (start) => url.startsWith(start),
    );

  const stage: Stage = {
    gateway,
    clock,
    tab: async (settings) => keep(await openTab(settings)),
    async otherBrowser(settings) {
      other ??= startOtherBrowser();
      return keep(await other.openTab(settings));
    },

    async askFor(tab, email) {
      await tab.click("#email");
      // Whoever was here before finds their address there.
      await tab.evaluate("document.getElementById('email').select()");
      await tab.type(email);
      await tab.follow("button");
      await gateway.gateway.outbox.runDue();
      const mail = gateway.mailbox.mails().find(({ to }) => to === email);
      const { link, code } = mail ?? {};
      if (mail === undefined || link === undefined || code === undefined) {
        throw new Error(`no mail for ${email}; the page says: ${await tab.text()}`);
      }
      return { ...mail, link, code };
    },

    async signIn(tab, email, path = "/") {
      await tab.open(gateway.url + path);
      const { link } = await stage.askFor(tab, email);
      await stage.openFromMail(tab, link);
    },

    async openFromMail(tab, link) {
      await tab.open(webmail.pageWith(link));
      await tab.follow("a");
    },

    async signedIn() {
      return (await gateway.gateway.sessions.list()).map(({ email }) => email);
    },

    async clear() {
      const found: string[] = [];
      const closing = tabs;
      tabs = [];
      for (const tab of closing) {
        found.push(...(await tab.complaints()));
        found.push(...(await tab.requests()).filter((url) => !known(url)).map((url) => `request to ${url}`));
        await tab.close();
      }
      return found;
    },

    async stop() {
      for (const tab of tabs) await tab.close();
      await other?.stop();
      await gateway.stop();
      await sample.stop();
      await webmail.stop();
    },
  };
  return stage;
}

/** `localhost` is another site than `127.0.0.1`, as a webmail is to a browser (`SameSite`, `Sec-Fetch-Site`). */
function startWebmail() {
  let link = "";
  const server = Bun.serve({
    hostname: "localhost",
    port: 0,
    fetch: () =>
      new Response(
        `<!doctype html><html lang="en"><title>Mail</title><link rel="icon" href="data:,"><h1>Mail</h1><a href="${Bun.escapeHTML(link)}">Sign in</a>`,
        { headers: { "Content-Type": "text/html; charset=utf-8" } },
      ),
  });
  const url = `http://localhost:${server.port}/`;
  return {
    url,
    pageWith(newLink: string) {
      link = newLink;
      return url;
    },
    stop: () => server.stop(true),
  };
}
