import { afterEach, expect, test } from "bun:test";
import type { ListedEvent } from "../../src/audit/api.ts";
import { AUDIT, type AuditRecord } from "../../src/audit/record.ts";
import { createUlids } from "../../src/audit/ulid.ts";
import { createVerifier } from "../../src/audit/verify.ts";
import { createMemoryStore } from "../../src/store/memory.ts";
import { type Seen, StoreUnavailable } from "../../src/store/records.ts";
import { ADA, type AdminStage, ROOT, startAdminStage } from "../admin/stage.ts";
import { type Asker, asOperator, asUser, JSON_BODY } from "../api/support.ts";
import { testClock, testRandom } from "../support/clock.ts";
import { intercepted } from "../support/store.ts";
import { refused } from "./support.ts";

/** The audit by the management API, through the front door. */

let stage: AdminStage;
afterEach(() => stage.gateway.stop());

const AUDIT_PATH = "/admin/audit";
const MINUTE = 60_000;
const NDJSON = { Accept: "application/x-ndjson" };

type Page = { readonly items: ListedEvent[]; readonly next: string | null };

async function pageOf(ask: Asker, query: Record<string, string> = {}): Promise<Page> {
  const { status, body } = await ask("GET", `${AUDIT_PATH}?${new URLSearchParams(query)}`);
  expect(status).toBe(200);
  return body as Page;
}
const names = ({ items }: Page) => items.map(({ event }) => event);

test("it is for administrators who signed in lately, and for the operator", async () => {
  stage = await startAdminStage({ RUNEGATE_API_KEYS: "true" });
  const { gateway, clock } = stage;
  const [root, ada] = [await gateway.signIn(ROOT), await gateway.signIn(ADA)];
  const status = async (ask: Asker, headers = {}) => (await ask("GET", AUDIT_PATH, { headers })).status;
  expect(await status(asUser(gateway))).toBe(401);
  expect(await status(asUser(gateway, ada))).toBe(403);
  expect(await status(asUser(gateway, ada), NDJSON)).toBe(403);
  expect(await status(asUser(gateway, root))).toBe(200);
  expect(await status(asOperator(gateway))).toBe(200);
  for (const method of ["POST", "PUT", "PATCH", "DELETE"])
    expect((await asUser(gateway, root)(method, AUDIT_PATH)).status).toBe(405);
  clock.advance(16 * MINUTE);
  const late = await asUser(gateway, root)("GET", AUDIT_PATH);
  expect([late.status, (late.body as { error: string }).error]).toEqual([401, "sign_in_again"]);
  expect(await status(asUser(gateway, root), NDJSON)).toBe(401);
  const kept = names(await pageOf(asOperator(gateway)));
  expect(kept.filter((event) => event === "audit_exported")).toEqual([]);
});

test("events are searched, in pages, and one is had by its id", async () => {
  stage = await startAdminStage();
  const { gateway } = stage;
  const root = asUser(gateway, await gateway.signIn(ROOT));
  await gateway.signIn(ADA);
  const all = await pageOf(root);
  expect(all.next).toBeNull();
  const some: ListedEvent[] = [];
  let next: string | null = null;
  do {
    const page: Page = await pageOf(root, { limit: "2", ...(next === null ? {} : { cursor: next }) });
    expect(page.items.length).toBeLessThanOrEqual(2);
    some.push(...page.items);
    ({ next } = page);
  } while (next !== null);
  // Something may have come meanwhile.
  const before = new Set(all.items.map(({ id }) => id));
  expect(some.filter(({ id }) => before.has(id))).toEqual(all.items);
  const [redeemed] = (await pageOf(root, { email: ` ${ADA.toUpperCase()} `, event: "redeemed" })).items;
  expect(redeemed?.subject).toEqual({ email: ADA });
  const one = await root("GET", `${AUDIT_PATH}/${redeemed?.id}`);
  expect([one.status, one.body]).toEqual([200, redeemed]);
  expect((await root("GET", `${AUDIT_PATH}/01JD0000000000000000000000`)).status).toBe(404);
  expect(names(await pageOf(root, { since: "2027-01-01T00:00:00Z" }))).toEqual([]);
  expect(names(await pageOf(root, { until: "2025-01-01T00:00:00+01:00" }))).toEqual([]);
});

test("H5 what is searched for is bounded, and means nothing but itself", async () => {
  stage = await startAdminStage();
  const { gateway } = stage;
  const root = asUser(gateway, await gateway.signIn(ROOT));
  for (const word of ["'", '"', "%", "_", ".*", "a' OR '1'='1", "\\", "\n", "\0", "é".repeat(100)]) {
    for (const name of ["event", "outcome", "route", "client"]) {
      expect({ word, name, found: names(await pageOf(root, { [name]: word })) }).toEqual({
        word,
        name,
        found: [],
      });
    }
  }
  const wrong: Record<string, string>[] = [
    ...[{ event: "x".repeat(201) }, { email: "x".repeat(2000) }, { email: "ada" }, { email: "a'b" }],
    ...[{ since: "yesterday" }, { until: "1" }, { limit: "-1" }, { limit: "1e9" }, { limit: "a" }],
    ...[{ cursor: "'" }, { cursor: "x".repeat(700) }, { other: "1" }],
  ];
  for (const query of wrong) {
    const { status } = await root("GET", `${AUDIT_PATH}?${new URLSearchParams(query)}`);
    expect({ query, status }).toEqual({ query, status: 400 });
  }
  // A megabyte does not get as far as here.
  const huge = await root("GET", `${AUDIT_PATH}?event=${"x".repeat(1 << 20)}`).then(
    ({ status }) => status,
    () => 431,
  );
  expect([400, 414, 431]).toContain(huge);
  // Not a cursor of ours: from the beginning.
  expect((await pageOf(root, { cursor: "abc" })).items.length).toBeGreaterThan(0);
});

test("an export is all that fits as lines, oldest first, is verified, and is an event itself", async () => {
  stage = await startAdminStage();
  const { gateway, clock } = stage;
  const root = asUser(gateway, await gateway.signIn(ROOT));
  for (let i = 0; i < 450; i++) gateway.gateway.auditTrail.keep(refused({ path: `/${i}` }));
  clock.advance(1000);
  const { status, headers, text } = await root("GET", AUDIT_PATH, { headers: NDJSON });
  expect(status).toBe(200);
  expect(headers.get("content-type")).toBe("application/x-ndjson");
  expect(headers.get("cache-control")).toBe("no-store");
  const lines = text.trimEnd().split("\n");
  expect(lines.length).toBeGreaterThan(450);
  const verifier = createVerifier();
  for (const line of lines) verifier.take(JSON.parse(line));
  expect(verifier.end().wrong).toBeUndefined();
  const last = JSON.parse(lines.at(-1) ?? "");
  expect(last).toMatchObject({ event: "audit_exported", actor: { kind: "admin", email: ROOT } });
  const ofAda = await root("GET", `${AUDIT_PATH}?email=${ADA}`, { headers: NDJSON });
  expect(ofAda.text).toBe("");
});

test("H6 an export is read no faster than it is taken, and ends when nobody takes it", async () => {
  const clock = testClock();
  const idAt = createUlids(testRandom());
  let finds = 0;
  let sample: Seen<AuditRecord> | undefined;
  // More events than anybody could hold: each part is followed by another.
  const stores = intercepted(createMemoryStore({ clock }), ({ of, verb, args, go }) => {
    if (sample === undefined || of !== "audit" || verb !== "find") return go();
    finds++;
    const [{ from = 0, most }] = args as [{ from?: number; most: number }];
    return Array.from({ length: most }, (_, i) => {
      const id = idAt(from + 1 + i);
      return { ...sample, id, record: { ...sample?.record, entry: { ...sample?.record.entry, id } } };
    });
  });
  stage = await startAdminStage({}, { clock, stores });
  const { gateway } = stage;
  const root = await gateway.signIn(ROOT);
  await gateway.gateway.auditTrail.flush();
  [sample] = await stores.records(AUDIT).find({ most: 1 });
  const leaving = new AbortController();
  const answer = await fetch(`${gateway.url}/_runegate/api${AUDIT_PATH}`, {
    headers: { Cookie: root, ...NDJSON },
    signal: leaving.signal,
  });
  await answer.body?.getReader().read();
  const settled = async () => {
    for (let before = -1; before !== finds; await Bun.sleep(50)) before = finds;
    return finds;
  };
  // 100 kB each: what sockets hold, and no more.
  const taken = await settled();
  expect(taken).toBeGreaterThan(0);
  expect(taken).toBeLessThan(500);
  leaving.abort();
  expect((await settled()) - taken).toBeLessThan(20);
});

test("H9 what cannot be recorded first is not done; signing in goes on", async () => {
  const clock = testClock();
  let full = false;
  const stores = intercepted(createMemoryStore({ clock }), ({ of, verb, go }) => {
    if (full && of === "audit" && verb === "add") throw new StoreUnavailable("the disk is full");
    return go();
  });
  const routes = `[groups]
admins = ["${ROOT}"]

[[routes]]
name = "lab"
target = "http://127.0.0.1:9"
api_keys = true
`;
  stage = await startAdminStage({ RUNEGATE_API_KEYS: "true" }, { clock, stores, routes });
  const { gateway } = stage;
  const ada = await gateway.signIn(ADA);
  const root = await gateway.signIn(ROOT);
  full = true;
  const create = (cookie: string) =>
    asUser(gateway, cookie)("POST", "/me/tokens", {
      headers: { ...JSON_BODY, Origin: gateway.url },
      body: JSON.stringify({ description: "backup" }),
    });
  const refusedKey = await create(root);
  expect([refusedKey.status, (refusedKey.body as { error: string }).error]).toEqual([
    503,
    "store_unavailable",
  ]);
  const end = () =>
    asUser(gateway, root)("DELETE", `/sessions?email=${ADA}`, { headers: { Origin: gateway.url } });
  expect((await end()).status).toBe(503);
  expect((await asUser(gateway, root)("GET", AUDIT_PATH, { headers: NDJSON })).status).toBe(503);
  expect((await asUser(gateway, ada)("GET", "/session")).status).toBe(200);
  await gateway.signIn("bob@example.org");
  full = false;
  expect((await create(root)).status).toBe(201);
  const tokens = (await asUser(gateway, root)("GET", "/me/tokens")).body as unknown[];
  expect(tokens).toHaveLength(1);
  const kept = await pageOf(asOperator(gateway), { email: "bob@example.org" });
  expect(names(kept)).toContain("redeemed");
});
