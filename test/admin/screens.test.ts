import { afterEach, describe, expect, test } from "bun:test";
import { chartOf } from "../../src/admin/chart.ts";
import type { House } from "../../src/house.ts";
import { mailScreen } from "../../src/mail/screen.ts";
import { toText } from "../../src/pages/template.ts";
import { VERSION } from "../../src/version.ts";
import { auditOf } from "../login/support.ts";
import { ADA, ADMIN, type AdminStage, ROOT, startAdminStage } from "./stage.ts";

/** The screens of keys and applications: what they show, and what their forms do. */

let stage: AdminStage;
afterEach(() => stage.gateway.stop());

const DAY = 86_400_000;
const KEYS = `${ADMIN}/keys`;
const ROUTES = `${ADMIN}/routes`;
const BAD = "<script>alert(1)</script>";

const eventsOf = (event: string) => auditOf(stage.gateway).filter((one) => one.event === event);
const textOf = async (answer: Promise<Response>) => (await answer).text();
const rowsIn = (html: string) =>
  Array.from(html.matchAll(/<th role="rowheader" scope="row">(.*?)<\/th>/g), ([, cell = ""]) =>
    cell.replace(/<[^>]*>/g, " ").trim(),
  );

const TOML = `[groups]
admins = ["${ROOT}"]
staff = ["${ADA}"]
[[routes]]
name = "lab"
title = "The lab"
target = "http://127.0.0.1:9"
api_keys = true
allow = ["group:staff"]
`;

describe("keys", () => {
  async function stageWithKeys() {
    stage = await startAdminStage(
      { RUNEGATE_API_KEYS: "true", RUNEGATE_SESSION_TTL: "365d" },
      { routes: TOML },
    );
    const { apiKeys } = stage.gateway.gateway;
    const make = async (description: string, expiresIn: number | "never") => {
      const made = await apiKeys.create(
        { owner: ADA, description, expiresIn },
        { name: ROOT, isAdmin: true },
      );
      if (!("key" in made)) throw new Error(JSON.stringify(made));
      return made.key.id;
    };
    const old = await make("old", 300 * DAY);
    stage.clock.advance(100 * DAY);
    const late = await make("late", 200 * DAY);
    const soon = await make(`soon ${BAD}`, 2 * DAY);
    return { old, late, soon, root: await stage.gateway.signIn(ROOT) };
  }

  test("unused ones come first, then those that end soon; what they are called is text", async () => {
    const { root, old, late, soon } = await stageWithKeys();
    const html = await textOf(stage.get(root, KEYS));
    expect(rowsIn(html).map((row) => row.split(/\s+/).at(-1))).toEqual([old, soon, late]);
    expect(html).not.toContain(BAD);
    expect(await textOf(stage.get(root, `${KEYS}?owner=nobody%40example.org`))).toContain("There are none.");
    expect(rowsIn(await textOf(stage.get(root, `${KEYS}?owner=${ADA}&cursor=1`)))).toHaveLength(2);
  });

  test("one is disabled, enabled and ended, and each is in the audit by who did it", async () => {
    const { root, late } = await stageWithKeys();
    const statusOf = async () => {
      const key = await stage.gateway.gateway.apiKeys.find(late);
      return key && stage.gateway.gateway.apiKeys.statusOf(key);
    };
    expect((await stage.post(root, KEYS, { do: "disable", id: late })).headers.get("location")).toBe(
      `${KEYS}?done=disabled`,
    );
    expect(await statusOf()).toBe("disabled");
    await stage.post(root, KEYS, { do: "enable", id: late });
    expect(await statusOf()).toBe("active");
    await stage.post(root, KEYS, { do: "end", id: late });
    expect(await statusOf()).toBeUndefined();
    expect(eventsOf("key_disabled")).toMatchObject([{ key: late, by: ROOT }]);
    expect(eventsOf("key_revoked")).toMatchObject([{ key: late, by: ROOT }]);
    expect((await stage.post(root, KEYS, { do: "end", id: late })).status).toBe(400);
    expect((await stage.post(root, KEYS, { do: "disable", id: BAD })).status).toBe(400);
  });
});

describe("applications", () => {
  test("each with its address, target, who may use it, and whether it is closed", async () => {
    stage = await startAdminStage({}, { routes: TOML });
    const root = await stage.gateway.signIn(ROOT);
    const html = await textOf(stage.get(root, ROUTES));
    for (const words of ["The lab", "http://127.0.0.1:9", "group:staff", ">open<"])
      expect(html).toContain(words);
  });

  test("one is closed for maintenance and opened again, recorded before it is done", async () => {
    stage = await startAdminStage({}, { routes: TOML });
    const root = await stage.gateway.signIn(ROOT);
    const { closures, routes } = stage.gateway.gateway;
    const [lab] = routes.all;
    if (lab === undefined) throw new Error("no route");
    const closed = await stage.post(root, ROUTES, { do: "close", name: "lab" });
    expect([closed.status, closed.headers.get("location")]).toEqual([303, `${ROUTES}?done=closed`]);
    expect(closures.textOf(lab)).toBeString();
    expect(await textOf(stage.get(root, ROUTES))).toContain("closed</span>");
    expect((await stage.post(root, ROUTES, { do: "close", name: "lab" })).status).toBe(400);
    await stage.post(root, ROUTES, { do: "open", name: "lab" });
    expect(closures.textOf(lab)).toBeUndefined();
    expect(eventsOf("route_closed")).toMatchObject([{ route: "lab", by: ROOT }]);
    expect(eventsOf("route_opened")).toMatchObject([{ route: "lab", by: ROOT }]);
    for (const name of ["", BAD, "constructor"])
      expect((await stage.post(root, ROUTES, { do: "close", name })).status).toBe(400);
  });

  test("one whose targets do not answer is down, here and on the overview", async () => {
    const targets = `targets = ["http://127.0.0.1:9", "http://127.0.0.1:19"]\nbalance = "first"`;
    stage = await startAdminStage({}, { routes: TOML.replace('target = "http://127.0.0.1:9"', targets) });
    const [root, ada] = [await stage.gateway.signIn(ROOT), await stage.gateway.signIn(ADA)];
    const shown = async () =>
      /data-label="Health"><div>(.*?)<\/div>/.exec(await textOf(stage.get(root, ROUTES)))?.[1];
    expect(await shown()).toBe("not checked");
    expect((await stage.get(ada, "/")).status).toBe(502);
    expect(await shown()).toBe('<span class="state warning">1 of 2 up</span>');
    expect((await stage.get(ada, "/")).status).toBe(502);
    expect(await shown()).toBe('<span class="state bad">down</span>');
    expect(await textOf(stage.get(root))).toMatch(
      /<dt>Applications down<\/dt><dd><a[^>]*><span class="state bad">1</,
    );
    stage.clock.advance(3_000);
    expect(await shown()).toBe("not checked");
  });

  test("a URL is tried as somebody: which application it is, whether it opens, and why", async () => {
    stage = await startAdminStage({}, { routes: TOML });
    const root = await stage.gateway.signIn(ROOT);
    const tried = async (url: string, as = "") => {
      const html = await textOf(stage.get(root, `${ROUTES}?${new URLSearchParams({ url, as })}`));
      expect(html).not.toContain("<script>alert");
      return /role="status">([^<]*)</.exec(html)?.[1];
    };
    const here = `${stage.gateway.gateway.routes.home.origin}/data`;
    expect(await tried(here)).toStartWith("lab: has to sign in.");
    expect(await tried(here, ADA)).toBe("lab: allowed. group:staff is in allow.");
    expect(await tried(here, "eve@example.org")).toStartWith("lab: refused.");
    expect(await tried("nowhere")).toStartWith("That is no URL");
    expect(await tried(here, "eve")).toBe("That is no address.");
    expect(await tried(`javascript:${BAD}`, BAD)).toStartWith("That is no URL");
  });
});

describe("overview", () => {
  test("what there is at one look, and four charts that say in words what they show", async () => {
    stage = await startAdminStage();
    await stage.gateway.signIn(ADA);
    const root = await stage.gateway.signIn(ROOT);
    const html = await textOf(stage.get(root));
    const facts = Object.fromEntries(
      Array.from(html.matchAll(/<dt>(.*?)<\/dt><dd>(.*?)<\/dd>/g), ([, name = "", value = ""]) => [
        name,
        value.replace(/<[^>]*>/g, ""),
      ]),
    );
    expect(facts).toMatchObject({
      Sessions: "2",
      "Mail that waits": "0",
      Applications: "1",
      Store: "memory, ready",
    });
    const charts = Array.from(html.matchAll(/role="img" aria-label="([^"]*)"/g), ([, words = ""]) => words);
    expect(charts.map((words) => words.split(":")[0])).toEqual([
      "Requests",
      "Logins",
      "Refusals",
      "95 of 100 answered within",
    ]);
  });

  test("GET /api/admin/status says the same to administrators, and to nobody else", async () => {
    stage = await startAdminStage();
    const root = await stage.gateway.signIn(ROOT);
    const answer = await stage.get(root, "/_runegate/api/admin/status");
    expect([answer.status, await answer.json()]).toEqual([
      200,
      {
        version: VERSION,
        store: { kind: "memory", problem: null },
        sessions: 1,
        mail: { waiting: 0, failed: 0 },
        applications: [{ name: "lab", closed: null, targets: 1, up: 1 }],
        last_day: expect.objectContaining({ logins: 1, refusals: 0 }),
      },
    ]);
    expect((await stage.get(await stage.gateway.signIn(ADA), "/_runegate/api/admin/status")).status).toBe(
      403,
    );
  });
});

describe("a chart", () => {
  test("has a bar for each point that has something, the highest as high as it is", () => {
    const points = [0, 5, 10, undefined].map((value, at) => [at * 900_000, value] as const);
    const html = toText(chartOf({ label: "Logins", figure: "15", points }));
    expect(html).toContain('viewBox="0 0 4 40"');
    expect(html).toContain('d="M1 40v-20h0.8v20zM2 40v-40h0.8v40z"');
    expect(html).toContain(
      "Logins: 15 in the last 24 hours; in a quarter of an hour most 10, at 12:30 AM UTC",
    );
  });

  test("of nothing is empty and says so", () => {
    const html = toText(chartOf({ label: "Logins", figure: "0", points: [[0, 0]] }));
    expect(html).toContain('d=""');
    expect(html).toContain("in a quarter of an hour none");
  });
});

test("H4: what a mail server said, and to whom, is text on the screen of mail", async () => {
  stage = await startAdminStage();
  const entry = { id: "0a1b", to: `x@${BAD}`, queuedAt: 1, attempts: 2, lastError: BAD, nextAttemptAt: 2 };
  const outbox = { waiting: async () => [entry] } as unknown as House["outbox"];
  const screen = mailScreen({ outbox, auditFirst: async () => {} });
  const html = toText(await screen.show({ now: 5 } as Parameters<typeof screen.show>[0]));
  expect(html).toContain("&#60;script&#62;");
  expect(html).not.toContain(BAD);
});
