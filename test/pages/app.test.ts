import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { findAsset } from "../../src/pages/assets.ts";
import { PLAIN } from "../../src/pages/look.ts";
import { type CodePage, codePage, loginPage, mailboxPage } from "../../src/pages/pages.ts";
import { needs } from "../support/needs.ts";

setDefaultTimeout(30_000);

/** What the script adds, in a real browser under the real Content-Security-Policy. */

const chromium = needs("chromium");
const CSP =
  "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; connect-src 'self'; " +
  "form-action 'self'; base-uri 'none'; frame-ancestors 'none'";
const AT = Date.UTC(2026, 2, 14, 9, 26, 53);

const sent = (changes: Partial<CodePage> = {}) =>
  codePage(PLAIN, {
    ...{ state: "waiting", email: "ada@example.org", next: "/", now: AT, expiresAt: AT + 900_000 },
    ...{ triesLeft: 5, tries: 5, againAt: AT, askAt: AT, use: undefined, sender: undefined },
    ...{ subject: "s", letters: false, mailbox: false, ...changes },
  });
const PAGES: Record<string, string> = {
  "/login": loginPage(PLAIN, { next: "/" }),
  "/_runegate/code": sent(),
  "/letters": sent({ letters: true }),
  "/early": sent({ againAt: AT + 3_600_000 }),
  "/last-minute": sent({ expiresAt: AT + 50_000 }),
  "/dead": sent({ expiresAt: AT }),
  "/mailbox": mailboxPage(PLAIN, { mails: [{ to: "ada@example.org", subject: "s", text: "t", at: AT }] }),
};

describe.skipIf(chromium === undefined)("the script", () => {
  let state = "waiting";
  let looks = 0;
  let sent = 0;
  let server: ReturnType<typeof serve>;
  let view: Bun.WebView;

  function serve() {
    return Bun.serve({
      hostname: "127.0.0.1",
      port: 0,
      routes: {
        "/_runegate/code": (request) => {
          if (request.headers.get("accept") !== "application/json") return document("/_runegate/code");
          looks++;
          return Response.json({ state });
        },
        "/_runegate/auth": () => {
          sent++;
          return new Response(null, { status: 204 });
        },
        // Leaves the page where it is.
        "/_runegate/login": () => new Response(null, { status: 204 }),
      },
      fetch(request) {
        const { pathname } = new URL(request.url);
        const asset = findAsset(pathname);
        if (asset) return new Response(asset.body, { headers: { "content-type": asset.type } });
        return document(pathname);
      },
    });
  }

  function document(pathname: string): Response {
    const headers = { "content-type": "text/html; charset=utf-8", "content-security-policy": CSP };
    return new Response(PAGES[pathname] ?? "<!doctype html>", { headers });
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
    state = "waiting";
    looks = 0;
    sent = 0;
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
      await open("/letters");
      await view.click("#code");
      await view.type(typed);
      expect(await view.evaluate("document.activeElement.value")).toBe(shown);
    }
  });

  test("keeps the caret where the person is typing", async () => {
    await open("/letters");
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

  test("writes digits in two halves, and sends them with the last one", async () => {
    await open("/_runegate/code");
    await view.click("#code");
    await view.type("1234567");
    expect(await view.evaluate("document.activeElement.value")).toBe("1234 567");
    expect(sent).toBe(0);
    await view.type("8");
    await until(() => sent === 1);
    expect(await view.evaluate("document.querySelector('#code').value")).toBe("1234 5678");
  });

  /** Whether this is still the document that it was. */
  const stays = async (act: () => Promise<void>) => {
    const before = await view.evaluate("performance.timeOrigin");
    await act();
    await until(() => looks > 0);
    // Whatever the page has made of that is over.
    await view.evaluate(`fetch("/_runegate/code", { headers: { accept: "application/json" } })`);
    return (await view.evaluate("performance.timeOrigin")) === before;
  };

  test("draws the page of a login anew once it has another state", async () => {
    await open("/_runegate/code");
    expect(await stays(comeToFront)).toBe(true);
    const before = await view.evaluate("performance.timeOrigin");
    state = "signed_in";
    await comeToFront();
    await until(async () => (await view.evaluate("performance.timeOrigin").catch(() => before)) !== before);
  });

  test("asks at once when the time of a login is over, whatever clock this machine has", async () => {
    state = "waiting";
    await open("/dead");
    await until(() => looks > 0);
  });

  test("counts down, and says a minute before the end that it comes", async () => {
    await open("/_runegate/code");
    const left = () => view.evaluate("document.querySelector('[role=timer]').textContent");
    expect(await left()).toMatch(/^\((?:15:00|14:5\d)\)$/);
    expect(await view.evaluate("document.querySelector('[data-soon]').textContent")).toBe("");
    await open("/last-minute");
    expect(await left()).toMatch(/^\(0:[45]\d\)$/);
    expect(await view.evaluate("document.querySelector('[data-soon]').textContent")).toContain(
      "one more minute",
    );
  });

  test("keeps the mail from being asked for again before it may, and says for how long", async () => {
    const button = () =>
      view.evaluate(
        `(({ disabled, textContent }) => [disabled, textContent])(document.querySelector("button.quiet"))`,
      );
    await open("/early");
    const [disabled, text] = (await button()) as [boolean, string];
    expect([disabled, /^Send it again \(\d+\)$/.test(text)]).toEqual([true, true]);
    await open("/_runegate/code");
    expect(await button()).toEqual([false, "Send it again"]);
  });

  test("shows times in the visitor's zone and keeps the absolute one at hand", async () => {
    await open("/mailbox");
    const [shown, title] = (await view.evaluate(
      `[document.querySelector("time").textContent, document.querySelector("time").title]`,
    )) as [string, string];
    expect(shown).toMatch(/\b0?6:26:53/);
    expect(title).toBe("March 14, 2026 at 9:26:53 AM UTC");
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
