import { afterAll, afterEach, beforeAll, describe, expect, test } from "bun:test";
import { startUpstream, type Upstream } from "../support/upstream.ts";
import { B, C, H, ROUTES, SESSION, type Stage, startStage } from "./stage.ts";

/** The login page of several hosts: where it leads, to whom it shows itself, and when it asks again. */

let upstream: Upstream;
let stage: Stage;

beforeAll(async () => {
  upstream = await startUpstream();
});
afterAll(() => upstream.stop());
afterEach(() => stage.stop());

const MINUTE = 60_000;

describe("where the login page leads whoever is signed in", () => {
  const cases: [query: string, location: string][] = [
    ["next=/a?b", "/a?b"],
    ["next=https%3A%2F%2Fapp.test%2Fa", "/a"],
    ["next=https%3A%2F%2Fgrafana.app.test%2Fa%3Fb", `${B}/_runegate/login?next=%2Fa%3Fb`],
    ["next=https%3A%2F%2Fgrafana.app.test", `${B}/_runegate/login?next=%2F`],
    ["next=https%3A%2F%2FGRAFANA.app.test%3A443%2Fa", `${B}/_runegate/login?next=%2Fa`],
    ["rd=https%3A%2F%2Fgrafana.app.test%2Fa", `${B}/_runegate/login?next=%2Fa`],
    ["rd=/a", "/a"],
    ["next=/a&rd=/b", "/a"],
    // A13
    ["rd=https%3A%2F%2Fapp.test.evil.tld%2F", "/"],
    ["rd=%2F%2Fevil", "/"],
    ["rd=https%3A%2F%2Fapp.test%40evil", "/"],
    ["rd=https%3A%2F%2FAPP.test%3A443%2Fx", "/x"],
    ["next=https%3A%2F%2Fuser%40grafana.app.test%2F", "/"],
    ["next=http%3A%2F%2Fgrafana.app.test%2F", "/"],
    ["next=https%3A%2F%2Fgrafana.app.test%3A444%2F", "/"],
    ["next=https%3A%2F%2Fgrafana.app.test%2F%2Fevil", "/"],
    ["next=https%3A%2F%2Fgrafana.app.test%5C%40evil%2F", "/"],
    ["next=https%3A%2F%2Fgrafana.app.test%2F_runegate%2Flogout", "/"],
    ["next=https%3Agrafana.app.test%2Fa", `${B}/_runegate/login?next=%2Fa`],
    ["next=%20https%3A%2F%2Fevil%2F", "/"],
    ["next=javascript%3Aalert(1)", "/"],
    ["next=https%3A%2F%2Fevil%2F", "/"],
  ];
  test("A13", async () => {
    stage = await startStage(upstream.url);
    const ada = stage.person();
    await ada.signIn(`${H}/`);
    for (const [query, location] of cases) {
      const response = await ada.get(`${H}/_runegate/login?${query}`);
      expect([query, response.status, response.headers.get("location")]).toEqual([query, 302, location]);
    }
  });
});

test("A12: a script that is sent to the login page gets no page, signed in or not", async () => {
  stage = await startStage(upstream.url);
  const ada = stage.person();
  const fetched = { headers: { "Sec-Fetch-Mode": "cors", "Sec-Fetch-Dest": "empty" } };
  for (const origin of [H, B]) {
    for (const path of ["/_runegate/login?next=/a", "/_runegate/", "/login"]) {
      const response = await ada.get(origin + path, fetched);
      expect([origin, path, response.status]).toEqual([origin, path, 401]);
      expect((await response.json()) as unknown).toMatchObject({ error: "unauthenticated" });
    }
  }
  await ada.signIn(`${H}/`);
  expect((await ada.get(`${H}/_runegate/login`, fetched)).status).toBe(401);
});

test("the login page of another host begins at home, and ends where it began", async () => {
  stage = await startStage(upstream.url);
  const ada = stage.person();
  // Somebody may see the page without signing in, and sign in from there.
  expect((await ada.get(`${B}/public`)).status).toBe(200);
  const end = await ada.signIn(`${B}/_runegate/login?next=/public`);
  expect([end.url, ada.cookie("grafana.app.test", SESSION)]).toEqual([`${B}/public`, expect.any(String)]);
});

test("a link that is opened in another browser, or later than the request is good for, leads on as well", async () => {
  stage = await startStage(upstream.url, ROUTES, { RUNEGATE_MAGIC_LINK_EXPIRY: "60" });
  const [ada, phone] = [stage.person(), stage.person()];
  const page = await ada.follow(`${B}/x?y`);
  const next = new URL(page.url).searchParams.get("next") ?? "";
  expect(next).toBe(`${B}/x?y`);
  const ask = async () => {
    await ada.get(`${H}/_runegate/login`, {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify({ email: "ada@example.org", next }),
    });
    await stage.gateway().gateway.outbox.runDue();
    return stage.gateway().mailbox.mails().at(0)?.link ?? "";
  };
  const link = await ask();
  stage.clock.advance(20 * MINUTE);
  expect((await ada.follow(link)).url).toBe(`${B}/x?y`);

  const other = await ask();
  expect((await phone.get(other)).status).toBe(200);
  const end = await phone.follow(`${H}/_runegate/auth`, {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify({ token: new URL(other).searchParams.get("token") }),
  });
  expect(end.url).toBe(`${B}/x?y`);
  // By a page that goes on by itself: a form may not lead to another host.
  expect(end.hops.slice(0, 2)).toEqual([
    `${H}/_runegate/auth`,
    `${B}/_runegate/login?next=${encodeURIComponent("/x?y")}`,
  ]);
});

describe("another host than home", () => {
  test.each(["/_runegate/login", "/_runegate/auth"])("takes no POST to %s", async (path) => {
    stage = await startStage(upstream.url);
    const response = await stage.person().get(B + path, {
      method: "POST",
      headers: { "Content-Type": "application/json", "Sec-Fetch-Mode": "cors" },
      body: JSON.stringify({ email: "ada@example.org", code: "ABCDEFGH" }),
    });
    expect([response.status, response.headers.getSetCookie()]).toEqual([421, []]);
    expect((await response.json()) as unknown).toMatchObject({ error: "wrong_host" });
  });

  test("opens no link, whose session would be good on every host", async () => {
    stage = await startStage(upstream.url);
    const ada = stage.person();
    await ada.get(`${H}/_runegate/login`, {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify({ email: "ada@example.org" }),
    });
    await stage.gateway().gateway.outbox.runDue();
    const link = stage.gateway().mailbox.mails().at(0)?.link ?? "";
    expect((await ada.get(link.replace(H, B))).status).toBe(421);
    expect((await ada.follow(link)).url).toBe(`${H}/`);
  });

  test("takes a form of its own pages, and of nobody else's", async () => {
    stage = await startStage(upstream.url);
    const ada = stage.person();
    await ada.signIn(`${B}/`);
    for (const [Origin, status] of [
      [C, 403],
      ["null", 403],
      [B, 200],
    ] as const) {
      const response = await ada.get(`${B}/_runegate/logout`, { method: "POST", headers: { Origin } });
      expect([Origin, response.status]).toEqual([Origin, status]);
    }
  });
});

describe("a route that wants a later sign-in", () => {
  const routes = ROUTES.replace('public_paths = ["/public"]', 'max_age = "5m"');

  test("asks again, by way of home, and the new session takes the place of the old one", async () => {
    stage = await startStage(upstream.url, routes);
    const ada = stage.person();
    await ada.signIn(`${B}/x`);
    const first = ada.cookie("app.test", SESSION);
    stage.clock.advance(5 * MINUTE);
    expect((await ada.get(`${H}/`)).status).toBe(200);
    const page = await ada.follow(`${B}/x`);
    expect([page.url, page.response.status]).toEqual([
      `${H}/_runegate/login?next=${encodeURIComponent(`${B}/x`)}&again=1`,
      200,
    ]);
    expect(await page.response.text()).toContain("It has been too long");
    expect((await ada.signIn(`${B}/x`)).url).toBe(`${B}/x`);
    expect((await ada.get(`${B}/x`)).status).toBe(200);
    expect(ada.cookie("app.test", SESSION)).not.toBe(first);
    expect((await stage.gateway().gateway.sessions.list()).length).toBe(1);
  });

  test("asks again on the same host too, and a form's landing does not pass for it", async () => {
    stage = await startStage(
      upstream.url,
      `${routes}
      [[routes]]
      name = "strict"
      path = "/strict"
      target = "TARGET"
      max_age = "5m"`,
    );
    const ada = stage.person();
    await ada.signIn(`${H}/`);
    stage.clock.advance(5 * MINUTE);
    expect((await ada.get(`${H}/`)).status).toBe(200);
    const asked = await ada.get(`${H}/strict/x`);
    expect([asked.status, asked.headers.get("location")]).toEqual([
      302,
      "/_runegate/login?next=%2Fstrict%2Fx&again=1",
    ]);
    // An edge that sends everybody to the login page does not say `again`.
    expect((await ada.get(`${H}/_runegate/login?rd=/strict/x`)).status).toBe(200);
    expect((await ada.get(`${H}/_runegate/login?next=/other`)).status).toBe(302);
    const posted = await ada.get(`${H}/strict/x`, { method: "POST", body: "" });
    expect([posted.status, posted.headers.get("location")]).toEqual([
      303,
      "/_runegate/login?next=%2F&again=1",
    ]);
    expect((await ada.get(`${H}/_runegate/login?next=%2F&again=1`)).status).toBe(200);
    expect((await ada.signIn(`${H}/strict/x`)).url).toBe(`${H}/strict/x`);
  });

  test("a page that waits for the mail waits for the new session", async () => {
    stage = await startStage(upstream.url, routes);
    const ada = stage.person();
    await ada.signIn(`${H}/`);
    await ada.get(`${H}/_runegate/login`, {
      method: "POST",
      headers: { "Content-Type": "application/x-www-form-urlencoded" },
      body: new URLSearchParams({ email: "ada@example.org", next: `${B}/x` }).toString(),
    });
    const page = await ada.get(`${H}/_runegate/code`);
    expect(page.status).toBe(200);
    expect(await page.text()).toContain('data-login="waiting"');
  });
});

test("a cookie for a whole domain is taken on its hosts as it is, and a host beyond gets its own", async () => {
  stage = await startStage(upstream.url, ROUTES, { RUNEGATE_COOKIE_DOMAIN: "app.test" });
  const ada = stage.person();
  await ada.signIn(`${H}/`);
  const cookie = ada.cookie("app.test", SESSION) ?? "";
  expect((await ada.get(`${B}/`, { headers: { Cookie: `${SESSION}=${cookie}` } })).status).toBe(200);
  // On the way back to a host of the domain, the cookie is there already: it gets no second one.
  ada.jar.set("grafana.app.test", new Map());
  const finish = await ada.until(`${B}/x`, ({ pathname }) => pathname.endsWith("/finish"));
  const binding = [...(ada.jar.get("grafana.app.test") ?? [])].map((pair) => pair.join("=")).join("; ");
  const back = await ada.get(finish, { headers: { Cookie: `${binding}; ${SESSION}=${cookie}` } });
  expect([back.status, back.headers.get("location"), back.headers.getSetCookie()]).toEqual([302, "/x", []]);
  const there = await ada.follow(`${C}/`);
  expect([there.url, ada.cookie("other.example", SESSION)?.length]).toEqual([`${C}/`, 87]);
});
