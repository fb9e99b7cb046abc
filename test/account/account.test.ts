import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { startStage } from "../hand-off/stage.ts";
import { askFor, auditOf, NAVIGATION, openLink, sessionOf, whoAmI } from "../login/support.ts";
import { type TestClock, testClock } from "../support/clock.ts";
import { startGateway, type TestGateway } from "../support/gateway.ts";

/** The page of one's account: who one is, and where one is signed in. */

const ADA = "ada@example.org";
const ACCOUNT = "/_runegate/account";
const FIREFOX = "Mozilla/5.0 (X11; Linux x86_64; rv:131.0) Gecko/20100101 Firefox/131.0";
const SAFARI =
  "Mozilla/5.0 (iPhone; CPU iPhone OS 17_4 like Mac OS X) Version/17.4 Mobile/15E148 Safari/604.1";

let gateway: TestGateway;
let clock: TestClock;

beforeEach(async () => {
  clock = testClock();
  gateway = await startGateway({ clock, env: { RUNEGATE_LOG_FORMAT: "json" } });
});
afterEach(() => gateway.stop());

/** From a device and an address of its own. @returns the `Cookie` header */
async function signIn(email = ADA, userAgent = FIREFOX, ip = "192.0.2.7"): Promise<string> {
  const headers = { "User-Agent": userAgent, "X-Forwarded-For": ip };
  const { cookie, token } = await askFor(gateway, email, { headers });
  const session = sessionOf(await openLink(gateway, token, { ...headers, Cookie: cookie }));
  if (session === undefined) throw new Error("not signed in");
  return session;
}

function get(cookie: string, path = ACCOUNT, headers: Record<string, string> = NAVIGATION) {
  return fetch(gateway.url + path, { redirect: "manual", headers: { ...headers, Cookie: cookie } });
}

function post(
  cookie: string,
  what: string,
  fields: Record<string, string> = {},
  headers: Record<string, string> = { Origin: gateway.url },
) {
  return fetch(`${gateway.url}${ACCOUNT}/sessions/${what}`, {
    method: "POST",
    redirect: "manual",
    headers: { ...NAVIGATION, ...headers, Cookie: cookie },
    body: new URLSearchParams(fields),
  });
}

/** What the page lists: the device, the place, and the id that its form sends, if it has one. */
function rowsOf(html: string): { device: string; place: string; id: string | undefined }[] {
  const [part = ""] = html.slice(html.indexOf('id="sessions"')).split("</section>");
  return part
    .split("<li>")
    .filter((row) => row.includes("<small>"))
    .map((row) => ({
      device: /<strong><bdi>(.*?)<\/bdi><\/strong>/.exec(row)?.[1] ?? "",
      place: /<small><bdi>(.*?)<\/bdi> ·/.exec(row)?.[1] ?? "",
      id: /name="session" value="([^"]*)"/.exec(row)?.[1],
    }));
}

const rows = async (cookie: string) => rowsOf(await (await get(cookie)).text());

describe("who one is", () => {
  test("whoever is not signed in is sent to sign in, and comes back to the page", async () => {
    const away = await get("");
    const login = `/_runegate/login?next=${encodeURIComponent(ACCOUNT)}`;
    expect([away.status, away.headers.get("location")]).toEqual([302, login]);
    const { cookie, token } = await askFor(gateway, ADA, { next: ACCOUNT });
    expect((await openLink(gateway, token, { Cookie: cookie })).headers.get("location")).toBe(ACCOUNT);
  });

  test("a script that is not signed in gets 401 as JSON, never a page", async () => {
    const answer = await get("", ACCOUNT, { "Sec-Fetch-Mode": "cors" });
    expect([answer.status, ((await answer.json()) as { error: string }).error]).toEqual([
      401,
      "unauthenticated",
    ]);
  });

  test("says the address, since when, and until when, with use and without", async () => {
    const start = clock.now();
    const cookie = await signIn();
    clock.advance(3_600_000);
    const html = await (await get(cookie)).text();
    expect(html).toContain(`<strong>${ADA}</strong>`);
    const day = 24 * 3_600_000;
    const times = Array.from(html.matchAll(/<dd>.*?<\/dd>/g), ([dd]) =>
      Array.from(dd.matchAll(/datetime="([^"]*)"/g), ([, at = ""]) => Date.parse(at) - start),
    );
    expect(times).toEqual([[], [0], [14 * day, 3 * day + 3_600_000]]);
  });

  test("is kept by nobody on the way", async () => {
    expect((await get(await signIn())).headers.get("cache-control")).toBe("no-store");
  });
});

describe("where one is signed in", () => {
  test("lists this browser first and then the others, last used first, with device and place", async () => {
    const own = await signIn();
    const [phone, old] = [
      await signIn(ADA, SAFARI, "2001:db8::5"),
      await signIn(ADA, "curl/8.5", "198.51.100.9"),
    ];
    await signIn("bob@example.org", SAFARI, "203.0.113.1");
    clock.advance(120_000);
    await whoAmI(gateway, old);
    expect(await rows(own)).toEqual([
      { device: "Firefox on Linux", place: "192.0.2.7", id: undefined },
      { device: "curl", place: "198.51.100.9", id: expect.any(String) },
      { device: "Safari on iOS", place: "2001:db8::5", id: expect.any(String) },
    ]);
    expect((await rows(phone))[0]).toEqual({ device: "Safari on iOS", place: "2001:db8::5", id: undefined });
  });

  test("ending one ends that one, tells the audit, and says so", async () => {
    const [own, phone, third] = [await signIn(), await signIn(ADA, SAFARI), await signIn(ADA, "curl/8.5")];
    const id = (await rows(own)).find(({ device }) => device === "Safari on iOS")?.id ?? "";
    const done = await post(own, "end", { session: id });
    expect([done.status, done.headers.get("location")]).toEqual([303, `${ACCOUNT}?done=one`]);
    expect(await (await get(own, `${ACCOUNT}?done=one`)).text()).toContain('role="status">Signed out there.');
    const live = await Promise.all(
      [own, phone, third].map(async (one) => (await whoAmI(gateway, one)).authenticated),
    );
    expect(live).toEqual([true, false, true]);
    const ended = auditOf(gateway).filter(({ event }) => event === "session_revoked");
    expect(ended).toEqual([{ event: "session_revoked", email: ADA, session: id.slice(0, 8), by: "user" }]);
    expect((await post(own, "end", { session: id })).headers.get("location")).toBe(`${ACCOUNT}?done=none`);
  });

  test("ending all others leaves this one, and those of other people", async () => {
    const [own, phone, bob] = [await signIn(), await signIn(ADA, SAFARI), await signIn("bob@example.org")];
    expect((await post(own, "end-others")).headers.get("location")).toBe(`${ACCOUNT}?done=one`);
    const live = await Promise.all(
      [own, phone, bob].map(async (one) => (await whoAmI(gateway, one)).authenticated),
    );
    expect(live).toEqual([true, false, true]);
    const html = await (await get(own)).text();
    expect(rowsOf(html)).toHaveLength(1);
    expect(html).not.toContain("everywhere else");
  });

  test("nobody ends a session of somebody else, or the one they ask with, by its id", async () => {
    const [own, bob] = [await signIn(), await signIn("bob@example.org")];
    const ids = (await gateway.gateway.sessions.list()).map(({ id }) => id.slice(0, 12));
    for (const session of [...ids, "", "x"]) await post(own, "end", { session });
    expect((await whoAmI(gateway, own)).authenticated).toBe(true);
    expect((await whoAmI(gateway, bob)).authenticated).toBe(true);
  });

  test("a page elsewhere ends nothing, nor does a GET", async () => {
    const [own, phone] = [await signIn(), await signIn(ADA, SAFARI)];
    const foreign: Record<string, string>[] = [
      { Origin: "https://evil.example" },
      { Origin: "null" },
      { "Sec-Fetch-Site": "cross-site" },
    ];
    for (const headers of foreign) {
      expect((await post(own, "end-others", {}, headers)).status).toBe(403);
    }
    expect((await get(own, `${ACCOUNT}/sessions/end-others`)).status).toBe(405);
    expect((await whoAmI(gateway, phone)).authenticated).toBe(true);
  });

  test("without a session a form ends nothing, and leads to the login page", async () => {
    const phone = await signIn(ADA, SAFARI);
    const away = await post("", "end-others");
    expect([away.status, away.headers.get("location")]).toEqual([
      303,
      `/_runegate/login?next=${encodeURIComponent(ACCOUNT)}`,
    ]);
    expect((await whoAmI(gateway, phone)).authenticated).toBe(true);
  });

  test("shows fifty others and counts the rest", async () => {
    const own = await signIn();
    for (let at = 0; at < 53; at++) {
      await gateway.gateway.sessions.start({ email: ADA as never, ip: "192.0.2.9", userAgent: "curl/8" });
    }
    const html = await (await get(own)).text();
    expect(rowsOf(html)).toHaveLength(51);
    expect(html).toContain("And 3 more.");
    expect((await post(own, "end-others")).headers.get("location")).toBe(`${ACCOUNT}?done=several`);
    expect(await gateway.gateway.sessions.list()).toHaveLength(1);
  });
});

test("with several hosts, the account is on the one where people sign in", async () => {
  const stage = await startStage("http://127.0.0.1:9");
  try {
    const ada = stage.person();
    await ada.signIn("https://app.test/_runegate/account");
    await ada.follow("https://grafana.app.test/public/../");
    const { url, hops } = await ada.follow(`https://grafana.app.test${ACCOUNT}`);
    expect([url, hops.length]).toEqual([`https://app.test${ACCOUNT}`, 2]);
    const end = await ada.get(`https://grafana.app.test${ACCOUNT}/sessions/end-others`, { method: "POST" });
    expect(end.status).toBe(421);
  } finally {
    await stage.stop();
  }
});
