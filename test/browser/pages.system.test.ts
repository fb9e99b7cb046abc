import { afterAll, afterEach, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { type Stage, startStage, TEST_TIMEOUT } from "./stage.ts";
import { chromium, type Tab } from "./tab.ts";

/**
 * Every page that Runegate serves itself: what a screen reader is told, how it looks on a desk and on a phone, in light
 * and dark. Each run leaves pictures in `screenshots/`, to be looked at.
 */

type Page = {
  readonly name: string;
  /** Which gateway it is a page of: an ordinary one, unless said otherwise. */
  readonly at?: "away" | "limited";
  /** Brings a new browser there. */
  readonly reach: (tab: Tab, stage: Stage) => Promise<void>;
  readonly heading: string;
  /** The label of its field. */
  readonly textbox?: string;
  readonly button?: string;
  /** What it says besides that button may be done. */
  readonly also?: string;
  /** Links that look and serve as buttons. */
  readonly link?: string;
  /** What is read out at once. */
  readonly alert?: string;
};

const EMAIL = "ada.lovelace@example.org";
/** As long as they come: what it does to a narrow page shows there. */
const LONG = `${"a-rather-long-name.".repeat(3)}x@${"department-of-long-names.".repeat(6)}example.org`;

let stages: { readonly usual: Stage; readonly away: Stage; readonly limited: Stage };
/** Where nothing listens until a test does: a free port could be taken by any other test. */
let away: string;
let contrast: string;

const pages: readonly Page[] = [
  {
    name: "login",
    reach: (tab, stage) => tab.open(`${stage.gateway.url}/?tide=high`),
    heading: "Sign in",
    textbox: "E-mail address",
    button: "Send me a link",
  },
  {
    name: "login-refused-address",
    async reach(tab, stage) {
      await tab.open(`${stage.gateway.url}/login`);
      await tab.click("#email");
      await tab.type("ada..lovelace@example.org");
      await tab.follow("button");
    },
    heading: "Sign in",
    textbox: "E-mail address",
    button: "Send me a link",
    alert: "The part before the @ has a character that is not allowed.",
  },
  {
    name: "login-too-often",
    at: "limited",
    async reach(tab, stage) {
      await fetch(`${stage.gateway.url}/login`, {
        method: "POST",
        headers: { "Content-Type": "application/json" },
        body: JSON.stringify({ email: EMAIL }),
      });
      await tab.open(`${stage.gateway.url}/login`);
      await tab.click("#email");
      await tab.type(EMAIL);
      await tab.follow("button");
    },
    heading: "Sign in",
    textbox: "E-mail address",
    button: "Send me a link",
    alert: "A link was asked for this address a short while ago. Try again in 5 minutes.",
  },
  {
    name: "code",
    async reach(tab, stage) {
      await tab.open(`${stage.gateway.url}/?tide=high`);
      await stage.askFor(tab, EMAIL);
    },
    heading: "Check your mail",
    textbox: "Code from the mail",
    button: "Sign in",
    also: "Send it again",
  },
  {
    name: "login-while-under-way",
    async reach(tab, stage) {
      await tab.open(`${stage.gateway.url}/login`);
      await stage.askFor(tab, EMAIL);
      await tab.open(`${stage.gateway.url}/login`);
    },
    heading: "Sign in",
    textbox: "E-mail address",
    button: "Send me a link",
    link: "Continue with the code sent to a…@example.org",
  },
  {
    name: "code-to-long-address",
    async reach(tab, stage) {
      await tab.open(`${stage.gateway.url}/login`);
      await stage.askFor(tab, LONG);
    },
    heading: "Check your mail",
    textbox: "Code from the mail",
    button: "Sign in",
    also: "Send it again",
  },
  {
    name: "code-wrong",
    async reach(tab, stage) {
      await tab.open(`${stage.gateway.url}/?tide=high`);
      const { code } = await stage.askFor(tab, EMAIL);
      await tab.click("#code");
      await tab.type(otherThan(code).slice(0, -1));
      await lastKey(tab, otherThan(code));
    },
    heading: "Check your mail",
    textbox: "Code from the mail",
    button: "Sign in",
    also: "Send it again",
    alert: "That is not the code. 4 tries left.",
  },
  {
    name: "code-used-up",
    async reach(tab, stage) {
      await tab.open(`${stage.gateway.url}/?tide=high`);
      const { code } = await stage.askFor(tab, EMAIL);
      for (let guess = 0; guess < 5; guess++) {
        await tab.click("#code");
        await tab.type(otherThan(code).slice(0, -1));
        await lastKey(tab, otherThan(code));
      }
    },
    heading: "Check your mail",
    button: "Send a new mail",
  },
  {
    name: "code-expired",
    async reach(tab, stage) {
      await tab.open(`${stage.gateway.url}/?tide=high`);
      await stage.askFor(tab, EMAIL);
      stage.clock.advance(15 * 60_000);
      await tab.open(`${stage.gateway.url}/_runegate/code`);
    },
    heading: "This link has expired",
    button: `Send another to ${EMAIL}`,
  },
  {
    name: "link-used",
    async reach(tab, stage) {
      await tab.open(`${stage.gateway.url}/login`);
      const { link } = await stage.askFor(tab, EMAIL);
      const token = new URL(link).searchParams.get("token");
      await fetch(`${stage.gateway.url}/auth`, {
        method: "POST",
        headers: { "Content-Type": "application/json", "User-Agent": "Firefox/150 (Windows)" },
        body: JSON.stringify({ token }),
      });
      await tab.open(link);
    },
    heading: "This link has been used",
    button: `Send another to ${EMAIL}`,
  },
  {
    name: "confirm",
    async reach(tab, { gateway }) {
      // Asked for by a telephone that is not this browser.
      await fetch(`${gateway.url}/login`, {
        method: "POST",
        headers: { "Content-Type": "application/json", "User-Agent": "Safari/605.1 (iPhone; Mobile)" },
        body: JSON.stringify({ email: "reads.mail.here@example.org" }),
      });
      await gateway.gateway.outbox.runDue();
      await tab.open(gateway.mailbox.mails().find(({ to }) => to.startsWith("reads."))?.link ?? "");
    },
    heading: "Confirm sign-in",
    button: "Sign in",
  },
  {
    name: "logout",
    async reach(tab, stage) {
      await stage.signIn(tab, EMAIL, "/whoami");
      await tab.open(`${stage.gateway.url}/_runegate/logout`);
    },
    heading: "Sign out?",
    button: "Sign out",
  },
  {
    name: "logged-out",
    async reach(tab, stage) {
      await stage.signIn(tab, EMAIL, "/whoami");
      await tab.open(`${stage.gateway.url}/_runegate/logout`);
      await tab.follow("button");
    },
    heading: "You are signed out",
    link: "Sign in again",
  },
  {
    name: "logout-of-nothing",
    reach: (tab, stage) => tab.open(`${stage.gateway.url}/_runegate/logout`),
    heading: "You are not signed in",
    link: "Sign in",
  },
  {
    name: "invalid-link",
    reach: (tab, stage) => tab.open(`${stage.gateway.url}/auth?token=no.such.token`),
    heading: "This is not a link of ours",
    link: "Ask for a new link",
  },
  {
    name: "not-found",
    reach: (tab, stage) => tab.open(`${stage.gateway.url}/_runegate/nothing`),
    heading: "Not found",
    link: "Go to the start page",
  },
  {
    name: "application-away",
    at: "away",
    reach: (tab, stage) => stage.signIn(tab, EMAIL),
    heading: "The application is not answering",
    link: "Try again",
  },
  {
    name: "api",
    async reach(tab, stage) {
      await stage.signIn(tab, EMAIL, "/whoami");
      await tab.open(`${stage.gateway.url}/_runegate/api/docs`);
    },
    heading: "Management API",
  },
  {
    name: "mailbox",
    // Where few mails came, so that the picture stays short.
    at: "away",
    async reach(tab, stage) {
      await tab.open(`${stage.gateway.url}/login`);
      await stage.askFor(tab, EMAIL);
      // As it is when it does not load itself again in the middle of this.
      await tab.open(`${stage.gateway.url}/_runegate/mailbox?still`);
    },
    heading: "Mailbox",
    link: "Open the link",
  },
];

/** Another code of the same form. */
const otherThan = (code: string) => (code.startsWith("2") ? "3" : "2") + code.slice(1);

/** The last digit sends the form. */
async function lastKey(tab: Tab, code: string): Promise<void> {
  const before = await tab.evaluate("performance.timeOrigin");
  await tab.type(code.slice(-1));
  await tab.until(`performance.timeOrigin !== ${before} && document.readyState === "complete"`);
}

setDefaultTimeout(TEST_TIMEOUT);

describe.skipIf(chromium === undefined)("the page", () => {
  beforeAll(async () => {
    away = join(mkdtempSync(join(tmpdir(), "runegate-pages-")), "away.sock");
    stages = {
      usual: await startStage(),
      away: await startStage({ RUNEGATE_TARGET_SERVICE: `unix:${away}` }),
      limited: await startStage({ RUNEGATE_RATE_LIMIT_ENABLED: "true" }),
    };
    // An expression, without the semicolon that ends it as a statement.
    contrast = (await Bun.file(`${import.meta.dir}/contrast.js`).text()).trimEnd().replace(/;$/, "");
  });
  afterAll(async () => {
    for (const stage of Object.values(stages)) await stage.stop();
    rmSync(dirname(away), { recursive: true });
  });
  afterEach(async () => {
    for (const stage of Object.values(stages)) expect(await stage.clear()).toEqual([]);
  });

  test.each([...pages])("$name reads and looks right", async (page) => {
    const { name } = page;
    const stage = stages[page.at ?? "usual"];
    const tab = await stage.tab();
    await page.reach(tab, stage);

    const nodes = await tab.accessible();
    const named = (role: string) => nodes.filter((node) => node.role === role).map((node) => node.name);
    expect(named("heading")[0]).toBe(page.heading);
    expect(named("main")).toHaveLength(1);
    expect(named("textbox")).toEqual(page.textbox === undefined ? [] : [page.textbox]);
    const buttons = [page.button, page.also].filter((one) => one !== undefined);
    // Some are held back for a while, and say so.
    expect(named("button").map((one) => one.replace(/ \(\d+\)$/, ""))).toEqual(buttons);
    if (page.link !== undefined) expect(named("link")).toContain(page.link);
    expect(named("alert")).toHaveLength(page.alert === undefined ? 0 : 1);
    if (page.alert !== undefined) {
      expect(await tab.evaluate("document.querySelector('[role=alert]').innerText")).toBe(page.alert);
      // Said again with the field it is about.
      expect(nodes.find(({ role }) => role === "textbox")?.description).toContain(page.alert);
    }
    expect(await tab.evaluate("document.title")).toMatch(/ · 127\.0\.0\.1:\d+$/);
    expect(await tab.evaluate("document.documentElement.lang")).toBe("en");

    for (const scheme of ["light", "dark"] as const) {
      await tab.appear({ scheme });
      expect(await tab.evaluate(contrast)).toEqual({ checked: expect.any(Number), low: [] });
      await tab.screenshot(`${name}-${scheme}`);
    }
    await tab.appear({ width: 360 });
    expect(await tab.evaluate("document.documentElement.scrollWidth")).toBe(360);
    // Small enough to miss with a finger is under 44 pixels (WCAG 2.2 §2.5.5).
    expect(
      await tab.evaluate(
        "[...document.querySelectorAll('button, input:not([type=hidden]), a.button')].filter((e) => e.offsetHeight < 44).length",
      ),
    ).toBe(0);
    await tab.screenshot(`${name}-phone`);
  });

  test("of an application that is away tries again by itself and by its button, without script", async () => {
    const stage = stages.away;
    const tab = await stage.tab({ script: false });
    await stage.signIn(tab, EMAIL, "/tides?day=2");
    expect(await tab.heading()).toBe("The application is not answering");
    await tab.follow("a.button");
    expect([await tab.heading(), await tab.where()]).toEqual([
      "The application is not answering",
      "/tides?day=2",
    ]);
    const application = Bun.serve({
      unix: away,
      fetch: ({ url }) =>
        new Response(
          `<!doctype html><link rel="icon" href="data:,"><h1>Back at ${new URL(url).search}</h1>`,
          {
            headers: { "Content-Type": "text/html" },
          },
        ),
    });
    await tab.passTime(10_000);
    await tab.until("document.querySelector('h1').innerText === 'Back at ?day=2'");
    await application.stop(true);
  });

  test("has its icons", async () => {
    const tab = await stages.usual.tab();
    await tab.open(`${stages.usual.gateway.url}/login`);
    const icons = await tab.evaluate(
      `Promise.all([...document.querySelectorAll("link[rel~=icon], link[rel=apple-touch-icon], header img")].map(
        async (element) => {
          const image = new Image();
          image.src = element.href ?? element.src;
          await image.decode();
          return [element.rel ?? "logo", image.naturalWidth > 0];
        }))`,
    );
    expect(icons).toEqual([
      ["icon", true],
      ["icon", true],
      ["apple-touch-icon", true],
      ["logo", true],
    ]);
  });

  test("stays as strict as its policy says", async () => {
    const tab = await stages.usual.tab();
    await tab.open(`${stages.usual.gateway.url}/login`);
    // The browser's own word that the policy is in force: an inline script and style, and another host, are refused.
    const refused = await tab.evaluate(
      `new Promise((resolve) => {
        const refused = new Set();
        addEventListener("securitypolicyviolation", ({ effectiveDirective }) => {
          refused.add(effectiveDirective);
          if (refused.size === 4) resolve([...refused].sort());
        });
        const add = (tag, properties) => document.body.append(Object.assign(document.createElement(tag), properties));
        add("script", { textContent: "globalThis.ran = true" });
        add("style", { textContent: "body { display: none }" });
        add("img", { src: "http://192.0.2.1/pixel.gif" });
        fetch("http://192.0.2.1/").catch(() => {});
      })`,
    );
    expect(refused).toEqual(["connect-src", "img-src", "script-src-elem", "style-src-elem"]);
    expect(await tab.evaluate("typeof globalThis.ran")).toBe("undefined");
    expect(await tab.complaints()).not.toEqual([]);
  });
});
