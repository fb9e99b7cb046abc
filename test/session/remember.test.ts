import { afterEach, describe, expect, test } from "bun:test";
import { SESSION, type Stage, startStage } from "../hand-off/stage.ts";
import { askFor, NAVIGATION, openLink, redeem, sessionOf, whoAmI } from "../login/support.ts";
import { type TestClock, testClock } from "../support/clock.ts";
import { startGateway, type TestGateway } from "../support/gateway.ts";

/** "Keep me signed in": a session that ends with the browser, or one that lasts. */

const HOUR = 3_600_000;
const DAY = 24 * HOUR;
const FORM = { "Content-Type": "application/x-www-form-urlencoded" };

let gateway: TestGateway;
let clock: TestClock;
let stage: Stage | undefined;

afterEach(async () => {
  await stage?.stop();
  stage = undefined;
  await gateway?.stop();
});

async function start(env: Record<string, string> = {}): Promise<void> {
  clock = testClock();
  gateway = await startGateway({ clock, env: { RUNEGATE_EMAIL_COOLDOWN: "0", ...env } });
}

/** A form or JSON that asks for a link. @returns the login cookie and what the mail has */
async function ask(fields: Record<string, string>, headers: Record<string, string> = FORM) {
  const body = headers === FORM ? new URLSearchParams(fields).toString() : JSON.stringify(fields);
  const asked = await fetch(`${gateway.url}/_runegate/login`, { method: "POST", headers, body });
  await gateway.gateway.outbox.runDue();
  const [mail] = gateway.mailbox.mails();
  const cookie = asked.headers.getSetCookie()[0]?.split(";", 1)[0] ?? "";
  return { cookie, token: new URL(mail?.link ?? "").searchParams.get("token") ?? "", code: mail?.code ?? "" };
}

const lineOf = (response: Response) =>
  response.headers.getSetCookie().find((line) => line.startsWith(`${SESSION}=`)) ?? "";

/** How long the cookie and the session last, in milliseconds; undefined for a cookie that ends with the browser. */
async function lifeOf(response: Response) {
  const age = /Max-Age=(\d+)/.exec(lineOf(response))?.[1];
  const { expires_at, created_at } = await whoAmI(gateway, sessionOf(response) ?? "");
  return {
    cookie: age === undefined ? undefined : Number(age) * 1000,
    session: Date.parse(expires_at ?? "") - Date.parse(created_at ?? ""),
  };
}

const LONG = { cookie: 14 * DAY, session: 14 * DAY };
const BRIEF = { cookie: undefined, session: 12 * HOUR };
const email = "ada@example.org";

describe("always, by default", () => {
  test("no check box, and a session that lasts, whatever a form says", async () => {
    await start();
    const page = await (await fetch(`${gateway.url}/_runegate/login`, { headers: NAVIGATION })).text();
    expect(page).not.toContain('name="remember"');
    for (const fields of [{ email }, { email, remember: "true" }, { email, remember: "" }]) {
      const { cookie, token } = await ask(fields);
      expect(await lifeOf(await openLink(gateway, token, { Cookie: cookie }))).toEqual(LONG);
    }
  });
});

describe("where it is asked", () => {
  test("the login page has the box, open; and shows it again as it was left", async () => {
    await start({ RUNEGATE_REMEMBER: "ask" });
    const boxIn = (html: string) => /<input id="remember"[^>]*>/.exec(html)?.[0] ?? "";
    const page = await fetch(`${gateway.url}/_runegate/login`, { headers: NAVIGATION });
    expect(boxIn(await page.text())).toMatch(/type="checkbox" value="true"(?!.* checked)/);
    const wrong = await fetch(`${gateway.url}/_runegate/login`, {
      method: "POST",
      headers: { ...NAVIGATION, ...FORM },
      body: "email=nobody&remember=true",
    });
    expect(boxIn(await wrong.text())).toContain(" checked");
  });

  test.each([
    ["left open", {}, BRIEF],
    ["checked", { remember: "true" }, LONG],
    ["another word", { remember: "on" }, BRIEF],
  ] as const)("the link, in the browser that asked: %s", async (_, more, life) => {
    await start({ RUNEGATE_REMEMBER: "ask" });
    const { cookie, token } = await ask({ email, ...more });
    expect(await lifeOf(await openLink(gateway, token, { Cookie: cookie }))).toEqual(life);
  });

  test("the code goes by what was asked with it, as JSON too", async () => {
    await start({ RUNEGATE_REMEMBER: "ask" });
    const json = { "Content-Type": "application/json" };
    const checked = await ask({ email, remember: "true" }, json);
    expect(await lifeOf(await redeem(gateway, { code: checked.code }, { Cookie: checked.cookie }))).toEqual(
      LONG,
    );
    const open = await ask({ email }, json);
    expect(await lifeOf(await redeem(gateway, { code: open.code }, { Cookie: open.cookie }))).toEqual(BRIEF);
  });

  test("a link opened elsewhere asks there: what another browser answered is nothing to this one", async () => {
    await start({ RUNEGATE_REMEMBER: "ask" });
    for (const [remember, life] of [
      [undefined, BRIEF],
      ["true", LONG],
    ] as const) {
      const { token } = await ask({ email, remember: remember === undefined ? "true" : "" });
      const page = await openLink(gateway, token, NAVIGATION);
      expect(await page.text()).toContain('name="remember"');
      const redeemed = await fetch(`${gateway.url}/_runegate/auth`, {
        method: "POST",
        redirect: "manual",
        headers: { ...NAVIGATION, ...FORM, Origin: gateway.url },
        body: new URLSearchParams({ token, ...(remember && { remember }) }).toString(),
      });
      expect(await lifeOf(redeemed)).toEqual(life);
    }
  });

  test("a session that was not to be kept is over after 12 hours, used or not", async () => {
    await start({ RUNEGATE_REMEMBER: "ask" });
    const { cookie, token } = await askFor(gateway, email);
    const session = sessionOf(await openLink(gateway, token, { Cookie: cookie })) ?? "";
    clock.advance(12 * HOUR - 1);
    expect((await whoAmI(gateway, session)).authenticated).toBe(true);
    clock.advance(1);
    expect((await whoAmI(gateway, session)).authenticated).toBe(false);
  });

  test("a shorter lifetime of sessions is not made longer", async () => {
    await start({ RUNEGATE_REMEMBER: "ask", RUNEGATE_SESSION_TTL: "1h" });
    const { cookie, token } = await ask({ email });
    const life = await lifeOf(await openLink(gateway, token, { Cookie: cookie }));
    expect(life).toEqual({ cookie: undefined, session: HOUR });
  });

  test("its cookies on further hosts end with the browser too", async () => {
    await start();
    stage = await startStage("http://127.0.0.1:9", undefined, { RUNEGATE_REMEMBER: "ask" });
    const ada = stage.person();
    await ada.signIn("https://app.test/");
    const request = await ada.get("https://grafana.app.test/");
    const ticket = await ada.get(request.headers.get("location") ?? "");
    const finished = await ada.get(ticket.headers.get("location") ?? "");
    expect(lineOf(finished)).toStartWith(`${SESSION}=`);
    expect(lineOf(finished)).not.toContain("Max-Age");
  });
});
