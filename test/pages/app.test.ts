import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { findAsset } from "../../src/pages/assets.ts";
import { PLAIN } from "../../src/pages/look.ts";
import { loginPage, mailboxPage, sentPage } from "../../src/pages/pages.ts";
import { needs } from "../support/needs.ts";

setDefaultTimeout(30_000);

/** What the script adds, in a real browser under the real Content-Security-Policy. */

const chromium = needs("chromium");
const CSP =
  "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; connect-src 'self'; " +
  "form-action 'self'; base-uri 'none'; frame-ancestors 'none'";
const AT = Date.UTC(2026, 2, 14, 9, 26, 53);

const sent = (next: string, expiryMinutes = 15) =>
  sentPage(PLAIN, { email: "ada@example.org", expiryMinutes, next });
const PAGES: Record<string, string> = {
  "/login": loginPage(PLAIN, { next: "/" }),
  "/sent": sent("/wanted?a=1"),
  "/sent-elsewhere": sent("//evil.example/"),
  "/sent-backslash": sent("/\\evil.example/"),
  "/sent-again": sentPage(PLAIN, { email: "a@b", expiryMinutes: 15, next: "/wanted", before: "yesterday" }),
  "/sent-dead": sent("/wanted", -1),
  "/mailbox": mailboxPage(PLAIN, { mails: [{ to: "ada@example.org", subject: "s", text: "t", at: AT }] }),
};

describe.skipIf(chromium === undefined)("the script", () => {
  let authenticated = false;
  let createdAt = "today";
  let looks = 0;
  let server: ReturnType<typeof serve>;
  let view: Bun.WebView;

  function serve() {
    return Bun.serve({
      hostname: "127.0.0.1",
      port: 0,
      routes: {
        "/_runegate/session": () => {
          looks++;
          return Response.json(
            { authenticated, created_at: createdAt },
            { status: authenticated ? 200 : 401 },
          );
        },
        // Leaves the page where it is.
        "/_runegate/login": () => new Response(null, { status: 204 }),
      },
      fetch(request) {
        const { pathname } = new URL(request.url);
        const asset = findAsset(pathname);
        if (asset) return new Response(asset.body, { headers: { "content-type": asset.type } });
        const headers = { "content-type": "text/html; charset=utf-8", "content-security-policy": CSP };
        return new Response(PAGES[pathname] ?? "<!doctype html>", { headers });
      },
    });
  }

  beforeAll(async () => {
    server = serve();
    const argv = ["--no-sandbox"];
    view = new Bun.WebView({ backend: { type: "chrome", path: chromium ?? "", argv } });
    await view.navigate("about:blank");
    await view.cdp("Emulation.setTimezoneOverride", { timezoneId: "Asia/Tokyo" });
  });

  afterAll(async () => {
    view.close();
    await server.stop(true);
  });

  async function open(path: string): Promise<void> {
    authenticated = false;
    looks = 0;
    // Not `navigate`, which ends with the load event of the page before, or fails, where that page has just come by itself.
    const before = await view.evaluate("performance.timeOrigin").catch(() => 0);
    await view.cdp("Page.navigate", { url: new URL(path, server.url).href });
    const isAnother = `performance.timeOrigin !== ${before}`;
    await until(async () => (await view.evaluate(isAnother).catch(() => false)) === true);
    await arrival(path);
  }

  /** Makes the page look at once, as it does when it comes to the front. */
  async function comeToFront(): Promise<void> {
    // It may have gone on by itself before it is asked: nobody hears that, or there is no page just now to hear it.
    await view.evaluate(`document.dispatchEvent(new Event("visibilitychange"))`).catch((error: unknown) => {
      if (!/navigated|context/i.test(String(error))) throw error;
    });
  }

  async function arrival(path: string): Promise<void> {
    const here = `location.origin + location.pathname + location.search + " " + document.readyState`;
    const there = `${new URL(path, server.url).href} complete`;
    await until(async () => (await view.evaluate(here).catch(() => "between two pages")) === there);
  }

  async function until(condition: () => boolean | Promise<boolean>): Promise<void> {
    const end = performance.now() + 20_000;
    while (!(await condition())) {
      if (performance.now() > end) throw new Error("waited in vain");
      await Bun.sleep(10);
    }
  }

  const codes: [typed: string, shown: string][] = [
    ["k7q", "K7Q"],
    ["k7qm", "K7QM"],
    ["k7qm4", "K7QM-4"],
    ["K7QM-4XWP", "K7QM-4XWP"],
    [" k7qm 4xwp\t", "K7QM-4XWP"],
    ["Your code: K7QM-4XWP", "Your code: K7QM-4XWP"],
  ];
  test("writes a code as XXXX-XXXX, however it is typed or pasted", async () => {
    for (const [typed, shown] of codes) {
      await open("/sent");
      await view.click("#code");
      await view.type(typed);
      expect(await view.evaluate("document.activeElement.value")).toBe(shown);
    }
  });

  test("keeps the caret where the person is typing", async () => {
    await open("/sent");
    await view.click("#code");
    await view.type("k7m4xwp");
    expect(await view.evaluate("document.activeElement.value")).toBe("K7M4-XWP");
    await view.evaluate("document.activeElement.setSelectionRange(2, 2)");
    await view.type("q");
    const state = "({ value: document.activeElement.value, caret: document.activeElement.selectionStart })";
    expect(await view.evaluate(state)).toEqual({ value: "K7QM-4XWP", caret: 3 });
    await view.press("Backspace");
    expect(await view.evaluate(state)).toEqual({ value: "K7M4-XWP", caret: 2 });
  });

  test("goes on by itself once the link was opened in another tab", async () => {
    await open("/sent");
    await comeToFront();
    await until(() => looks > 0);
    expect(await view.evaluate("location.pathname")).toBe("/sent");
    authenticated = true;
    await comeToFront();
    await arrival("/wanted?a=1");
  });

  test("waits for a new session where there is one that is too old", async () => {
    await open("/sent-again");
    [authenticated, createdAt] = [true, "yesterday"];
    await comeToFront();
    await until(() => looks > 0);
    // Whatever the page has made of that is over.
    await view.evaluate(`fetch("/_runegate/session")`);
    expect(await view.evaluate("location.pathname")).toBe("/sent-again");
    createdAt = "today";
    await comeToFront();
    await arrival("/wanted");
  });

  test.each(["/sent-elsewhere", "/sent-backslash"])("goes to no other host: %s", async (path) => {
    await open(path);
    authenticated = true;
    await comeToFront();
    await arrival("/");
  });

  test("stops looking when the link is dead", async () => {
    await open("/sent-dead");
    await comeToFront();
    await comeToFront();
    // Whatever the page asked for before this has reached the server by now.
    await view.evaluate(`fetch("/_runegate/session")`);
    expect(looks).toBe(1);
  });

  test("shows times in the visitor's zone and keeps the absolute one at hand", async () => {
    await open("/mailbox");
    const [shown, title] = (await view.evaluate(
      `[document.querySelector("time").textContent, document.querySelector("time").title]`,
    )) as [string, string];
    expect(shown).toMatch(/\b0?6:26:53/);
    expect(title).toBe("Sat, 14 Mar 2026 09:26:53 UTC");
  });

  test("sends a form once", async () => {
    await open("/login");
    // In one go: nothing that the browser does by itself may come between.
    const submitted = `(() => {
      const [form] = document.forms;
      form.elements.email.value = "ada@example.org";
      form.requestSubmit();
      return document.querySelector("button").disabled;
    })()`;
    expect(await view.evaluate(submitted)).toBe(true);
    await view.evaluate(`dispatchEvent(new Event("pageshow"))`);
    expect(await view.evaluate(`document.querySelector("button").disabled`)).toBe(false);
  });
});
