import { afterEach, beforeEach, describe, expect, setDefaultTimeout, test } from "bun:test";
import { GRANTS } from "../../src/grants/record.ts";
import { createRequestBook } from "../../src/grants/request.ts";
import { createGrantUpkeep } from "../../src/grants/upkeep.ts";
import type { House } from "../../src/house.ts";
import { parseAddress } from "../../src/identity/address.ts";
import { DAY, HOUR } from "../../src/option/values.ts";
import { createMemoryStore } from "../../src/store/memory.ts";
import { StoreUnavailable } from "../../src/store/records.ts";
import { asOperator, asUser, JSON_BODY } from "../api/support.ts";
import { auditOf } from "../login/support.ts";
import { type TestClock, testClock } from "../support/clock.ts";
import {
  cookieHeader,
  startGateway,
  type TestGateway,
  type TestGatewaySettings,
} from "../support/gateway.ts";
import { intercepted, type Stoppable, stoppable } from "../support/store.ts";
import { startUpstream, type Upstream } from "../support/upstream.ts";

/** People whom administrators let in while it runs: the rows of the contract, through the front door. */

setDefaultTimeout(20_000);

let clock: TestClock;
let upstream: Upstream;
let stores: Stoppable;
let gateway: TestGateway;

const ROUTES = (target: string) => `[groups]
admins = ["root@example.org"]
staff = []
banned = ["eve@example.org"]
[[routes]]
name = "lab"
host = "127.0.0.1"
target = "${target}"
allow = ["group:staff", "ada@example.org"]
deny = ["group:banned"]
[[routes]]
name = "wiki"
host = "127.0.0.1"
path = "/wiki"
target = "${target}"
allow = ["anyone"]`;

async function start(more: TestGatewaySettings = {}): Promise<void> {
  gateway = await startGateway({
    clock,
    stores: stores.store,
    routes: ROUTES(upstream.url),
    ...more,
    env: {
      RUNEGATE_LOG_FORMAT: "json",
      RUNEGATE_ALLOW_ANY_EMAIL: "false",
      RUNEGATE_ALLOWED_EMAILS: "zoe@example.org",
      RUNEGATE_DYNAMIC_USERS: "true",
      RUNEGATE_API_KEYS: "true",
      ...more.env,
    },
  });
}

beforeEach(() => {
  clock = testClock();
  upstream = startUpstreamNow;
  stores = stoppable(createMemoryStore({ clock }));
});
afterEach(() => gateway.stop());

const startUpstreamNow = await startUpstream();
const house = (): House => gateway.gateway;
const operator = (method: string, path: string, body?: object) =>
  asOperator(gateway)(method, path, {
    headers: JSON_BODY,
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  });
const status = async (cookie: string, path = "/x") =>
  (await fetch(gateway.url + path, { headers: { Cookie: cookie }, redirect: "manual" })).status;
/** As time goes by, the list of grants is looked at. */
async function later(milliseconds: number): Promise<void> {
  clock.advance(milliseconds);
  await house().grants.look();
}
const allow = (email: string, more: object = {}) =>
  operator("POST", "/admin/users", { email, mail: false, routes: ["lab"], ...more });

describe("a grant", () => {
  test("lets in whom nothing else does, to what it names and nothing else", async () => {
    await start();
    expect((await allow("bob@partner.example")).status).toBe(201);
    const cookie = await gateway.signIn("bob@partner.example");
    expect([await status(cookie), await status(cookie, "/wiki")]).toEqual([200, 403]);
    expect(auditOf(gateway)).toContainEqual({
      ...{ event: "access_granted", email: "bob@partner.example", by: "operator", route: "lab" },
    });
  });

  test("of a group counts wherever the group does, and is told to the application", async () => {
    await start();
    await allow("bob@partner.example", { routes: undefined, groups: ["staff"] });
    const cookie = await gateway.signIn("bob@partner.example");
    expect([await status(cookie), await status(cookie, "/wiki")]).toEqual([200, 200]);
    expect(house().policy.standingOf({ email: parseAddress("bob@partner.example") }).groups).toEqual(
      new Set(["staff"]),
    );
  });

  test("of a group that routes.toml has no more counts for nothing, and no application is told of it", async () => {
    const env = { RUNEGATE_SESSION_KEY: "k".repeat(64) };
    await start({ env });
    await allow("bob@partner.example", { groups: ["staff"] });
    await gateway.stop();
    await start({
      env,
      routes: ROUTES(upstream.url).replace("staff = []\n", "").replace('"group:staff", ', ""),
    });
    const { groups, granted } = house().policy.standingOf({ email: parseAddress("bob@partner.example") });
    expect([[...groups], [...(granted ?? [])]]).toEqual([[], ["lab"]]);
  });

  test("of a domain lets in whoever has a mailbox there", async () => {
    await start();
    await allow("@partner.example");
    expect(await status(await gateway.signIn("bob@partner.example"))).toBe(200);
  });

  test("D5: past until it is refused at once, and what is open ends within 5 s", async () => {
    await start();
    await allow("bob@partner.example", { until: "8h" });
    const cookie = await gateway.signIn("bob@partner.example");
    upstream.on("/events", async ({ wire }) => {
      await wire.write("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\ndata: 1\n\n");
    });
    const stream = await fetch(`${gateway.url}/events`, { headers: { Cookie: cookie } });
    await later(8 * HOUR - 3_000);
    await gateway.gateway.live.sweep();
    expect([await status(cookie), gateway.gateway.live.size]).toEqual([200, 1]);
    clock.advance(3_000);
    // Nobody has looked at the store since: the time alone ends it, with the sweep that comes every 2 s.
    await gateway.gateway.live.sweep();
    expect(gateway.gateway.live.size).toBe(0);
    await stream.text().catch(() => {});
    expect(await status(cookie)).toBe(401);
  });

  test("has the end that was set, also where it is changed by another at that moment", async () => {
    let isContended = false;
    const stores = intercepted(createMemoryStore({ clock }), ({ of, verb, go }) => {
      if (!isContended || of !== "grant" || verb !== "replace") return go();
      isContended = false;
      return false;
    });
    await start({ stores });
    await allow("bob@partner.example");
    isContended = true;
    expect((await operator("PATCH", "/admin/users/bob@partner.example", { until: "8h" })).status).toBe(204);
    expect((await house().people.list()).map(({ until }) => until)).toEqual([clock.now() + 8 * HOUR]);
  });

  test("is left as it is by a change that asks for two things, or for none", async () => {
    await start();
    await allow("bob@partner.example");
    for (const change of [{ denied: false, until: "8h" }, { denied: true, until: "8h" }, { reason: "x" }])
      expect((await operator("PATCH", "/admin/users/bob@partner.example", change)).status).toBe(400);
    expect((await house().people.list()).map(({ effect, until }) => [effect, until])).toEqual([
      ["allow", null],
    ]);
  });

  test("is in the audit with its end, and so is another end that it is given, or none", async () => {
    await start();
    await allow("bob@partner.example", { until: "8h" });
    const end = async (until: string | null) =>
      (await operator("PATCH", "/admin/users/bob@partner.example", { until })).status;
    expect([await end("3d"), await end(null)]).toEqual([204, 204]);
    const { items } = await house().auditTrail.find({ event: "access_granted" });
    const at = (milliseconds: number) => new Date(clock.now() + milliseconds).toISOString();
    expect(items.map(({ details }) => details.until)).toEqual([undefined, at(3 * DAY), at(8 * HOUR)]);
  });

  test("D6: an address in other case, or with its domain in Unicode, is the same person", async () => {
    await start();
    const made = await allow("Bob@BÜCHER.example");
    expect((made.body as { email: string }).email).toBe("bob@xn--bcher-kva.example");
    expect(await status(await gateway.signIn("bob@xn--bcher-kva.example"))).toBe(200);
  });

  test("D7: deny beats it, that of the file and that of an administrator", async () => {
    await start();
    for (const email of ["eve@example.org", "bob@partner.example"]) await allow(email);
    const [eve, bob] = [await gateway.signIn("eve@example.org"), await gateway.signIn("bob@partner.example")];
    expect([await status(eve), await status(bob)]).toEqual([403, 200]);
    expect((await operator("PATCH", "/admin/users/bob@partner.example", { denied: true })).status).toBe(204);
    expect(await status(bob)).toBe(401);
    expect(house().policy.allows(parseAddress("bob@partner.example"))).toBe(false);
    // Of whom configuration lets in, too.
    await operator("PATCH", "/admin/users/ada@example.org", { denied: true });
    expect(house().policy.allows(parseAddress("ada@example.org"))).toBe(false);
    const lift = async (email: string) =>
      (await operator("PATCH", `/admin/users/${email}`, { denied: false })).status;
    expect([await lift("ada@example.org"), await lift("ada@example.org")]).toEqual([204, 404]);
    expect(house().policy.allows(parseAddress("ada@example.org"))).toBe(true);
    // Letting them in undoes it too.
    await allow("bob@partner.example");
    expect(house().policy.allows(parseAddress("bob@partner.example"))).toBe(true);
  });

  test("D7: a denial goes for sub-addresses of the same mailbox, and for nobody else's", async () => {
    await start({ env: { RUNEGATE_ALLOWED_DOMAINS: "example.org", RUNEGATE_ALLOWED_EMAILS: "" } });
    const session = await gateway.signIn("zoe+lab@example.org");
    await operator("PATCH", "/admin/users/zoe@example.org", { denied: true });
    const allowed = (name: string) => house().policy.allows(parseAddress(`${name}@example.org`));
    expect(["zoe", "zoe+lab", "zoe+a+b", "zo", "zoey", "+zoe", "z+oe"].map(allowed)).toEqual([
      ...[false, false, false, true, true, true, true],
    ]);
    expect(await status(session, "/wiki")).toBe(401);
    // Of a sub-address, it is that one's alone.
    await operator("PATCH", "/admin/users/zoe@example.org", { denied: false });
    await operator("PATCH", "/admin/users/zoe+lab@example.org", { denied: true });
    expect(["zoe", "zoe+lab", "zoe+other"].map(allowed)).toEqual([true, false, true]);
  });

  test("D7: a denial holds, also where the store goes away while there is to be another or none", async () => {
    let isFull = false;
    const stores = intercepted(createMemoryStore({ clock }), ({ of, verb, go }) => {
      if (isFull && of === "grant" && verb === "add") throw new StoreUnavailable("The disk is full.");
      return go();
    });
    await start({ stores });
    const deny = async () =>
      (await operator("PATCH", "/admin/users/zoe@example.org", { denied: true })).status;
    expect(await deny()).toBe(204);
    isFull = true;
    expect([await deny(), (await allow("zoe@example.org")).status]).toEqual([503, 503]);
    await house().grants.look();
    expect(house().policy.allows(parseAddress("zoe@example.org"))).toBe(false);
    isFull = false;
    expect(await deny()).toBe(204);
    expect((await house().people.list()).length).toBe(1);
    expect((await allow("zoe@example.org")).status).toBe(201);
    expect(house().policy.allows(parseAddress("zoe@example.org"))).toBe(true);
  });

  test.each([
    ["the group of administrators", { groups: ["admins"] }, 400],
    ["a group that is not there", { groups: ["nobody"] }, 400],
    ["an application that is not there", { routes: ["none"] }, 400],
    ["nothing, where there are several applications", { routes: [] }, 400],
    ["an end that is none", { until: "never" }, 400],
    ["a reason of 501 characters", { reason: "x".repeat(501) }, 400],
  ])("is refused for %s", async (_, more, expected) => {
    await start();
    expect((await allow("bob@partner.example", more)).status).toBe(expected);
    expect(await house().people.list()).toEqual([]);
  });

  test("D11: of @gmail.com is refused with a warning about public mail domains, unless forced", async () => {
    await start();
    const refused = await allow("@gmail.com");
    expect([refused.status, (refused.body as { message: string }).message]).toEqual([
      400,
      "Anybody gets a mailbox at gmail.com, and would be let in. `runegate users allow @… --force` does that.",
    ]);
    expect((await allow("@gmail.com", { force: true })).status).toBe(201);
    // One person there is somebody.
    expect((await allow("bob@gmail.com")).status).toBe(201);
  });

  test("that the store has, and Runegate has not written, counts for nothing", async () => {
    await start();
    await allow("bob@partner.example");
    const records = gateway.stores.records(GRANTS);
    const [seen] = await records.find({ most: 1 });
    if (seen === undefined) throw new Error("no grant");
    await records.replace(seen, {
      ...seen.record,
      who: "mallory@evil.example",
      entry: "allow mallory@evil.example",
    });
    await records.add("forged", { ...seen.record }, seen.expiresAt);
    await house().grants.look();
    for (const email of ["mallory@evil.example", "bob@partner.example"])
      expect(house().policy.allows(parseAddress(email))).toBe(false);
  });

  test("that the store has not confirmed for 5 s counts no longer, and nobody is signed out for that", async () => {
    await start();
    await allow("bob@partner.example");
    const cookie = await gateway.signIn("bob@partner.example");
    stores.away = true;
    const policy = () => house().policy.allows(parseAddress("bob@partner.example"));
    await later(5_000);
    expect(policy()).toBe(true);
    await later(1);
    expect(policy).toThrow();
    stores.away = false;
    expect(await status(cookie)).toBe(503);
    await later(0);
    expect(await status(cookie)).toBe(200);
  });

  test("is warned about three days before its end, once, and its end is audited, once", async () => {
    await start();
    await allow("bob@partner.example", { until: "30d" });
    const log = house().loggers("edge");
    const upkeep = createGrantUpkeep({ ...house(), book: house().grants, log });
    const mails = () => gateway.mailbox.mails().filter(({ to }) => to === "bob@partner.example").length;
    for (const [days, expected] of [
      [26, 0],
      [1, 1],
      [1, 1],
    ] as const) {
      await later(days * DAY);
      await Promise.all([upkeep.run(), upkeep.run()]);
      await gateway.gateway.outbox.runDue();
      expect(mails()).toBe(expected);
    }
    await later(2 * DAY);
    await Promise.all([upkeep.run(), upkeep.run()]);
    expect(auditOf(gateway).filter(({ event }) => event === "grant_expired")).toHaveLength(1);
    expect(await house().people.list()).toEqual([]);
  });
});

test("a change of the session key ends no grant and no request, once they are looked after", async () => {
  const [old, next] = ["o", "n"].map((letter) => letter.repeat(64)) as [string, string];
  const change = async (env: Record<string, string>) => {
    await gateway.stop();
    await start({ env });
  };
  await start({ env: { RUNEGATE_SESSION_KEY: old } });
  await allow("bob@partner.example");
  const requests = () => createRequestBook(gateway.stores, house().keys);
  const asked = {
    email: "bob@partner.example",
    route: "wiki",
    reason: "",
    ip: "192.0.2.1",
    askedAt: clock.now(),
  };
  await requests().ask({ ...asked, state: "open", decidedBy: "", told: [] });
  await change({ RUNEGATE_SESSION_KEY: next, RUNEGATE_SESSION_KEY_PREVIOUS: old });
  expect(house().policy.allows(parseAddress("bob@partner.example"))).toBe(true);
  await createGrantUpkeep({ ...house(), book: house().grants, log: house().loggers("edge") }).run();
  await change({ RUNEGATE_SESSION_KEY: next });
  expect(house().policy.allows(parseAddress("bob@partner.example"))).toBe(true);
  expect(await requests().open()).toHaveLength(1);
});

describe("an invitation", () => {
  test("D8: its link, in whatever browser, asks for a click; the second use is a 401", async () => {
    await start();
    const made = await operator("POST", "/admin/users", { email: "bob@partner.example", routes: ["lab"] });
    expect(made.body).toMatchObject({ mailed: true, routes: ["lab"] });
    await gateway.gateway.outbox.runDue();
    const mail = gateway.mailbox.mails().find(({ to }) => to === "bob@partner.example");
    const link = /https?:\/\/\S+\/_runegate\/auth\?token=\S+/.exec(mail?.text ?? "")?.[0] ?? "";
    clock.advance(14 * DAY - 60_000);
    await house().grants.look();
    const shown = await fetch(link, {
      redirect: "manual",
      headers: { Accept: "text/html", "Sec-Fetch-Mode": "navigate" },
    });
    expect([shown.status, cookieHeader(shown)]).toEqual([200, ""]);
    const token = new URL(link).searchParams.get("token");
    const redeem = () =>
      fetch(`${gateway.url}/_runegate/auth`, {
        method: "POST",
        headers: JSON_BODY,
        body: JSON.stringify({ token }),
      });
    const first = await redeem();
    expect(first.status).toBe(200);
    expect(await status(cookieHeader(first))).toBe(200);
    expect((await redeem()).status).toBe(401);
    expect(auditOf(gateway)).toContainEqual({
      ...{ event: "user_invited", email: "bob@partner.example", by: "operator", route: "lab" },
    });
  });
});

test("a link that was mailed opens nothing for whom it was for, once they are removed", async () => {
  await start();
  await operator("POST", "/admin/users", { email: "bob@partner.example", routes: ["lab"] });
  await gateway.gateway.outbox.runDue();
  const mail = gateway.mailbox.mails().find(({ to }) => to === "bob@partner.example");
  const [, token = ""] = /token=(\S+)/.exec(mail?.text ?? "") ?? [];
  await operator("DELETE", "/admin/users/bob@partner.example");
  const redeemed = await fetch(`${gateway.url}/_runegate/auth`, {
    ...{ method: "POST", headers: JSON_BODY, body: JSON.stringify({ token }) },
  });
  expect([token !== "", redeemed.status]).toEqual([true, 401]);
});

describe("removing somebody", () => {
  test("ends what they were given, their sessions and their keys, and what is open", async () => {
    await start();
    await allow("bob@partner.example");
    const cookie = await gateway.signIn("bob@partner.example");
    const removed = await operator("DELETE", "/admin/users/bob@partner.example");
    expect(removed.body).toEqual({ grants: 1, sessions: 1, keys: 0, still_allowed: false });
    expect(await status(cookie)).toBe(401);
    expect(house().policy.allows(parseAddress("bob@partner.example"))).toBe(false);
    expect((await operator("DELETE", "/admin/users/ada@example.org")).body).toMatchObject({
      still_allowed: true,
    });
  });

  test("D12: while the store is away it is a 503, and nothing is half done", async () => {
    await start();
    await allow("bob@partner.example");
    const cookie = await gateway.signIn("bob@partner.example");
    stores.away = true;
    expect((await operator("DELETE", "/admin/users/bob@partner.example")).status).toBe(503);
    stores.away = false;
    expect((await house().people.list()).length).toBe(1);
    await house().grants.look();
    expect(await status(cookie)).toBe(200);
  });
});

test("a verdict asks the store nothing about grants", async () => {
  let asked = 0;
  const stores = intercepted(createMemoryStore({ clock }), ({ of, go }) => {
    if (of === "grant") asked++;
    return go();
  });
  await start({ stores });
  for (let at = 0; at < 200; at++) await allow(`p${at}@partner.example`);
  const cookie = await gateway.signIn("p7@partner.example");
  await house().grants.look();
  house().grants.stop();
  asked = 0;
  for (let times = 0; times < 20; times++) expect(await status(cookie)).toBe(200);
  expect(asked).toBe(0);
});

describe("who may do this", () => {
  test("an administrator who signed in lately; nobody else", async () => {
    await start();
    const [root, ada] = [await gateway.signIn("root@example.org"), await gateway.signIn("ada@example.org")];
    const post = async (cookie: string) => {
      const headers = { ...JSON_BODY, Origin: house().options.baseUrl };
      const body = JSON.stringify({ email: "bob@partner.example", routes: ["lab"], mail: false });
      return (await asUser(gateway, cookie)("POST", "/admin/users", { headers, body })).status;
    };
    expect([await post(root), await post(ada)]).toEqual([201, 403]);
    await later(HOUR);
    expect(await post(root)).toBe(401);
  });

  test("an administrator is not shut out from here, nor with the rest of a domain", async () => {
    await start({ env: { RUNEGATE_ADMINS: "boss@example.org" } });
    for (const email of ["root@example.org", "boss@example.org"])
      expect((await operator("PATCH", `/admin/users/${email}`, { denied: true })).status).toBe(400);
    expect((await operator("PATCH", "/admin/users/@example.org", { denied: true })).status).toBe(204);
    const allowed = ["root", "boss", "ada", "zoe"].filter((name) =>
      house().policy.allows(parseAddress(`${name}@example.org`)),
    );
    expect(allowed).toEqual(["root", "boss"]);
    expect(await status(await gateway.signIn("root@example.org"), "/wiki")).toBe(200);
  });

  test("who is named, and who was given what, is listed", async () => {
    await start();
    await allow("bob@partner.example", { until: "30d", reason: "trial" });
    await allow("@partner.example");
    await operator("PATCH", "/admin/users/ada@example.org", { denied: true, reason: "left" });
    const { items } = (await operator("GET", "/admin/users")).body as {
      items: { email: string; allowed: boolean; grants: { effect: string; reason: string }[] }[];
    };
    expect(
      items.map(({ email, allowed, grants }) => [email, allowed, grants.map(({ effect }) => effect)]),
    ).toEqual([
      ["@partner.example", true, ["allow"]],
      ["ada@example.org", false, ["deny"]],
      ["bob@partner.example", true, ["allow"]],
      ["eve@example.org", false, []],
      ["root@example.org", true, []],
      ["zoe@example.org", true, []],
    ]);
    expect(items[2]?.grants).toMatchObject([{ routes: ["lab"], granted_by: "operator", reason: "trial" }]);
  });

  test("where RUNEGATE_DYNAMIC_USERS is off, nothing is done, and what was given counts no longer", async () => {
    await start();
    await allow("bob@partner.example");
    await gateway.stop();
    await start({ env: { RUNEGATE_DYNAMIC_USERS: "false" } });
    expect(house().policy.allows(parseAddress("bob@partner.example"))).toBe(false);
    expect((await allow("carol@partner.example")).status).toBe(403);
    const { items } = (await operator("GET", "/admin/users")).body as { items: { grants: unknown[] }[] };
    expect(items.flatMap(({ grants }) => grants)).toEqual([]);
  });
});

test("with RUNEGATE_SIGN_IN=anyone strangers sign in, and nothing is open to them that was not given", async () => {
  await start({ env: { RUNEGATE_SIGN_IN: "anyone" } });
  const stranger = await gateway.signIn("stranger@elsewhere.example");
  expect([await status(stranger), await status(stranger, "/wiki")]).toEqual([403, 403]);
  await allow("stranger@elsewhere.example");
  expect([await status(stranger), await status(stranger, "/wiki")]).toEqual([200, 403]);
});
