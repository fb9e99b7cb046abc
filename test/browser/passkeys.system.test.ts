import { afterAll, afterEach, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { type Sample, startSample } from "../../src/sample/app.ts";
import { createMemoryStore } from "../../src/store/memory.ts";
import type { Store } from "../../src/store/store.ts";
import { auditOf } from "../login/support.ts";
import { axeViolations } from "../support/axe.ts";
import { type TestClock, testClock } from "../support/clock.ts";
import { startGateway, type TestGateway } from "../support/gateway.ts";
import { freePort } from "../support/process.ts";
import { plugInto } from "./authenticator.ts";
import { type OtherBrowser, startOtherBrowser } from "./other-browser.ts";
import { TEST_TIMEOUT } from "./stage.ts";
import { chromium, openTab, type Tab } from "./tab.ts";
import { startTlsEdge, type TlsEdge } from "./tls-edge.ts";

/** Passkeys in a real browser, with an authenticator that DevTools stands in for. */

setDefaultTimeout(TEST_TIMEOUT);

const ACCOUNT = "/_runegate/account";
const REFUSED = "This passkey does not sign in here. Try again, or have a link sent to you.";
/** A browser whose address field offers no passkeys. */
const NO_CONDITIONAL_UI = { source: "delete PublicKeyCredential.isConditionalMediationAvailable" };
const PROBLEM = `document.querySelector("#passkey-sign-in [role=alert]")?.innerText`;

let sample: Sample;
let gateway: TestGateway;
let home: string;
let tabs: Tab[] = [];

async function newTab(): Promise<Tab> {
  const tab = await openTab();
  tabs.push(tab);
  return tab;
}

/** By mail, to the page of the account. */
async function signIn(tab: Tab, email: string): Promise<void> {
  await tab.open(home + ACCOUNT);
  await tab.click("#email");
  await tab.type(email);
  await tab.follow("form button");
  await gateway.gateway.outbox.runDue();
  const mail = gateway.mailbox.mails().find(({ to }) => to === email);
  await tab.open(mail?.link ?? "");
  await arriveAt(tab, ACCOUNT);
}

async function arriveAt(tab: Tab, path: string): Promise<void> {
  await tab.until(`location.pathname === "${path}" && document.readyState === "complete"`);
}

async function addPasskey(tab: Tab, name = ""): Promise<void> {
  await tab.click("#passkey-name");
  if (name !== "") await tab.type(name);
  await tab.follow("#add-passkey button");
}

async function signOut(tab: Tab, host = home): Promise<void> {
  await tab.open(`${host}/_runegate/logout`);
  await tab.follow("form button");
}

/** What the body of an asynchronous function gives in the page. `post` sends JSON to a path of the room. */
async function inPage(tab: Tab, body: string): Promise<unknown> {
  await tab.evaluate(`(() => {
    globalThis.outcome = undefined;
    const post = async (path, sent) => {
      const response = await fetch("/_runegate/passkeys" + path, {
        method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify(sent ?? {}),
      });
      return { status: response.status, ...(await response.json()) };
    };
    const assert = async ({ publicKey }) => (await navigator.credentials.get({
      publicKey: PublicKeyCredential.parseRequestOptionsFromJSON(publicKey),
    })).toJSON();
    (async () => { ${body} })().then(
      (value) => { globalThis.outcome = { value }; },
      (error) => { globalThis.outcome = { value: error.name }; },
    );
    return true;
  })()`);
  await tab.until("globalThis.outcome !== undefined");
  return ((await tab.evaluate("globalThis.outcome")) as { value: unknown }).value;
}

const isSignedIn = (tab: Tab) =>
  inPage(tab, `return (await (await fetch("/_runegate/session")).json()).authenticated`);
const lastAudit = () => auditOf(gateway).at(-1);

describe.skipIf(chromium === undefined)("passkeys", () => {
  let clock: TestClock;
  let stores: Store;
  let port: number;

  const start = (env: Readonly<Record<string, string>> = {}) =>
    startGateway({
      target: sample.url,
      clock,
      stores,
      env: {
        RUNEGATE_LISTEN: `127.0.0.1:${port}`,
        RUNEGATE_BASE_URL: home,
        RUNEGATE_PASSKEYS: "true",
        RUNEGATE_LOG_FORMAT: "json",
        RUNEGATE_JWT_SECRET: "1".repeat(64),
        RUNEGATE_SESSION_KEY: "9".repeat(128),
        ...env,
      },
    });

  beforeAll(async () => {
    clock = testClock();
    stores = createMemoryStore({ clock });
    sample = startSample({ hostname: "127.0.0.1", port: 0 });
    port = freePort();
    home = `http://localhost:${port}`;
    gateway = await start();
  });

  afterEach(async () => {
    for (const tab of tabs) await tab.close();
    tabs = [];
  });

  afterAll(async () => {
    await gateway.stop();
    await sample.stop();
  });

  test("one is added after a sign-in by mail, with a name, and signs in from the address field", async () => {
    const tab = await newTab();
    const authenticator = await plugInto(tab);
    await signIn(tab, "ada@example.org");
    await addPasskey(tab, "Ada's laptop");
    expect(await tab.text()).toContain("Ada's laptop");
    expect(await tab.text()).toContain("not used yet");
    const [made, ...others] = await authenticator.credentials();
    expect([made?.rpId, made?.isResidentCredential, others]).toEqual(["localhost", true, []]);
    expect(auditOf(gateway).map(({ event }) => event)).toContain("passkey_added");

    await signOut(tab);
    await tab.open(`${home}/whoami?tide=low`);
    await arriveAt(tab, "/whoami");
    expect(await tab.where()).toBe("/whoami?tide=low");
    expect(await tab.text()).toContain("ada@example.org");
    expect(auditOf(gateway)).toContainEqual(
      expect.objectContaining({ event: "redeemed", email: "ada@example.org", by: "passkey" }),
    );
    await tab.open(home + ACCOUNT);
    expect(await tab.text()).not.toContain("not used yet");
    expect(await tab.complaints()).toEqual([]);
  });

  test("the address field offers passkeys while it waits, and there is no button", async () => {
    const tab = await newTab();
    await tab.open(`${home}/_runegate/login`);
    await tab.until(`document.querySelector("#email").autocomplete === "username webauthn"`);
    expect(await tab.evaluate(`document.querySelector("#passkey-sign-in").hidden`)).toBe(true);
    // The link by mail goes on working beside it.
    await tab.click("#email");
    await tab.type("mail@example.org");
    await tab.follow("form button");
    expect(await tab.heading()).toBe("Check your mail");
  });

  test("where the field offers none, a button signs in", async () => {
    const tab = await newTab();
    await plugInto(tab);
    await signIn(tab, "button@example.org");
    await addPasskey(tab);
    await signOut(tab);
    await tab.devtools("Page.addScriptToEvaluateOnNewDocument", NO_CONDITIONAL_UI);
    await tab.open(`${home}/whoami`);
    expect((await tab.accessible()).map(({ name }) => name)).toContain("Sign in with a passkey");
    await tab.follow("#passkey-sign-in button");
    await arriveAt(tab, "/whoami");
    expect(await tab.text()).toContain("button@example.org");
    expect(await tab.complaints()).toEqual([]);
  });

  test("without script, or in a browser without passkeys, neither is there", async () => {
    const tab = await openTab({ script: false });
    tabs.push(tab);
    await tab.open(`${home}/_runegate/login`);
    expect(await tab.text()).not.toContain("passkey");
  });

  test("an authenticator that does not recognize its owner signs nobody in", async () => {
    const tab = await newTab();
    const authenticator = await plugInto(tab);
    await signIn(tab, "stranger@example.org");
    await addPasskey(tab);
    await signOut(tab);
    await authenticator.recognize(false);
    await tab.devtools("Page.addScriptToEvaluateOnNewDocument", NO_CONDITIONAL_UI);
    await tab.open(`${home}/_runegate/login`);
    expect(await inPage(tab, `return await assert(await post("/sign-in/options"))`)).toBe("NotAllowedError");
    // Nor where the page asks for less than it should.
    expect(
      await inPage(
        tab,
        `const offer = await post("/sign-in/options");
         offer.publicKey.userVerification = "discouraged";
         return (await post("/sign-in", { ticket: offer.ticket, credential: await assert(offer) })).status`,
      ),
    ).toBe(401);
    expect(lastAudit()).toMatchObject({ event: "passkey_refused", reason: "unacceptable" });
    expect(await isSignedIn(tab)).toBe(false);
  });

  test("an assertion that is sent again is refused", async () => {
    const tab = await newTab();
    await plugInto(tab);
    await signIn(tab, "again@example.org");
    await addPasskey(tab);
    await signOut(tab);
    await tab.devtools("Page.addScriptToEvaluateOnNewDocument", NO_CONDITIONAL_UI);
    await tab.open(`${home}/_runegate/login`);
    const statuses = await inPage(
      tab,
      `const offer = await post("/sign-in/options");
       const sent = { ticket: offer.ticket, credential: await assert(offer) };
       return [(await post("/sign-in", sent)).status, (await post("/sign-in", sent)).status]`,
    );
    expect(statuses).toEqual([200, 401]);
    expect(lastAudit()).toMatchObject({
      event: "passkey_refused",
      reason: "spent",
      email: "again@example.org",
    });
  });

  test("a counter that went back is refused, and audited", async () => {
    const tab = await newTab();
    const authenticator = await plugInto(tab);
    await signIn(tab, "counter@example.org");
    await addPasskey(tab);
    await signOut(tab);
    await tab.open(`${home}/whoami`);
    await arriveAt(tab, "/whoami");
    await signOut(tab);
    const [used] = await authenticator.credentials();
    if (used === undefined) throw new Error("there is no passkey");
    expect(used.signCount).toBeGreaterThan(1);
    await authenticator.clear();
    await authenticator.add({ ...used, signCount: used.signCount - 1 });
    await tab.open(`${home}/whoami`);
    await tab.until(`${PROBLEM} === ${JSON.stringify(REFUSED)}`);
    expect(lastAudit()).toMatchObject({
      ...{ event: "passkey_refused", reason: "counter", email: "counter@example.org" },
    });
    expect(await isSignedIn(tab)).toBe(false);
    // The authenticator has counted on meanwhile.
    await tab.follow("#passkey-sign-in button");
    await arriveAt(tab, "/whoami");
  });

  test("an address that may no longer sign in does not by its passkey either", async () => {
    const tab = await newTab();
    await plugInto(tab);
    await signIn(tab, "removed@example.org");
    await addPasskey(tab);
    await signOut(tab);
    await gateway.stop();
    gateway = await start({ RUNEGATE_ALLOW_ANY_EMAIL: "false", RUNEGATE_ALLOWED_EMAILS: "ada@example.org" });
    try {
      await tab.open(`${home}/whoami`);
      await tab.until(`${PROBLEM} === ${JSON.stringify(REFUSED)}`);
      expect(lastAudit()).toMatchObject({
        ...{ event: "passkey_refused", reason: "not_allowed", email: "removed@example.org" },
      });
      expect(await isSignedIn(tab)).toBe(false);
    } finally {
      await gateway.stop();
      gateway = await start();
    }
    await tab.open(`${home}/whoami`);
    await arriveAt(tab, "/whoami");
  });

  test("ten are the most, one device makes no second, and all can be removed, the last one too", async () => {
    const tab = await newTab();
    let authenticator = await plugInto(tab);
    await signIn(tab, "ten@example.org");
    await addPasskey(tab, "No. 1");
    await tab.click("#add-passkey button");
    await tab.until(
      `document.querySelector("#add-passkey [role=alert]").innerText === "There is a passkey of yours on this device already."`,
    );
    for (let count = 2; count <= 10; count++) {
      await authenticator.remove();
      authenticator = await plugInto(tab);
      clock.advance(1000);
      await addPasskey(tab, `No. ${count}`);
    }
    expect(await tab.text()).toContain("You have ten passkeys. Remove one before you add another.");
    expect(await tab.evaluate(`document.querySelector("#add-passkey")`)).toBe(null);
    expect(await inPage(tab, `return await post("/options")`)).toMatchObject({
      ...{ status: 409, error: "too_many_passkeys" },
    });
    await tab.screenshot("passkeys-ten");
    const names = `[...document.querySelectorAll("#passkeys li strong")].map((one) => one.innerText).join()`;
    for (let left = 9; left >= 0; left--) {
      await tab.follow("#passkeys li button");
      expect(await tab.where()).toBe(`${ACCOUNT}?done=passkey-removed`);
      expect(await tab.text()).toContain("The passkey was removed");
      const expected = Array.from({ length: left }, (_, at) => `No. ${at + 11 - left}`).join();
      expect(await tab.evaluate(names)).toBe(expected);
    }
    expect(
      auditOf(gateway).filter(
        ({ event, email }) => event === "passkey_removed" && email === "ten@example.org",
      ),
    ).toHaveLength(10);
    await signOut(tab);
    await tab.open(`${home}/whoami`);
    await tab.until(`${PROBLEM} === ${JSON.stringify(REFUSED)}`);
    expect(lastAudit()).toMatchObject({ event: "passkey_refused", reason: "unknown" });
  });

  test("a sign-in of more than 15 minutes ago adds none, and the page leads to another", async () => {
    const tab = await newTab();
    await plugInto(tab);
    await signIn(tab, "late@example.org");
    clock.advance(15 * 60_000);
    expect(await inPage(tab, `return await post("/options")`)).toMatchObject({
      ...{ status: 403, error: "sign_in_again" },
    });
    await tab.reload();
    expect(await tab.evaluate(`document.querySelector("#add-passkey")`)).toBe(null);
    await tab.follow("#passkeys a");
    expect(await tab.text()).toContain("It has been too long since you signed in.");
    // The address of the last sign-in is filled in.
    await tab.follow("form button");
    await gateway.gateway.outbox.runDue();
    await tab.open(gateway.mailbox.mails().find(({ to }) => to === "late@example.org")?.link ?? "");
    await arriveAt(tab, ACCOUNT);
    await addPasskey(tab);
    expect(await tab.text()).toContain("not used yet");
  });

  test("the parts are readable in light and dark, on a desk and on a phone", async () => {
    const tab = await newTab();
    await plugInto(tab);
    await signIn(tab, "looks@example.org");
    await addPasskey(tab, "A rather long name of a laptop that is at home");
    const contrast = (await Bun.file(`${import.meta.dir}/contrast.js`).text()).trimEnd().replace(/;$/, "");
    await tab.devtools("Page.addScriptToEvaluateOnNewDocument", NO_CONDITIONAL_UI);
    for (const [name, path] of [
      ["passkeys-account", ACCOUNT],
      ["passkeys-login", "/_runegate/login?again=1"],
    ] as const) {
      await tab.open(home + path);
      for (const scheme of ["light", "dark"] as const) {
        for (const [device, width] of [
          ["desktop", 1000],
          ["phone", 360],
        ] as const) {
          await tab.appear({ scheme, width });
          expect(await tab.evaluate("document.documentElement.scrollWidth <= innerWidth")).toBe(true);
          expect(await tab.evaluate(contrast)).toEqual({ checked: expect.any(Number), low: [] });
          expect(await axeViolations(tab)).toEqual([]);
          await tab.screenshot(`${name}-${device}-${scheme}`);
        }
      }
    }
  });
});

describe.skipIf(chromium === undefined)("passkeys and several hosts", () => {
  const NAMES = ["app.test", "grafana.app.test", "other.example", "stranger.example"] as const;
  const GRAFANA = "https://grafana.app.test";
  const OTHER = "https://other.example";
  let edge: TlsEdge;
  let browser: OtherBrowser;

  beforeAll(async () => {
    home = "https://app.test";
    sample = startSample({ hostname: "127.0.0.1", port: 0 });
    edge = await startTlsEdge(NAMES, () => gateway.port);
    gateway = await startGateway({
      env: {
        RUNEGATE_BASE_URL: home,
        RUNEGATE_SECURE_COOKIE: "true",
        RUNEGATE_PASSKEYS: "true",
        RUNEGATE_LOG_FORMAT: "json",
      },
      routes: NAMES.slice(0, 3)
        .map((host, at) => `[[routes]]\nname = "app-${at}"\nhost = "${host}"\ntarget = "${sample.url}"\n`)
        .join("\n"),
    });
    browser = startOtherBrowser();
  });

  afterAll(async () => {
    await browser.stop();
    edge.stop();
    await gateway.stop();
    await sample.stop();
  });

  /** A browser to which these names are ours, with an authenticator that has a passkey of this address. */
  async function enrolled(email: string) {
    const httpsPorts = Object.fromEntries(NAMES.map((name) => [name, edge.port]));
    const tab = await browser.openTab({ httpsPorts });
    const authenticator = await plugInto(tab);
    await signIn(tab, email);
    await addPasskey(tab);
    await signOut(tab);
    return { tab, authenticator };
  }

  const asked = (path: string) =>
    gateway.lines.filter((line) => line.includes('"request"') && line.includes(`"${path}"`)).length;

  test("a visitor of another host signs in by a passkey where people sign in, and comes back", async () => {
    const { tab } = await enrolled("hop@example.org");
    await tab.open(`${OTHER}/whoami`);
    await arriveAt(tab, "/whoami");
    expect(await tab.evaluate("location.origin")).toBe(OTHER);
    expect(await tab.text()).toContain("hop@example.org");
    await tab.open(`${GRAFANA}/whoami`);
    expect(await tab.text()).toContain("hop@example.org");
  });

  test("a page of another host may ask for one by /.well-known/webauthn, and signs in to that host alone", async () => {
    const { tab } = await enrolled("related@example.org");
    expect(asked("/.well-known/webauthn")).toBe(0);
    // As the guide has it for the front end of an application.
    const guide = await Bun.file(`${import.meta.dir}/../../deploy/README.md`).text();
    const script = /```js\n(async function signIn.*?)```/s.exec(guide)?.[1] ?? "throw new Error()";
    for (const host of [OTHER, GRAFANA]) {
      await tab.open(`${host}/_runegate/logout`);
      expect(await inPage(tab, `${script}\nawait signIn(); return "done"`)).toBe("done");
      expect(await isSignedIn(tab)).toBe(true);
      await tab.open(`${home}/_runegate/logout`);
      expect(await isSignedIn(tab)).toBe(false);
    }
    // A host below the one where people sign in needs no leave.
    expect(asked("/.well-known/webauthn")).toBe(1);
    expect(
      await (await fetch(`${gateway.url}/.well-known/webauthn`, { headers: { Host: "app.test" } })).json(),
    ).toEqual({
      origins: [home, GRAFANA, OTHER],
    });
  });

  test("on another host, none is added", async () => {
    const { tab } = await enrolled("adding@example.org");
    await tab.open(`${OTHER}/whoami`);
    await arriveAt(tab, "/whoami");
    expect(await inPage(tab, `return await post("/options")`)).toMatchObject({
      status: 421,
      error: "wrong_host",
    });
  });

  test("a host that is not ours gets none", async () => {
    const { tab } = await enrolled("stranger@example.org");
    await tab.open("https://stranger.example/");
    const options = { challenge: "x".repeat(43), rpId: "app.test", userVerification: "required" };
    expect(await inPage(tab, `return await assert(${JSON.stringify({ publicKey: options })})`)).toBe(
      "SecurityError",
    );
  });

  test("what was signed on another host's page signs nobody in where people sign in", async () => {
    const { tab } = await enrolled("origin@example.org");
    const send = (path: string, body: object, cookie = "") =>
      fetch(`${gateway.url}/_runegate/passkeys${path}`, {
        method: "POST",
        headers: { Host: "app.test", "Content-Type": "application/json", Cookie: cookie },
        body: JSON.stringify(body),
      });
    const offered = await send("/sign-in/options", {});
    const cookie = offered.headers.getSetCookie()[0]?.split(";", 1)[0];
    const offer = (await offered.json()) as { ticket: string };
    await tab.open(`${OTHER}/_runegate/logout`);
    const credential = await inPage(tab, `return await assert(${JSON.stringify(offer)})`);
    const answer = await send("/sign-in", { ticket: offer.ticket, credential }, cookie);
    expect([answer.status, answer.headers.getSetCookie()]).toEqual([401, []]);
    expect(lastAudit()).toMatchObject({ event: "passkey_refused", reason: "wrong_origin" });
  });

  test("what was made for a sibling host's RP ID signs nobody in", async () => {
    const { tab, authenticator } = await enrolled("sibling@example.org");
    const [own] = await authenticator.credentials();
    if (own === undefined) throw new Error("there is no passkey");
    await authenticator.clear();
    await authenticator.add({ ...own, rpId: "grafana.app.test", signCount: own.signCount + 10 });
    await tab.open(`${GRAFANA}/_runegate/logout`);
    const answer = await inPage(
      tab,
      `const offer = await post("/sign-in/options");
       offer.publicKey.rpId = "grafana.app.test";
       return await post("/sign-in", { ticket: offer.ticket, credential: await assert(offer) })`,
    );
    expect(answer).toMatchObject({ status: 401, error: "invalid_passkey" });
    expect(lastAudit()).toMatchObject({ event: "passkey_refused", reason: "wrong_rp_id" });
    expect(await isSignedIn(tab)).toBe(false);
  });
});
