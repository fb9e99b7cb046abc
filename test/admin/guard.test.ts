import { afterEach, describe, expect, test } from "bun:test";
import { parseAddress } from "../../src/identity/address.ts";
import { shortId } from "../../src/session/record.ts";
import { createMemoryStore } from "../../src/store/memory.ts";
import { StoreUnavailable } from "../../src/store/records.ts";
import { asUser } from "../api/support.ts";
import { B, H, ROUTES, startStage as startHosts } from "../hand-off/stage.ts";
import { auditOf } from "../login/support.ts";
import { testClock } from "../support/clock.ts";
import { intercepted } from "../support/store.ts";
import { ADA, ADMIN, type AdminStage, ROOT, startAdminStage } from "./stage.ts";

/** Who may see the admin pages, and act on them. */

let stage: AdminStage;
afterEach(() => stage.gateway.stop());

const MINUTE = 60_000;
const SCREENS = ["", "/sessions", "/mail", "/routes"].map((screen) => ADMIN + screen);
const LOGIN = "/_runegate/login";

const eventsOf = (event: string) => auditOf(stage.gateway).filter((one) => one.event === event);

describe("H1: to whom the pages are not there", () => {
  test("somebody who is signed in and no administrator: 404 on every screen, by GET and POST, audited", async () => {
    stage = await startAdminStage();
    const ada = await stage.gateway.signIn(ADA);
    for (const path of SCREENS) {
      expect((await stage.get(ada, path)).status).toBe(404);
      expect((await stage.post(ada, path, { do: "end" })).status).toBe(404);
    }
    expect(eventsOf("admin_refused")[0]).toMatchObject({
      email: ADA,
      path: ADMIN,
      reason: "no administrator",
    });
    expect(eventsOf("admin_opened")).toEqual([]);
  });

  test("an administrator's API key", async () => {
    stage = await startAdminStage({ RUNEGATE_API_KEYS: "true" }, { routes: keyRoutes() });
    const { apiKeys } = stage.gateway.gateway;
    const made = await apiKeys.create({ owner: ROOT }, { name: ROOT, isAdmin: true });
    if (!("token" in made)) throw new Error(JSON.stringify(made));
    const answer = await stage.get("", ADMIN, { Authorization: `Bearer ${made.token}` });
    expect(answer.status).toBe(404);
    expect(eventsOf("admin_refused")[0]).toMatchObject({ reason: "what was shown is worth nothing" });
  });

  test("an administrator on another host", async () => {
    const hosts = await startHosts("http://127.0.0.1:9", `[groups]\nadmins = ["${ADA}"]\n${ROUTES}`);
    stage = await startAdminStage();
    try {
      const ada = hosts.person();
      await ada.signIn(`${H}${ADMIN}`);
      await ada.follow(`${B}/x`);
      expect((await ada.get(H + ADMIN)).status).toBe(200);
      expect((await ada.get(B + ADMIN)).status).toBe(404);
    } finally {
      await hosts.stop();
    }
  });

  test("an administrator from outside of RUNEGATE_ADMIN_NETWORKS", async () => {
    stage = await startAdminStage({
      RUNEGATE_ADMIN_NETWORKS: "192.0.2.0/24",
      RUNEGATE_TRUSTED_PROXIES: "127.0.0.1",
    });
    const root = await stage.gateway.signIn(ROOT);
    const from = (ip: string) => stage.get(root, ADMIN, { "X-Forwarded-For": ip });
    expect([(await from("192.0.2.9")).status, (await from("198.51.100.9")).status]).toEqual([200, 404]);
    expect(eventsOf("admin_refused")[0]).toMatchObject({ reason: "from another network" });
  });

  test("nor does the API take them for one from there", async () => {
    stage = await startAdminStage({
      RUNEGATE_ADMIN_NETWORKS: "192.0.2.0/24",
      RUNEGATE_TRUSTED_PROXIES: "127.0.0.1",
    });
    const ask = asUser(stage.gateway, await stage.gateway.signIn(ROOT));
    const from = async (ip: string) => {
      const { status, body } = await ask("GET", "/users", { headers: { "X-Forwarded-For": ip } });
      return [status, (body as { error?: string }).error];
    };
    expect([await from("192.0.2.9"), await from("198.51.100.9")]).toEqual([
      [200, undefined],
      [403, "not_allowed"],
    ]);
    // Their own sessions are theirs anywhere.
    expect((await ask("GET", "/session", { headers: { "X-Forwarded-For": "198.51.100.9" } })).status).toBe(
      200,
    );
  });

  test("whoever signs in where there are no administrators", async () => {
    stage = await startAdminStage(
      {},
      { routes: `[[routes]]\nname = "lab"\ntarget = "http://127.0.0.1:9"\n` },
    );
    expect((await stage.get(await stage.gateway.signIn(ROOT))).status).toBe(404);
  });
});

describe("an administrator", () => {
  test("sees every screen, with headers that keep it to themselves", async () => {
    stage = await startAdminStage();
    const root = await stage.gateway.signIn(ROOT);
    for (const path of SCREENS) {
      const answer = await stage.get(root, path);
      expect([path, answer.status]).toEqual([path, 200]);
      const { headers } = answer;
      expect(headers.get("cache-control")).toBe("no-store");
      expect(headers.get("cross-origin-opener-policy")).toBe("same-origin");
      expect(headers.get("content-security-policy")).toContain("default-src 'none'");
      expect(headers.get("content-security-policy")).toContain("frame-ancestors 'none'");
      expect(await answer.text()).toContain('aria-current="page"');
    }
  });

  test("who is not signed in is sent to sign in, and comes back to the screen", async () => {
    stage = await startAdminStage();
    const answer = await stage.get("", `${ADMIN}/mail`);
    const next = encodeURIComponent(`${ADMIN}/mail`);
    expect([answer.status, answer.headers.get("location")]).toEqual([302, `${LOGIN}?next=${next}`]);
  });

  test("may be one by what an OpenID provider says of them alone", async () => {
    stage = await startAdminStage(
      {},
      { routes: `[[routes]]\nname = "lab"\ntarget = "http://127.0.0.1:9"\n` },
    );
    const [name = ""] = (await stage.gateway.signIn(ADA)).split("=");
    const vouched = {
      email: parseAddress(ROOT),
      ip: "127.0.0.1",
      userAgent: "",
      groups: new Set(["admins"]),
    };
    const { cookie } = await stage.gateway.gateway.sessions.start(vouched);
    expect((await stage.get(`${name}=${cookie}`)).status).toBe(200);
  });

  test("is audited once for each session and hour", async () => {
    stage = await startAdminStage();
    const root = await stage.gateway.signIn(ROOT);
    await stage.get(root);
    await stage.get(root, `${ADMIN}/sessions`);
    expect(eventsOf("admin_opened")).toMatchObject([{ email: ROOT }]);
    stage.clock.advance(61 * MINUTE);
    await stage.get(root);
    expect(eventsOf("admin_opened")).toHaveLength(2);
  });
});

describe("H2: acts need a recent sign-in", () => {
  test("with one of 16 minutes ago, the form leads to the login page and nothing is done", async () => {
    stage = await startAdminStage();
    await stage.gateway.signIn(ADA);
    const root = await stage.gateway.signIn(ROOT);
    stage.clock.advance(16 * MINUTE);
    const answer = await stage.post(root, `${ADMIN}/sessions`, { do: "end-all", email: ADA });
    const next = encodeURIComponent(`${ADMIN}/sessions`);
    expect([answer.status, answer.headers.get("location")]).toEqual([303, `${LOGIN}?next=${next}&again=1`]);
    expect(await stage.gateway.gateway.sessions.list()).toHaveLength(2);
    // To look is still open.
    expect((await stage.get(root, `${ADMIN}/sessions`)).status).toBe(200);
  });

  test("RUNEGATE_ADMIN_MAX_AGE may ask for a more recent one of the API too", async () => {
    stage = await startAdminStage({ RUNEGATE_ADMIN_MAX_AGE: "5m" });
    const ask = asUser(stage.gateway, await stage.gateway.signIn(ROOT));
    const end = async () => (await ask("DELETE", "/admin/impersonations/none")).status;
    expect(await end()).toBe(404);
    stage.clock.advance(6 * MINUTE);
    expect(await end()).toBe(401);
  });

  test("RUNEGATE_ADMIN_MAX_AGE says how recent", async () => {
    stage = await startAdminStage({ RUNEGATE_ADMIN_MAX_AGE: "20m" });
    await stage.gateway.signIn(ADA);
    const root = await stage.gateway.signIn(ROOT);
    stage.clock.advance(16 * MINUTE);
    const answer = await stage.post(root, `${ADMIN}/sessions`, { do: "end-all", email: ADA });
    expect(answer.headers.get("location")).toBe(`${ADMIN}/sessions?done=all`);
  });
});

describe("H3: forms of other sites, and acts by GET", () => {
  test("a form of another site, or of none: 403, nothing done", async () => {
    stage = await startAdminStage();
    await stage.gateway.signIn(ADA);
    const root = await stage.gateway.signIn(ROOT);
    const path = `${ADMIN}/sessions`;
    const fields = { do: "end-all", email: ADA };
    for (const headers of [
      { Origin: "https://evil.example" },
      { Origin: "null" },
      { "Sec-Fetch-Site": "cross-site" },
    ] as Record<string, string>[])
      expect((await stage.post(root, path, fields, headers)).status).toBe(403);
    await stage.get(root, `${path}?do=end-all&email=${ADA}`);
    expect(await stage.gateway.gateway.sessions.list()).toHaveLength(2);
  });

  test("what no form sends: 400", async () => {
    stage = await startAdminStage();
    const root = await stage.gateway.signIn(ROOT);
    for (const act of ["", "constructor", "nothing"])
      expect((await stage.post(root, `${ADMIN}/sessions`, { do: act })).status).toBe(400);
  });
});

test("H15: an administrator who ends their own session is led to the login page", async () => {
  stage = await startAdminStage();
  const root = await stage.gateway.signIn(ROOT);
  const [own] = await stage.gateway.gateway.sessions.list();
  const path = `${ADMIN}/sessions`;
  const done = await stage.post(root, path, { do: "end", email: ROOT, session: shortId(own?.id ?? "") });
  expect([done.status, done.headers.get("location")]).toEqual([303, `${path}?done=ended`]);
  expect(await stage.gateway.gateway.sessions.list()).toEqual([]);
  const next = await stage.get(root, `${path}?done=ended`);
  expect(next.status).toBe(302);
  expect(next.headers.get("location")).toStartWith(`${LOGIN}?next=`);
});

const keyRoutes = () => `[groups]
admins = ["${ROOT}"]
[[routes]]
name = "lab"
target = "http://127.0.0.1:9"
api_keys = true
`;

test("the page of an account leads administrators there, and nobody else", async () => {
  stage = await startAdminStage();
  const link = `href="${ADMIN}"`;
  const account = async (cookie: string) => (await stage.get(cookie, "/_runegate/account")).text();
  expect(await account(await stage.gateway.signIn(ROOT))).toContain(link);
  expect(await account(await stage.gateway.signIn(ADA))).not.toContain(link);
});

test("what cannot be recorded is not done: 503, and the session is still there", async () => {
  const clock = testClock();
  let isFull = false;
  const stores = intercepted(createMemoryStore({ clock }), ({ of, verb, go }) => {
    if (isFull && of === "audit" && verb === "add") throw new StoreUnavailable("The disk is full.");
    return go();
  });
  stage = await startAdminStage({ RUNEGATE_API_KEYS: "true" }, { clock, stores, routes: keyRoutes() });
  const ada = await stage.gateway.signIn(ADA);
  const root = await stage.gateway.signIn(ROOT);
  const { apiKeys, closures, routes } = stage.gateway.gateway;
  const made = await apiKeys.create({ owner: ADA }, { name: ROOT, isAdmin: true });
  if (!("key" in made)) throw new Error(JSON.stringify(made));
  await stage.get(root);
  isFull = true;
  for (const [screen, fields] of [
    ["sessions", { do: "end-all", email: ADA }],
    ["keys", { do: "end", id: made.key.id }],
    ["routes", { do: "close", name: "lab" }],
  ] as [string, Record<string, string>][])
    expect([screen, (await stage.post(root, `${ADMIN}/${screen}`, fields)).status]).toEqual([screen, 503]);
  isFull = false;
  expect((await stage.get(ada, "/_runegate/account")).status).toBe(200);
  expect(await apiKeys.list()).toHaveLength(1);
  expect(routes.all.map(closures.textOf)).toEqual([undefined]);
});
