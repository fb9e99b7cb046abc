import { afterAll, afterEach, beforeAll, describe, expect, test } from "bun:test";
import { parseAddress } from "../../src/identity/address.ts";
import { createImpersonations } from "../../src/impersonation/service.ts";
import { StoreUnavailable } from "../../src/store/records.ts";
import { B, C, H } from "../hand-off/stage.ts";
import { SILENT } from "../support/silent.ts";
import { startUpstream, type Upstream } from "../support/upstream.ts";
import { type ActingStage, ADA, JSON_HEADERS, REASON, ROOT, ROUTES, startActingStage } from "./stage.ts";

/** What the operator and the person see of it. */

const MINUTE = 60_000;
const ADMIN = `${H}/_runegate/admin/impersonate`;
let upstream: Upstream;
let stage: ActingStage;

beforeAll(async () => {
  upstream = await startUpstream();
});
afterAll(() => upstream.stop());
afterEach(() => stage.stop());

function send(fields: Record<string, string>) {
  return stage.root.get(ADMIN, {
    method: "POST",
    headers: { "Content-Type": "application/x-www-form-urlencoded" },
    body: new URLSearchParams(fields).toString(),
  });
}

test("the page where it is begun stays: as whom, where, until when, and the way to open and end it", async () => {
  stage = await startActingStage(upstream.url);
  const before = await (await stage.root.get(`${ADMIN}?email=x%22%3E%40y.org`)).text();
  // Those that take it, and no others.
  expect([...before.matchAll(/<option value="([^"]*)"/g)].map(([, name]) => name)).toEqual([
    "lab",
    "grafana",
    "other",
  ]);
  expect(before).not.toContain('value="x">');
  const answer = await send({ email: ADA, route: "other", reason: REASON, minutes: "20" });
  expect([answer.status, answer.headers.get("location")]).toEqual([
    303,
    "/_runegate/admin/impersonate?done=begun",
  ]);
  stage.clock.advance(61_000);
  const page = await (await stage.root.get(ADMIN)).text();
  for (const words of [
    `You are viewing as ${ADA}`,
    REASON,
    "18:59</strong> left",
    `href="${C}/_runegate/as/open"`,
  ])
    expect(page).toContain(words);
  expect((await stage.root.follow(`${C}/_runegate/as/open`)).url).toBe(`${C}/`);
  const boss = stage.person();
  await boss.signIn(`${H}/`, "boss@example.org");
  const theirs = await (await boss.get(ADMIN)).text();
  expect([theirs.includes(`End that ${ROOT} views as ${ADA}`), theirs.includes("/as/open")]).toEqual([
    true,
    false,
  ]);
});

test("the applications lead there, those that take it", async () => {
  stage = await startActingStage(upstream.url);
  const page = await (await stage.root.get(`${H}/_runegate/admin/routes`)).text();
  const links = [...page.matchAll(/href="\/_runegate\/admin\/impersonate\?route=(\w+)"/g)];
  expect(links.map(([, name]) => name)).toEqual(["lab", "grafana", "other"]);
  const form = await (await stage.root.get(`${ADMIN}?route=other`)).text();
  expect(form).toContain('<option value="other" selected>');
});

test("what was mistyped is said on the page, and what may not be is refused", async () => {
  stage = await startActingStage(upstream.url);
  const mistyped = await send({ do: "start", email: ADA, route: "other", reason: "short" });
  expect([mistyped.status, (await mistyped.text()).includes("Say why in 10 to 500 characters")]).toEqual([
    400,
    true,
  ]);
  const refused = await send({ do: "start", email: ADA, route: "home", reason: REASON });
  expect([refused.status, (await refused.text()).includes("not for this application")]).toEqual([403, true]);
});

test("a reason of markup is text wherever it is shown", async () => {
  stage = await startActingStage(upstream.url);
  const reason = `<img src=x onerror="alert(1)"> because`;
  await stage.act(C, { reason });
  const ada = stage.person();
  await ada.signIn(`${H}/`, ADA);
  for (const [who, url] of [
    [stage.root, ADMIN],
    [stage.root, `${C}/_runegate/as`],
    [ada, `${H}/_runegate/account`],
  ] as const) {
    const html = await (await who.get(url)).text();
    expect([url, html.includes("<img src=x"), html.includes("&#60;img src=x onerror")]).toEqual([
      url,
      false,
      true,
    ]);
  }
});

describe("the person is told", () => {
  test("on the page of their account: by whom, where, how long and why, from the beginning on", async () => {
    stage = await startActingStage(upstream.url);
    const ada = stage.person();
    await ada.signIn(`${H}/`, ADA);
    const account = async () => (await ada.get(`${H}/_runegate/account`)).text();
    expect(await account()).not.toContain('id="activity"');
    await stage.act();
    stage.clock.advance(4 * MINUTE);
    const meanwhile = await account();
    for (const words of [`${ROOT} looked at grafana as you, 4 minutes`, `reason: ${REASON}`, ">now<"])
      expect(meanwhile).toContain(words);
    await stage.root.get(`${B}/_runegate/as/end`, { method: "POST" });
    stage.clock.advance(10 * MINUTE);
    const later = await account();
    expect([later.includes("4 minutes"), later.includes(">now<")]).toEqual([true, false]);
    // Nobody else is.
    expect(await (await stage.root.get(`${H}/_runegate/account`)).text()).not.toContain('id="activity"');
    expect(
      stage
        .gateway()
        .mailbox.mails()
        .filter(({ to }) => to === ADA),
    ).toHaveLength(1);
  });

  test("in their language", async () => {
    stage = await startActingStage(upstream.url);
    const ada = stage.person();
    await ada.signIn(`${H}/`, ADA);
    await stage.act();
    const page = await ada.get(`${H}/_runegate/account`, { headers: { "Accept-Language": "de" } });
    expect(await page.text()).toContain(`${ROOT} hat grafana in Ihrem Namen angesehen, 1 Minute`);
  });

  test("by mail, if the operator wants that", async () => {
    stage = await startActingStage(upstream.url, { env: { RUNEGATE_IMPERSONATION_NOTIFY: "mail" } });
    await stage.act(B, { minutes: 7 });
    await stage.gateway().gateway.outbox.runDue();
    const mails = stage
      .gateway()
      .mailbox.mails()
      .filter(({ to }) => to === ADA);
    expect(mails).toHaveLength(1);
    expect(mails[0]?.subject).toBe("An administrator is looking at grafana as you");
    for (const words of [ROOT, ADA, "7 minutes", REASON]) expect(mails[0]?.text).toContain(words);
    // What is refused is nothing to write about.
    await stage.begin({ email: "bob@example.org", route: "home" });
    await stage.gateway().gateway.outbox.runDue();
    expect(
      stage
        .gateway()
        .mailbox.mails()
        .filter(({ to }) => to === "bob@example.org"),
    ).toEqual([]);
  });
});

test("RUNEGATE_IMPERSONATION_TTL is how long it lasts unless asked for otherwise", async () => {
  stage = await startActingStage(upstream.url, { env: { RUNEGATE_IMPERSONATION_TTL: "5m" } });
  const lengthOf = async (fields: object) => {
    stage.clock.advance(1_000);
    const { started_at, ends_at } = (await (await stage.begin({ ...fields })).json()) as Record<
      string,
      string
    >;
    return (Date.parse(ends_at ?? "") - Date.parse(started_at ?? "")) / MINUTE;
  };
  expect([await lengthOf({}), await lengthOf({ minutes: 60 })]).toEqual([5, 60]);
});

test("it ends with the operator's session at the latest", async () => {
  stage = await startActingStage(upstream.url, { env: { RUNEGATE_SESSION_TTL: "30m" } });
  stage.clock.advance(10 * MINUTE);
  const { ends_at } = (await (await stage.begin({ minutes: 60 })).json()) as { ends_at: string };
  expect(Date.parse(ends_at) - stage.clock.now()).toBe(20 * MINUTE);
});

test("F4: with an audit that cannot be written nothing begins, and what went on goes on", async () => {
  stage = await startActingStage(upstream.url);
  await stage.begin();
  const { gateway } = stage.gateway();
  const audited: string[] = [];
  const service = createImpersonations({
    ...{ ...gateway.options, ...gateway, store: gateway.stores, cookie: gateway.actingCookie },
    audit: ({ event }) => void audited.push(event),
    auditFirst: () => Promise.reject(new StoreUnavailable("the audit is away")),
    tell: () => Promise.reject(new Error("nobody is told")),
    log: SILENT,
  });
  const [before] = await service.running();
  const admin = { email: parseAddress(ROOT), login: before?.login ?? "", client: "127.0.0.1" };
  const asked = { email: ADA, route: "other", reason: REASON };
  expect(service.start(admin, asked)).rejects.toThrow("the audit is away");
  expect(await service.running()).toEqual(before === undefined ? [] : [before]);
  expect(audited).toEqual([]);
});

test("no key, and nobody but a person in a browser, begins one", async () => {
  const routes = ROUTES.replace('name = "home"', 'name = "home"\n  api_keys = true');
  stage = await startActingStage(upstream.url, { routes, env: { RUNEGATE_API_KEYS: "true" } });
  const { apiKeys } = stage.gateway().gateway;
  const made = await apiKeys.create({ owner: ROOT }, { name: ROOT, isAdmin: true });
  if (!("token" in made)) throw new Error(JSON.stringify(made));
  const headers = { ...JSON_HEADERS, Authorization: `Bearer ${made.token}` };
  const body = JSON.stringify({ email: ADA, route: "other", reason: REASON });
  const by = (path: string) => stage.root.get(H + path, { method: "POST", headers, body });
  expect((await by("/_runegate/api/admin/impersonate")).status).toBe(401);
  expect((await by("/_runegate/admin/impersonate")).status).toBe(404);
});

test("what somebody wrote into the store is believed by nobody", async () => {
  stage = await startActingStage(upstream.url);
  await stage.act(C);
  const records = stage.gateway().stores.records<{ admin: string; sealed: string }>({
    name: "impersonation",
    by: ["admin"],
    cached: true,
  });
  const [seen] = await records.find({ most: 1 });
  if (seen === undefined) throw new Error("there is none");
  const sealed = seen.record.sealed.replace(ADA, "bob@example.org");
  expect(sealed).not.toBe(seen.record.sealed);
  await records.replace(seen, { ...seen.record, sealed });
  expect((await stage.root.get(`${C}/`)).status).toBe(403);
});

test("an application goes by its title, as everywhere", async () => {
  const routes = ROUTES.replace('name = "other"', 'name = "other"\n  title = "The other one"');
  stage = await startActingStage(upstream.url, { routes });
  await send({ email: ADA, route: "other", reason: REASON });
  await stage.root.follow(`${C}/_runegate/as/open`);
  for (const url of [ADMIN, `${C}/_runegate/as`]) {
    const page = await (await stage.root.get(url)).text();
    expect(page).toContain("In <strong>The other one</strong> until");
    expect(page).toContain(">Open The other one</a>");
  }
});
