import { mkdtempSync } from "node:fs";
import { AUDIT } from "../../src/audit/record.ts";
import { createUlids } from "../../src/audit/ulid.ts";
import { SESSIONS } from "../../src/session/record.ts";
import { openStore } from "../../src/store/open.ts";
import { FOREVER } from "../../src/store/records.ts";
import { testClock, testRandom } from "../support/clock.ts";
import { SILENT } from "../support/silent.ts";
import { ADMIN, ROOT, startAdminStage } from "./stage.ts";

const kind = process.argv[2] ?? "sqlite";
const dir = mkdtempSync("/tmp/cadm/perf-");
const clock = testClock();
const location =
  kind === "sqlite"
    ? { kind: "sqlite", path: `${dir}/db` }
    : kind === "memory"
      ? { kind: "memory" }
      : { kind: "valkey", url: `redis://127.0.0.1:${process.argv[4]}/0`, shown: "" };
const stores = await openStore(location as never, { clock, log: SILENT });
const ulid = createUlids(testRandom());
const records = stores.records(SESSIONS);
const N = Number(process.argv[3] ?? 100000);
let t = performance.now();
for (let i = 0; i < N; i++) {
  const p = records.add(
    `id${Bun.hash(`${i}`).toString(36)}`,
    {
      email: `p${i % 20000}@example.org`,
      createdAt: clock.now() - i,
      seenAt: clock.now() - (i % 1000) * 1000,
      provenAt: clock.now(),
      method: "link",
      ip: "192.0.2.1",
      userAgent: "Mozilla/5.0 (X11; Linux x86_64; rv:130.0) Gecko/20100101 Firefox/130.0",
      seal: "x".repeat(40),
    },
    clock.now() + 14 * 86400000 - i,
    "light",
  );
  if (i % 100 === 0) await p;
}
const M = Number(process.argv[5] ?? 0);
const audit = stores.records(AUDIT);
for (let i = 0; i < M; i++) {
  const at = clock.now() - i * 86;
  const refused = i % 50 === 0;
  const entry = {
    v: 1,
    id: "",
    time: new Date(at).toISOString(),
    event: refused ? "access_refused" : "redeemed",
    outcome: refused ? "refused" : "ok",
    reason: refused ? "not_allowed" : null,
    actor: { kind: "user", email: `p${i % 20000}@example.org` },
    subject: { email: `p${i % 20000}@example.org` },
    route: "lab",
    host: null,
    client: { ip: "192.0.2.1", agent: "Firefox on Linux" },
    request: null,
    details: { by: "link" },
    chain: { writer: "x", seq: M - i, prev: "0".repeat(64), hash: "0".repeat(64) },
  };
  const id = ulid(at);
  const p = audit.add(
    id,
    { at, subject: `p${i % 20000}@example.org`, entry: { ...entry, id } } as never,
    FOREVER,
    "light",
  );
  if (i % 100 === 0) await p;
}
console.log("filled", Math.round(performance.now() - t));
const stage = await startAdminStage({}, { stores, clock });
const root = await stage.gateway.signIn(ROOT);
let cursor = "";
for (const path of [
  "",
  "/sessions",
  "/sessions?email=p77@example.org",
  "/routes",
  "/mail",
  "CURSOR",
  "/activity",
  "/activity?email=p77@example.org",
  "/activity?event=nothing",
  "/activity?outcome=refused",
]) {
  const url = path === "CURSOR" ? `${ADMIN}/sessions${cursor}` : ADMIN + path;
  const times: number[] = [];
  for (let i = 0; i < 21; i++) {
    t = performance.now();
    const html = await (await stage.get(root, url)).text();
    times.push(performance.now() - t);
    cursor ||= /<a href="([^"]*)" rel="next">/.exec(html)?.[1]?.replaceAll("&#38;", "&") ?? "";
  }
  const sorted = times.toSorted((a, b) => a - b);
  console.log(
    url,
    "median",
    sorted[10]?.toFixed(1),
    "ms, first",
    times[0]?.toFixed(1),
    "worst",
    sorted[20]?.toFixed(1),
  );
}
t = performance.now();
await stage.gateway.gateway.sessions.count();
console.log("count", (performance.now() - t).toFixed(1));
await stage.gateway.stop();
await stores.close();
process.exit(0);
