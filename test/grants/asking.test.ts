import { afterEach, beforeEach, describe, expect, setDefaultTimeout, test } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setImmediate } from "node:timers/promises";
import type { House } from "../../src/house.ts";
import { parseAddress } from "../../src/identity/address.ts";
import { DAY, HOUR, MINUTE } from "../../src/option/values.ts";
import { createMemoryStore } from "../../src/store/memory.ts";
import { openStore } from "../../src/store/open.ts";
import { StoreUnavailable } from "../../src/store/records.ts";
import { asOperator, asUser, JSON_BODY } from "../api/support.ts";
import { auditOf } from "../login/support.ts";
import { type TestClock, testClock } from "../support/clock.ts";
import { startGateway, type TestGateway, type TestGatewaySettings } from "../support/gateway.ts";
import { SILENT } from "../support/silent.ts";
import { intercepted, type Stoppable, stoppable } from "../support/store.ts";
import { startUpstream } from "../support/upstream.ts";

/** People who ask for an application, and those who decide: the rows of the contract, through the front door. */

setDefaultTimeout(20_000);

let clock: TestClock;
let stores: Stoppable;
let gateway: TestGateway;
const upstream = await startUpstream();

const ROUTES = `[groups]
admins = ["root@example.org"]
deciders = ["grace@example.org"]
[[routes]]
name = "lab"
title = "The laboratory"
host = "127.0.0.1"
target = "${upstream.url}"
allow = ["ada@example.org"]
deny = ["eve@example.org"]
request_access = true
[[routes]]
name = "wiki"
host = "127.0.0.1"
path = "/wiki"
target = "${upstream.url}"
allow = ["ada@example.org"]
request_access = true
approvers = ["group:deciders", "heidi@example.org"]
[[routes]]
name = "vault"
host = "127.0.0.1"
path = "/vault"
target = "${upstream.url}"
allow = ["ada@example.org"]`;

async function start(more: TestGatewaySettings = {}): Promise<void> {
  gateway = await startGateway({
    clock,
    stores: stores.store,
    routes: ROUTES,
    ...more,
    env: {
      RUNEGATE_LOG_FORMAT: "json",
      RUNEGATE_ALLOW_ANY_EMAIL: "false",
      RUNEGATE_ALLOWED_DOMAINS: "example.org",
      RUNEGATE_DYNAMIC_USERS: "true",
      RUNEGATE_TRUSTED_PROXIES: "127.0.0.1",
      RUNEGATE_LOGIN_RATE_LIMIT: "0",
      RUNEGATE_MAIL_CEILING: "10000",
      ...more.env,
    },
  });
}

beforeEach(() => {
  clock = testClock();
  stores = stoppable(createMemoryStore({ clock }));
});
afterEach(() => gateway.stop());

const house = (): House => gateway.gateway;
const PAGE = { Accept: "text/html", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document" };
const get = (path: string, cookie: string, headers: Record<string, string> = PAGE) =>
  fetch(gateway.url + path, { headers: { Cookie: cookie, ...headers }, redirect: "manual" });
const status = async (cookie: string, path = "/x") => (await get(path, cookie)).status;

/** A form, as a browser sends it. */
function post(path: string, cookie: string, fields: Record<string, string>, from = "203.0.113.7") {
  return fetch(gateway.url + path, {
    method: "POST",
    redirect: "manual",
    headers: { ...PAGE, Cookie: cookie, Origin: house().options.baseUrl, "X-Forwarded-For": from },
    body: new URLSearchParams(fields),
  });
}
const ask = (cookie: string, route: string, reason = "The deadline", from?: string) =>
  post("/_runegate/access", cookie, { route, reason }, from);

async function mailsTo(email: string, since = 0) {
  await gateway.gateway.outbox.runDue();
  // The newest comes first.
  return gateway.mailbox
    .mails()
    .filter(({ to, subject }) => to === email && subject.includes("access"))
    .toReversed()
    .slice(since);
}
const decide = (cookie: string, fields: Record<string, string>) =>
  post("/_runegate/requests", cookie, fields);
const openIds = async () => (await house().accessRequests.list(OPERATOR)).map(({ id }) => id);
const OPERATOR = {
  subject: { service: "operator" },
  groups: new Set<string>(),
  proof: { kind: "operator", id: "" },
  provenAt: 0,
} as const;
async function later(milliseconds: number): Promise<void> {
  clock.advance(milliseconds);
  await house().grants.look();
}

describe("asking for access", () => {
  test("the page of a refusal leads there, and the answer to a request opens the application", async () => {
    await start();
    const bob = await gateway.signIn("bob@example.org");
    const refused = await get("/x", bob);
    const html = await refused.text();
    expect([refused.status, html.includes('href="/_runegate/access?route=lab"')]).toEqual([403, true]);
    const form = await get("/_runegate/access?route=lab", bob);
    expect([form.status, (await form.text()).includes("The laboratory")]).toEqual([200, true]);

    expect((await ask(bob, "lab")).headers.get("location")).toBe("/_runegate/access?route=lab");
    const waiting = await get("/_runegate/access?route=lab", bob);
    // It looks again by itself.
    expect([waiting.status, waiting.headers.get("refresh")]).toEqual([200, "10"]);
    const [told] = await mailsTo("root@example.org");
    expect([told?.subject, told?.text.includes(`${house().options.baseUrl}/_runegate/requests`)]).toEqual([
      expect.stringContaining("somebody asks for access"),
      true,
    ]);

    const root = await gateway.signIn("root@example.org");
    const list = await (await get("/_runegate/requests", root)).text();
    for (const shown of ["bob@example.org", "The laboratory", "The deadline", "203.0.113.7"])
      expect(list).toContain(shown);
    const [id = ""] = await openIds();
    const done = await decide(root, { id, until: "8h" });
    expect([done.status, done.headers.get("location")]).toEqual([303, "/_runegate/requests?done=granted"]);
    expect([
      await status(bob),
      (await (await get("/_runegate/access?route=lab", bob)).text()).length > 0,
    ]).toEqual([200, true]);
    const [answer] = await mailsTo("bob@example.org");
    expect(answer?.subject).toContain("you have access");
    await later(8 * HOUR);
    expect(await status(bob)).toBe(403);
    expect(auditOf(gateway).map(({ event }) => event)).toEqual(
      expect.arrayContaining(["access_requested", "access_granted"]),
    );
  });

  test("an edge that asks passes the same page on", async () => {
    await start();
    const bob = await gateway.signIn("bob@example.org");
    const checked = await get("/_runegate/check/caddy", bob, {
      ...{ ...PAGE, "X-Forwarded-Method": "GET", "X-Forwarded-Uri": "/x", "X-Forwarded-Proto": "http" },
      "X-Forwarded-Host": new URL(house().options.baseUrl).host,
    });
    expect(checked.status).toBe(403);
    expect(await checked.text()).toContain('href="/_runegate/access?route=lab"');
  });

  test("for good, and no: each has its mail", async () => {
    await start();
    const [bob, carol] = [await gateway.signIn("bob@example.org"), await gateway.signIn("carol@example.org")];
    await ask(bob, "lab");
    const root = await gateway.signIn("root@example.org");
    const [first = ""] = await openIds();
    await decide(root, { id: first, until: "" });
    await ask(carol, "lab");
    const [second = ""] = await openIds();
    expect((await decide(root, { id: second, do: "refuse" })).headers.get("location")).toBe(
      "/_runegate/requests?done=refused",
    );
    expect([await status(bob), await status(carol)]).toEqual([200, 403]);
    expect((await mailsTo("carol@example.org")).map(({ subject }) => subject)).toEqual([
      expect.stringContaining("no access"),
    ]);
    const state = async (cookie: string) =>
      (await get("/_runegate/access?route=lab", cookie, { Accept: "application/json" })).json();
    expect([await state(bob), await state(carol)]).toEqual([{ state: "granted" }, { state: "refused" }]);
    expect(auditOf(gateway)).toContainEqual({
      ...{ event: "access_denied", email: "carol@example.org", by: "root@example.org", route: "lab" },
    });
    // Who was refused may ask again.
    await ask(carol, "lab");
    expect(await state(carol)).toEqual({ state: "waiting" });
  });

  test("D1: approved twice, and by two at once, it is one grant", async () => {
    await start();
    const bob = await gateway.signIn("bob@example.org");
    await ask(bob, "wiki");
    const [grace, heidi] = [
      await gateway.signIn("grace@example.org"),
      await gateway.signIn("heidi@example.org"),
    ];
    const [id = ""] = await openIds();
    const answers = await Promise.all(
      [grace, heidi, grace].map(async (cookie) => (await decide(cookie, { id, until: "7d" })).status),
    );
    expect(answers).toEqual([303, 303, 303]);
    expect((await decide(heidi, { id, until: "" })).status).toBe(303);
    expect(await house().people.list()).toHaveLength(1);
    // What one has approved another cannot refuse, and the other way round.
    expect((await decide(heidi, { id, do: "refuse" })).status).toBe(409);
    expect(await status(bob, "/wiki")).toBe(200);
  });

  test("D1: approved and refused at once, it is what was decided first, and no grant beside it", async () => {
    await start();
    const [grace, heidi] = [
      await gateway.signIn("grace@example.org"),
      await gateway.signIn("heidi@example.org"),
    ];
    for (const name of ["bob", "carol", "dave"]) {
      const cookie = await gateway.signIn(`${name}@example.org`);
      await ask(cookie, "wiki");
      const [id = ""] = await openIds();
      const [yes, no] = await Promise.all([
        decide(grace, { id, until: "7d" }),
        decide(heidi, { id, do: "refuse" }),
      ]);
      expect([yes.status, no.status].toSorted()).toEqual([303, 409]);
      expect(await status(cookie, "/wiki")).toBe(yes.status === 303 ? 200 : 403);
    }
  });

  test.each([
    ["a route without request_access", "vault"],
    ["a route that is not there", "none"],
  ])("D2: for %s it is a 404", async (_, route) => {
    await start();
    const bob = await gateway.signIn("bob@example.org");
    expect((await ask(bob, route)).status).toBe(404);
    expect((await get(`/_runegate/access?route=${route}`, bob)).status).toBe(404);
    const page = await (await get("/vault", bob)).text();
    expect(page).not.toContain("/_runegate/access");
  });

  test("an answer is one to what was asked then: what is asked after a refusal is another request", async () => {
    await start();
    const [bob, root] = [await gateway.signIn("bob@example.org"), await gateway.signIn("root@example.org")];
    await ask(bob, "lab", "To read one page");
    const [id = ""] = await openIds();
    expect((await decide(root, { id, do: "refuse" })).status).toBe(303);
    await later(MINUTE);
    await ask(bob, "lab", "To have it all");
    expect((await decide(root, { id, until: "" })).status).toBe(404);
    expect([(await openIds()).length, await status(bob)]).toEqual([1, 403]);
    const [next = ""] = await openIds();
    expect((await decide(root, { id: next, until: "" })).status).toBe(303);
    expect(await status(bob)).toBe(200);
  });

  test("a refusal that broke off ends what an approval that broke off before it has given", async () => {
    const away = new Set<string>();
    const store = intercepted(createMemoryStore({ clock }), ({ of, verb, go }) => {
      if (away.has(`${of} ${verb}`)) throw new StoreUnavailable("It does not answer.");
      return go();
    });
    await start({ stores: store });
    const [bob, root] = [await gateway.signIn("bob@example.org"), await gateway.signIn("root@example.org")];
    await ask(bob, "lab");
    const [id = ""] = await openIds();
    away.add("access_request replace");
    expect((await decide(root, { id, until: "" })).status).toBe(503);
    away.clear();
    away.add("grant take");
    expect((await decide(root, { id, do: "refuse" })).status).toBe(503);
    away.clear();
    expect((await decide(root, { id, do: "refuse" })).status).toBe(303);
    expect([await house().people.list(), await status(bob)]).toEqual([[], 403]);
  });

  test("D3: the link of the mail, opened by a scanner, shows a page and does nothing", async () => {
    await start();
    await ask(await gateway.signIn("bob@example.org"), "lab");
    const [told] = await mailsTo("root@example.org");
    const [link = ""] = /https?:\/\/\S+\/_runegate\/requests/.exec(told?.text ?? "") ?? [];
    const { pathname } = new URL(link);
    for (const cookie of ["", await gateway.signIn("root@example.org")]) {
      for (const method of ["GET", "HEAD"]) {
        const seen = await fetch(gateway.url + pathname, {
          ...{ method, redirect: "manual" },
          headers: { ...PAGE, ...(cookie === "" ? {} : { Cookie: cookie }) },
        });
        expect(seen.status).toBe(cookie === "" ? 302 : 200);
      }
    }
    expect(await openIds()).toHaveLength(1);
    // Without a session of one who decides, what could decide leads to the login page.
    const [id = ""] = await openIds();
    const sent = await decide("", { id, until: "" });
    expect([sent.status, sent.headers.get("location")?.startsWith("/_runegate/login")]).toEqual([303, true]);
    expect(await house().people.list()).toEqual([]);
  });

  test("D4: whoever does not decide about it gets a 403, on the page and by the API", async () => {
    await start();
    const bob = await gateway.signIn("bob@example.org");
    await ask(bob, "wiki");
    const [id = ""] = await openIds();
    const root = await gateway.signIn("root@example.org");
    // An administrator is not among its approvers, and whoever asks is not either.
    for (const cookie of [root, bob]) {
      expect((await decide(cookie, { id, until: "" })).status).toBe(403);
      const sent = { headers: { ...JSON_BODY, Origin: house().options.baseUrl }, body: "{}" };
      const answer = await asUser(gateway, cookie)("POST", `/admin/requests/${id}/approve`, sent);
      expect(answer.status).toBe(403);
    }
    expect((await get("/_runegate/requests", bob)).status).toBe(403);
    expect(await (await get("/_runegate/requests", root)).text()).not.toContain("bob@example.org");
    expect(await openIds()).toEqual([id]);
  });

  test("whoever decides has signed in within 15 minutes, and on this site", async () => {
    await start();
    await ask(await gateway.signIn("bob@example.org"), "lab");
    const root = await gateway.signIn("root@example.org");
    const [id = ""] = await openIds();
    const elsewhere = await fetch(`${gateway.url}/_runegate/requests`, {
      ...{ method: "POST", body: new URLSearchParams({ id, until: "" }) },
      headers: { ...PAGE, Cookie: root, Origin: "https://evil.example" },
    });
    expect(elsewhere.status).toBe(403);
    await later(15 * MINUTE);
    const sent = await decide(root, { id, until: "" });
    expect([sent.status, sent.headers.get("location")]).toEqual([
      303,
      "/_runegate/login?next=%2F_runegate%2Frequests&again=1",
    ]);
    expect(await openIds()).toEqual([id]);
  });

  test("D7: whom the file denies it may not ask, and a denial beats what is approved", async () => {
    await start();
    const eve = await gateway.signIn("eve@example.org");
    expect(await (await get("/x", eve)).text()).not.toContain("/_runegate/access");
    expect((await ask(eve, "lab")).status).toBe(403);
    const bob = await gateway.signIn("bob@example.org");
    await ask(bob, "lab");
    await house().people.deny("bob@example.org", "", "operator");
    const [id = ""] = await openIds();
    await decide(await gateway.signIn("root@example.org"), { id, until: "" });
    expect(house().policy.allows(parseAddress("bob@example.org"))).toBe(false);
  });

  test("D7: what somebody has asked for is over once they are shut out: nobody is told that they have access", async () => {
    await start();
    const bob = await gateway.signIn("bob@example.org");
    await ask(bob, "lab");
    const [id = ""] = await openIds();
    await house().people.deny("bob@example.org", "", "operator");
    expect(await openIds()).toEqual([]);
    const root = await gateway.signIn("root@example.org");
    expect((await decide(root, { id, until: "" })).status).toBe(404);
    expect(await mailsTo("bob@example.org")).toEqual([]);
  });

  test("D9: a reason is text: no HTML, no line of its own, no other direction, and in no mail", async () => {
    await start();
    const bob = await gateway.signIn("bob@example.org");
    const nasty = `<img src=x onerror=alert(1)>\r\nBcc: all@example.org\r\n\u202Egnp.exe\u2066 "x" \u0000`;
    expect((await ask(bob, "lab", nasty)).status).toBe(303);
    const root = await gateway.signIn("root@example.org");
    const html = await (await get("/_runegate/requests", root)).text();
    expect(html).not.toContain("<img src=x");
    expect(html).toContain("&#60;img src=x onerror=alert(1)&#62; Bcc: all@example.org gnp.exe");
    expect(html).not.toMatch(/[\u202E\u2066\u0000]/);
    const [told] = await mailsTo("root@example.org");
    for (const part of [told?.subject, told?.text, told?.html]) expect(part).not.toMatch(/Bcc|onerror|bob@/);
    const [event] = auditOf(gateway).filter((one) => one.event === "access_requested");
    expect(event?.reason).toBe(`<img src=x onerror=alert(1)> Bcc: all@example.org gnp.exe "x"`);
    expect((await ask(bob, "wiki", "x".repeat(501))).status).toBe(400);
  });

  test("half a surrogate pair in a reason, which no store keeps, hides the request from nobody", async () => {
    const directory = mkdtempSync(join(tmpdir(), "runegate-asking-"));
    const path = join(directory, "state.db");
    const sqlite = await openStore({ kind: "sqlite", path }, { clock, log: SILENT });
    try {
      await start({ stores: sqlite });
      const bob = await gateway.signIn("bob@example.org");
      const body = JSON.stringify({ route: "lab", reason: "The \ud800 deadline" });
      const headers = { ...JSON_BODY, Cookie: bob };
      await fetch(`${gateway.url}/_runegate/access`, { method: "POST", headers, body });
      const open = await house().accessRequests.list(OPERATOR);
      expect(open.map(({ reason }) => reason)).toEqual(["The \ufffd deadline"]);
      const who = "eve@partner.example";
      const grant = JSON.stringify({ email: who, mail: false, routes: ["lab"], reason: "\udfff" });
      const made = await asOperator(gateway)("POST", "/admin/users", { headers: JSON_BODY, body: grant });
      expect(made.status).toBe(201);
      expect(house().policy.allows(parseAddress(who))).toBe(true);
    } finally {
      await sqlite.close();
      rmSync(directory, { recursive: true });
    }
  });

  test("asked ten times at once, as by a double click, it is one request and counts as one of the day", async () => {
    // It answers later, as one on another machine does.
    const store = intercepted(createMemoryStore({ clock }), ({ of, go }) =>
      of === "access_request" ? setImmediate().then(go) : go(),
    );
    await start({ stores: store });
    const bob = await gateway.signIn("bob@example.org");
    const answers = await Promise.all(Array.from({ length: 10 }, () => ask(bob, "lab")));
    expect(answers.map(({ status }) => status)).toEqual(Array(10).fill(303));
    expect(await openIds()).toHaveLength(1);
    expect(auditOf(gateway).filter(({ event }) => event === "access_requested")).toHaveLength(1);
    expect((await ask(bob, "wiki")).status).toBe(303);
    const [id = ""] = await openIds();
    await house().accessRequests.refuse(id, OPERATOR);
    await later(MINUTE);
    expect((await ask(bob, "lab")).status).toBe(303);
  });

  test("D10: 100 requests: one open one of each, three a day, ten of a client, and one mail an hour", async () => {
    await start();
    const bob = await gateway.signIn("bob@example.org");
    for (let times = 0; times < 100; times++) expect((await ask(bob, "lab")).status).toBe(303);
    expect(await openIds()).toHaveLength(1);
    expect(await mailsTo("root@example.org")).toHaveLength(1);

    // Refused each time: a person has three a day.
    const root = await gateway.signIn("root@example.org");
    const answers: number[] = [];
    for (let times = 0; times < 4; times++) {
      answers.push((await ask(bob, "lab")).status);
      for (const id of await openIds()) await decide(root, { id, do: "refuse" });
    }
    expect(answers).toEqual([303, 303, 303, 429]);
    await later(DAY);

    // A client has ten.
    const people = [];
    for (let at = 0; at < 60; at++) people.push(await gateway.signIn(`p${at}@example.org`));
    const ofOne = [];
    for (const cookie of people.slice(0, 11))
      ofOne.push((await ask(cookie, "lab", "", "198.51.100.1")).status);
    expect(ofOne).toEqual([...Array(10).fill(303), 429]);

    // And 50 wait at most, whoever comes, all at once.
    const all = await Promise.all(
      people.slice(11).map(async (cookie, at) => (await ask(cookie, "lab", "", `192.0.2.${at}`)).status),
    );
    expect([all.filter((one) => one === 303).length, all.filter((one) => one === 429).length]).toEqual([
      40, 9,
    ]);
    expect(await openIds()).toHaveLength(50);
    // Of this day's first hour there was one, which told of the first; the rest are told together after an hour.
    const before = (await mailsTo("root@example.org")).length;
    await house().accessRequests.tell();
    expect(await mailsTo("root@example.org")).toHaveLength(before);
    await later(HOUR);
    await house().accessRequests.tell();
    await house().accessRequests.tell();
    const digest = (await mailsTo("root@example.org")).slice(before);
    expect(digest.map(({ text }) => /answer: (\d+)/.exec(text)?.[1])).toEqual(["50"]);
  });

  test("D12: while the store is away it is a 503, and nobody is let in", async () => {
    await start();
    const bob = await gateway.signIn("bob@example.org");
    await ask(bob, "lab");
    const [id = ""] = await openIds();
    const operator = asOperator(gateway);
    stores.away = true;
    expect(
      (await operator("POST", `/admin/requests/${id}/approve`, { headers: JSON_BODY, body: "{}" })).status,
    ).toBe(503);
    stores.away = false;
    await house().grants.look();
    expect([await house().people.list(), await openIds(), await status(bob)]).toEqual([[], [id], 403]);
  });

  test("a request that the store has, and Runegate has not written, is none", async () => {
    await start();
    await ask(await gateway.signIn("bob@example.org"), "lab");
    const [id = ""] = await openIds();
    const records = gateway.stores.records<{ email: string }>({
      ...{ name: "access_request", by: ["email"] },
    });
    const seen = await records.get(id.split(".")[0] ?? "");
    if (seen === undefined) throw new Error("no request");
    await records.replace(seen, { ...seen.record, email: "mallory@example.org" });
    expect(await openIds()).toEqual([]);
    const root = await gateway.signIn("root@example.org");
    expect((await decide(root, { id, until: "" })).status).toBe(404);
    expect(await house().people.list()).toEqual([]);
  });

  test("where RUNEGATE_DYNAMIC_USERS is off, nobody asks and nobody decides", async () => {
    await start({ env: { RUNEGATE_DYNAMIC_USERS: "false" } });
    const bob = await gateway.signIn("bob@example.org");
    expect(await (await get("/x", bob)).text()).not.toContain("/_runegate/access");
    expect((await ask(bob, "lab")).status).toBe(404);
    expect((await get("/_runegate/requests", bob)).status).toBe(404);
  });

  test("the operator lists, approves and refuses", async () => {
    await start();
    const bob = await gateway.signIn("bob@example.org");
    for (const route of ["lab", "wiki"]) await ask(bob, route);
    const operator = asOperator(gateway);
    const { body } = await operator("GET", "/admin/requests");
    const { items } = body as { items: { id: string; route: string; email: string; state: string }[] };
    expect(items.map(({ route, email, state }) => [route, email, state])).toEqual([
      ["lab", "bob@example.org", "open"],
      ["wiki", "bob@example.org", "open"],
    ]);
    const sent = { headers: JSON_BODY, body: JSON.stringify({ until: "8h" }) };
    const approved = await operator("POST", `/admin/requests/${items[0]?.id}/approve`, sent);
    expect([approved.status, approved.body]).toMatchObject([200, { state: "granted" }]);
    const refused = await operator("POST", `/admin/requests/${items[1]?.id}/refuse`, { headers: JSON_BODY });
    expect([refused.status, refused.body]).toMatchObject([200, { state: "refused" }]);
    expect([await status(bob), await status(bob, "/wiki")]).toEqual([200, 403]);
  });
});

describe("who may sign in at all", () => {
  const answerTo = async (email: string) => {
    const response = await fetch(`${gateway.url}/_runegate/login`, {
      method: "POST",
      headers: { ...JSON_BODY, Host: new URL(house().options.baseUrl).host },
      body: JSON.stringify({ email }),
    });
    const { email: _, expires_at, ...said } = (await response.json()) as Record<string, unknown>;
    return [response.status, said, [...response.headers.keys()].filter((name) => name !== "date")];
  };

  test.each(["allowed", "anyone"])(
    "with RUNEGATE_SIGN_IN=%s the answer is the same to all",
    async (signIn) => {
      await start({ env: { RUNEGATE_SIGN_IN: signIn } });
      expect(await answerTo("stranger@elsewhere.example")).toEqual(await answerTo("ada@example.org"));
      await gateway.gateway.outbox.runDue();
      const got = gateway.mailbox.mails().some(({ to }) => to === "stranger@elsewhere.example");
      expect(got).toBe(signIn === "anyone");
    },
  );

  test("with anyone, a stranger asks, and is let in to what was asked for", async () => {
    await start({ env: { RUNEGATE_SIGN_IN: "anyone" } });
    const stranger = await gateway.signIn("stranger@elsewhere.example");
    expect(await status(stranger)).toBe(403);
    await ask(stranger, "lab");
    const [id = ""] = await openIds();
    await decide(await gateway.signIn("root@example.org"), { id, until: "7d" });
    expect([await status(stranger), await status(stranger, "/wiki")]).toEqual([200, 403]);
  });
});
