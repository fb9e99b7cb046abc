import { afterEach, describe, expect, test } from "bun:test";
import { parseAddress } from "../../src/identity/address.ts";
import { sessionScreen } from "../../src/session/screen.ts";
import { StoreUnavailable } from "../../src/store/records.ts";
import { auditOf } from "../login/support.ts";
import { ADA, ADMIN, type AdminStage, ROOT, startAdminStage } from "./stage.ts";

/** The screen of sessions: who is signed in, finding somebody, ending one or all. */

let stage: AdminStage;
afterEach(() => stage.gateway.stop());

const SESSIONS = `${ADMIN}/sessions`;
const MINUTE = 60_000;

const list = () => stage.gateway.gateway.sessions.list();
const revoked = () => auditOf(stage.gateway).filter(({ event }) => event === "session_revoked");
const rowsIn = (html: string) => html.match(/<th role="rowheader"/g)?.length ?? 0;

/** As many sessions, without a mail for each; ten in each moment. */
async function signInMany(count: number, email = (i: number) => `p${i}@example.org`): Promise<void> {
  const { sessions } = stage.gateway.gateway;
  for (let i = 0; i < count; i++) {
    await sessions.start({
      ...{ email: parseAddress(email(i)), ip: "192.0.2.1" },
      userAgent: "Mozilla/5.0 (X11; Linux x86_64; rv:130.0) Gecko/20100101 Firefox/130.0",
    });
    if (i % 10 === 9) stage.clock.advance(1);
  }
}

test("shows who is signed in, since when, from where and how", async () => {
  stage = await startAdminStage();
  await stage.gateway.signIn(ADA);
  const root = await stage.gateway.signIn(ROOT);
  const html = await (await stage.get(root, SESSIONS)).text();
  expect(rowsIn(html)).toBe(2);
  expect(html).toContain("2 in all");
  for (const words of [`<bdi>${ADA}</bdi>`, "this is you", "<bdi>127.0.0.1</bdi>", "link in a mail"])
    expect(html).toContain(words);
});

test("goes through all in pages, each session once, however many began in one moment", async () => {
  stage = await startAdminStage();
  const root = await stage.gateway.signIn(ROOT);
  await signInMany(120);
  const seen: string[] = [];
  let path: string | undefined = SESSIONS;
  const sizes: number[] = [];
  while (path !== undefined && sizes.length < 9) {
    const html: string = await (await stage.get(root, path)).text();
    const shown = Array.from(
      html.matchAll(/<th role="rowheader"[^>]*><a[^>]*><bdi>([^<]*)/g),
      ([, who = ""]) => who,
    );
    seen.push(...shown);
    sizes.push(shown.length);
    const next: string | undefined = /<a href="([^"]*)" rel="next">/.exec(html)?.[1];
    path = next === undefined ? undefined : SESSIONS + next.replaceAll("&#38;", "&");
  }
  expect(sizes).toEqual([50, 50, 21]);
  expect(new Set(seen).size).toBe(121);
  // Those that last longest are those that began last.
  expect(seen.slice(0, 10).sort()).toEqual(Array.from({ length: 10 }, (_, i) => `p11${i}@example.org`));
  expect(seen.slice(-11)).toContain(ROOT);
});

test("finds somebody by their address, and says of what is none that it is none", async () => {
  stage = await startAdminStage();
  await stage.gateway.signIn(ADA);
  const root = await stage.gateway.signIn(ROOT);
  const found = await (await stage.get(root, `${SESSIONS}?email=%20Ada@Example.org`)).text();
  expect(rowsIn(found)).toBe(1);
  const none = await (await stage.get(root, `${SESSIONS}?email=nobody`)).text();
  expect(none).toContain("That is no address.");
  for (const cursor of ["x", "9_", "1e9_a", "1_<b>", "9".repeat(40)])
    expect((await stage.get(root, `${SESSIONS}?cursor=${encodeURIComponent(cursor)}`)).status).toBe(200);
});

test("ends one session, and comes back to what was searched for", async () => {
  stage = await startAdminStage();
  await stage.gateway.signIn(ADA);
  await stage.gateway.signIn(ADA);
  const root = await stage.gateway.signIn(ROOT);
  const path = `${SESSIONS}?email=${encodeURIComponent(ADA)}`;
  const html = await (await stage.get(root, path)).text();
  const session = /name="session" value="([^"]+)"/.exec(html)?.[1] ?? "";
  const done = await stage.post(root, path, { do: "end", email: ADA, session });
  expect([done.status, done.headers.get("location")]).toEqual([303, `${path}&done=ended`]);
  expect((await list()).map(({ email }) => email).sort()).toEqual([ADA, ROOT]);
  expect(revoked()).toMatchObject([{ email: ADA, by: ROOT }]);
  expect(await (await stage.get(root, `${path}&done=ended`)).text()).toContain("That browser is signed out.");
  const again = await stage.post(root, path, { do: "end", email: ADA, session });
  expect([again.status, await again.text()]).toEqual([
    400,
    expect.stringContaining("no such session any more"),
  ]);
});

test("ends all of a person, in two steps, and nobody else's", async () => {
  stage = await startAdminStage();
  const ada = await stage.gateway.signIn(ADA);
  await stage.gateway.signIn(ADA);
  const root = await stage.gateway.signIn(ROOT);
  const html = await (await stage.get(root, SESSIONS)).text();
  expect(html).toContain(`Sign out ${ADA} in every browser?`);
  expect((await stage.post(root, SESSIONS, { do: "end-all", email: ADA })).status).toBe(303);
  expect((await list()).map(({ email }) => email)).toEqual([ROOT]);
  expect(revoked()).toHaveLength(2);
  expect((await stage.get(ada, "/_runegate/account")).status).toBe(302);
});

test("is recorded before it is done: without a record, nothing is", async () => {
  stage = await startAdminStage();
  await stage.gateway.signIn(ADA);
  const { sessions } = stage.gateway.gateway;
  const [record] = await sessions.list();
  const screen = sessionScreen({
    sessions,
    audit() {},
    async auditFirst() {
      throw new StoreUnavailable("The disk is full.");
    },
  });
  const visit = { admin: ROOT } as Parameters<NonNullable<typeof screen.acts>[string]>[0];
  const fields = { email: ADA, session: record?.id.slice(0, 12) ?? "" };
  for (const act of ["end", "end-all"])
    expect(async () => screen.acts?.[act]?.(visit, fields)).toThrow(StoreUnavailable);
  expect(await sessions.list()).toHaveLength(1);
});

test("the number of those who are signed in, and what has rested for too long, is not a page of nothing", async () => {
  stage = await startAdminStage({ RUNEGATE_SESSION_IDLE: "1h" });
  await signInMany(60);
  stage.clock.advance(59 * MINUTE);
  const root = await stage.gateway.signIn(ROOT);
  await signInMany(3, (i) => `late${i}@example.org`);
  stage.clock.advance(2 * MINUTE);
  const html = await (await stage.get(root, SESSIONS)).text();
  expect(rowsIn(html)).toBe(4);
  expect(html).not.toContain("Next page");
});

describe("H4: what others have written is text", () => {
  test("a name of a browser, an address that is searched for, what is said to be done", async () => {
    stage = await startAdminStage();
    const root = await stage.gateway.signIn(ROOT);
    const bad = `"><script>alert(1)</script>`;
    for (const path of [
      `?email=${encodeURIComponent(bad)}`,
      `?cursor=${encodeURIComponent(bad)}`,
      `?done=${encodeURIComponent(bad)}`,
    ]) {
      const html = await (await stage.get(root, SESSIONS + path)).text();
      expect(html).not.toContain("<script>alert");
    }
    expect(await (await stage.get(root, `${SESSIONS}?done=constructor`)).text()).not.toContain("function");
  });
});
