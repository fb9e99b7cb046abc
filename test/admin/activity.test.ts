import { afterEach, describe, expect, test } from "bun:test";
import { ADA, ADMIN, type AdminStage, ROOT, startAdminStage } from "./stage.ts";

/** The screen of activity: who sees it, searching, one event in full, and that what others wrote is text. */

let stage: AdminStage;
afterEach(() => stage.gateway.stop());

const ACTIVITY = `${ADMIN}/activity`;
const MINUTE = 60_000;
const DAY = 24 * 60 * MINUTE;
const BAD = `"><script>alert(1)</script>`;

const textOf = async (answer: Promise<Response>) => (await answer).text();
const eventsIn = (html: string) =>
  Array.from(html.matchAll(/data-label="What"><div><bdi>([^<]*)/g), ([, event = ""]) => event);

async function searched(cookie: string, query: Record<string, string>): Promise<string> {
  const html = await textOf(stage.get(cookie, `${ACTIVITY}?${new URLSearchParams(query)}`));
  expect(html).not.toContain("<script>alert");
  return html;
}

test("to look takes a sign-in as recent as to act", async () => {
  stage = await startAdminStage();
  const root = await stage.gateway.signIn(ROOT);
  expect((await stage.get(root, ACTIVITY)).status).toBe(200);
  stage.clock.advance(16 * MINUTE);
  const answer = await stage.get(root, `${ACTIVITY}?email=${ADA}`);
  const next = encodeURIComponent(`${ACTIVITY}?email=${ADA}`);
  expect(answer.headers.get("location")).toBe(`/_runegate/login?next=${next}&again=1`);
});

test("what happened is there, newest first, and found by person, event, outcome, client and day", async () => {
  stage = await startAdminStage();
  await stage.gateway.signIn(ADA);
  stage.clock.advance(2 * DAY);
  const root = await stage.gateway.signIn(ROOT);
  const all = eventsIn(await searched(root, {}));
  expect(all).toContain("redeemed");
  expect(all.at(0)).toBe("admin_opened");
  const ofAda = await searched(root, { email: ` ${ADA.toUpperCase()}` });
  expect(eventsIn(ofAda).length).toBeGreaterThan(1);
  expect(ofAda.match(/data-label="Whom"><div><a[^>]*><bdi>([^<]*)/)?.[1]).toBe(ADA);
  expect(eventsIn(await searched(root, { email: ADA, event: "redeemed" }))).toEqual(["redeemed"]);
  expect(eventsIn(await searched(root, { outcome: "refused" }))).toEqual([]);
  expect(eventsIn(await searched(root, { client: "192.0.2.77" }))).toEqual([]);
  const today = new Date(stage.clock.now()).toISOString().slice(0, 10);
  expect(eventsIn(await searched(root, { email: ADA, since: today }))).toEqual([]);
  expect(eventsIn(await searched(root, { email: ROOT, since: today, until: today })).length).toBeGreaterThan(
    1,
  );
});

test.each([
  [{ email: "ada" }, "That is no mail address."],
  [{ client: "here" }, "That is no IP address."],
  [{ since: "yesterday" }, "That is no day."],
  [{ until: "2026-13-45" }, "That is no day."],
])("what cannot be searched for is said: %p", async (query, said) => {
  stage = await startAdminStage();
  const root = await stage.gateway.signIn(ROOT);
  const html = await searched(root, query);
  expect(html).toContain(said);
  expect(eventsIn(html)).toEqual([]);
});

test("one event in full, and one that is not there", async () => {
  stage = await startAdminStage();
  const root = await stage.gateway.signIn(ROOT);
  const list = await searched(root, { event: "redeemed" });
  const id = /<a href="\?id=([^"]+)"/.exec(list)?.[1] ?? "";
  const html = await searched(root, { id });
  for (const words of ["redeemed", ROOT, id, "The whole event", "&#34;chain&#34;"])
    expect(html).toContain(words);
  expect(await searched(root, { id: BAD })).toContain("There is no such event");
});

test("the refusals of the day are on the overview with their reasons", async () => {
  stage = await startAdminStage();
  const ada = await stage.gateway.signIn(ADA);
  await stage.get(ada);
  const root = await stage.gateway.signIn(ROOT);
  const html = await textOf(stage.get(root));
  expect(html).toContain("admin_refused");
  expect(html).toContain("no administrator");
});

describe("H4: what others have written is text, in every screen", () => {
  test("an address that is asked for, a path, a browser's name, a mail server's word", async () => {
    stage = await startAdminStage();
    const { auditTrail, sessions } = stage.gateway.gateway;
    const root = await stage.gateway.signIn(ROOT);
    auditTrail.keep({
      ...{ event: BAD, outcome: "refused", reason: BAD, actor: `x@${BAD}`, subject: `y@${BAD}`, client: BAD },
      ...{ agent: BAD, route: BAD, host: BAD, path: BAD, request: BAD, by: BAD },
    });
    await sessions.start({ email: ROOT as never, ip: BAD, userAgent: `${BAD} Firefox/1` });
    const [{ id = "" } = {}] = (await auditTrail.find({ event: BAD })).items;
    expect(id).not.toBe("");
    for (const path of ["", "/sessions", "/activity", `/activity?id=${id}`, "/mail", "/routes"]) {
      const html = await textOf(stage.get(root, ADMIN + path));
      expect([path, html.includes("<script>alert")]).toEqual([path, false]);
    }
    expect(await textOf(stage.get(root, `${ACTIVITY}?id=${id}`))).toContain("&#60;script&#62;");
  });

  test("search words that are no plain words: quotes, %, _, a pattern, a megabyte", async () => {
    stage = await startAdminStage();
    const root = await stage.gateway.signIn(ROOT);
    for (const event of [`' OR 1=1 --`, "%", "_", ".*", "(a+)+$", '"', BAD]) {
      expect(eventsIn(await searched(root, { event }))).toEqual([]);
      expect(eventsIn(await searched(root, { route: event }))).toEqual([]);
    }
    const long = await stage.get(root, `${ACTIVITY}?event=${"a".repeat(1 << 20)}`).catch(() => undefined);
    expect([undefined, 200, 400, 414, 431]).toContain(long?.status);
    expect((await stage.get(root, ACTIVITY)).status).toBe(200);
  });
});
