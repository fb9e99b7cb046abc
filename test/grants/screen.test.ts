import { afterEach, describe, expect, setDefaultTimeout, test } from "bun:test";
import { parseAddress } from "../../src/identity/address.ts";
import { DAY } from "../../src/option/values.ts";
import { createMemoryStore } from "../../src/store/memory.ts";
import { ADA, ADMIN, type AdminStage, ROOT, startAdminStage } from "../admin/stage.ts";
import { auditOf } from "../login/support.ts";
import { testClock } from "../support/clock.ts";
import type { TestGatewaySettings } from "../support/gateway.ts";
import { stoppable } from "../support/store.ts";

/** The screen of people: who is allowed by what, letting somebody in for a week, shutting out, requests for access. */

setDefaultTimeout(20_000);

const PEOPLE = `${ADMIN}/people`;
const BOB = "bob@partner.example";
const ROUTES = `[groups]
admins = ["${ROOT}"]
[[routes]]
name = "lab"
title = "The laboratory"
target = "http://127.0.0.1:9"
allow = ["${ADA}"]
api_keys = true
request_access = true
[[routes]]
name = "wiki"
path = "/wiki"
target = "http://127.0.0.1:9"
allow = ["@example.org"]`;

let stage: AdminStage;
afterEach(() => stage.gateway.stop());

async function start(env: Record<string, string> = {}, settings: TestGatewaySettings = {}): Promise<string> {
  stage = await startAdminStage(
    { RUNEGATE_DYNAMIC_USERS: "true", RUNEGATE_API_KEYS: "true", RUNEGATE_ALLOW_ANY_EMAIL: "false", ...env },
    { routes: ROUTES, ...settings },
  );
  return stage.gateway.signIn(ROOT);
}
const house = () => stage.gateway.gateway;
const html = async (cookie: string, query = "") => (await stage.get(cookie, PEOPLE + query)).text();
const act = async (cookie: string, fields: Record<string, string>) => {
  const answer = await stage.post(cookie, PEOPLE, fields);
  return [answer.status, answer.headers.get("location") ?? (await answer.text())];
};
/** What the row of somebody says, without its tags. */
async function row(cookie: string, who: string): Promise<string> {
  const rows = (await html(cookie, `?email=${encodeURIComponent(who)}`)).split('<tr role="row">');
  const [own = ""] = rows.filter((one) => one.includes(`<bdi>${who}</bdi></a></th>`));
  return own.replaceAll(/<[^>]*>/g, " ").replaceAll(/\s+/g, " ");
}

describe("the screen of people", () => {
  test("says by what somebody is allowed, when they signed in last, and how many sessions and keys there are", async () => {
    const root = await start();
    await stage.gateway.signIn(ADA);
    await house().apiKeys.create({ owner: ADA, description: "ci", routes: ["lab"] } as never, {
      name: ROOT,
      isAdmin: true,
    });
    await house().people.allow(
      { who: BOB, routes: ["lab"], until: stage.clock.now() + DAY, reason: "trial" },
      ROOT,
    );
    expect(await row(root, ADA)).toMatch(/configuration .*:\d\d.* 1 1 /);
    expect(await row(root, ROOT)).toMatch(/configuration admins /);
    expect(await row(root, BOB)).toMatch(
      /The laboratory , until .* by root@example.org: trial not signed in none none/,
    );
    // Whom a domain lets in, and nobody names.
    expect(await row(root, "grace@example.org")).toMatch(/configuration not signed in/);
    expect(await row(root, "mallory@evil.example")).toMatch(/nothing not signed in/);
  });

  test("lets somebody in for a week, with a mail, and ends it all", async () => {
    const root = await start();
    const fields = { do: "let-in", who: BOB, route: "lab", until: "7d", mail: "yes", reason: "review" };
    expect(await act(root, fields)).toEqual([303, `${PEOPLE}?done=invited`]);
    expect(await html(root, "?done=invited")).toContain("a mail with a link is on its way");
    const mails = await (await stage.get(root, `${ADMIN}/mail`)).text();
    expect(mails).toContain("invitation");
    expect(mails).toContain(`<a href="${ADMIN}/activity">Activity</a>`);
    await house().outbox.runDue();
    expect(stage.gateway.mailbox.mails().filter(({ to }) => to === BOB)).toHaveLength(1);
    const [grant] = await house().people.list();
    expect([grant?.until, grant?.grantedBy]).toEqual([stage.clock.now() + 7 * DAY, ROOT]);
    expect(auditOf(stage.gateway)).toContainEqual(
      expect.objectContaining({ event: "user_invited", email: BOB, by: ROOT, reason: "review" }),
    );
    expect(await act(root, { do: "remove", who: BOB })).toEqual([303, `${PEOPLE}?done=removed`]);
    expect(await house().people.list()).toEqual([]);
    expect(await act(root, { do: "remove", who: ADA })).toEqual([303, `${PEOPLE}?done=listed`]);
  });

  test("shuts somebody out and lets them back in; a week is counted from now", async () => {
    const root = await start();
    await act(root, { do: "deny", who: ADA });
    expect([house().policy.allows(parseAddress(ADA)), await row(root, ADA)]).toEqual([
      false,
      expect.stringContaining("shut out"),
    ]);
    expect(await act(root, { do: "lift", who: ADA })).toEqual([303, `${PEOPLE}?done=lifted`]);
    expect(house().policy.allows(parseAddress(ADA))).toBe(true);
    await act(root, { do: "let-in", who: BOB, route: "lab", until: "", mail: "no" });
    await act(root, { do: "week", who: BOB });
    expect((await house().people.list())[0]?.until).toBe(stage.clock.now() + 7 * DAY);
  });

  test("who was refused, and asks, is found by their address, as themselves", async () => {
    const root = await start();
    const grace = await stage.gateway.signIn("grace@example.org");
    expect((await stage.get(grace, "/")).status).toBe(403);
    await stage.post(grace, "/_runegate/access", { route: "lab", reason: "the report" });
    const page = await (await stage.get(root, `${ADMIN}/activity?email=grace@example.org`)).text();
    const rows = page
      .split('<tr role="row">')
      .map((one) => one.replaceAll(/<[^>]*>/g, " ").replaceAll(/\s+/g, " "))
      .filter((one) => one.includes(" access_"));
    expect(rows).toEqual([
      expect.stringMatching(/access_requested .* grace@example.org grace@example.org user lab/),
      expect.stringMatching(/access_refused .* grace@example.org grace@example.org user lab/),
    ]);
  });

  test("answers those who ask for access", async () => {
    const root = await start();
    const bob = await stage.gateway.signIn("grace@example.org");
    const reason = "<script>alert(1)</script>";
    await stage.post(bob, "/_runegate/access", { route: "lab", reason });
    const page = await html(root);
    expect(page).toContain("grace@example.org");
    expect(page).toContain("&#60;script&#62;alert(1)&#60;/script&#62;");
    expect(page).not.toContain(reason);
    const id = /name="id" value="([^"]+)"/.exec(page)?.[1] ?? "";
    expect(await act(root, { do: "approve", id, until: "8h" })).toEqual([303, `${PEOPLE}?done=granted`]);
    expect((await stage.get(bob, "/_runegate/access?route=lab")).status).toBe(200);
    expect(await act(root, { do: "refuse", id })).toEqual([
      400,
      expect.stringContaining("decided this already"),
    ]);
  });

  test.each([
    ["no address", { who: "nobody" }, "address"],
    ["a domain of everybody's", { who: "@gmail.com" }, "Anybody gets a mailbox at gmail.com"],
    ["an application that is not there", { who: BOB, route: "none" }, "There is no application none."],
    ["an end that is none", { who: BOB, until: "never" }, "until"],
  ])("says what is wrong with %s, and does nothing", async (_, fields, words) => {
    const root = await start();
    const answer = await act(root, { do: "let-in", route: "lab", until: "7d", mail: "no", ...fields });
    expect(answer).toEqual([400, expect.stringContaining(words)]);
    expect(await house().people.list()).toEqual([]);
  });

  test("D12: while the store is away it is a 503, and nothing is half done", async () => {
    const clock = testClock();
    const stores = stoppable(createMemoryStore({ clock }), ({ of }) => of === "grant");
    const root = await start({}, { clock, stores: stores.store });
    await act(root, { do: "let-in", who: BOB, route: "lab", until: "", mail: "no" });
    stores.away = true;
    expect((await act(root, { do: "remove", who: BOB }))[0]).toBe(503);
    expect((await act(root, { do: "let-in", who: BOB, route: "wiki", until: "", mail: "no" }))[0]).toBe(503);
    stores.away = false;
    expect((await house().people.list()).map(({ routes }) => routes)).toEqual([["lab"]]);
  });

  test("goes through all in pages", async () => {
    const root = await start();
    for (let at = 0; at < 120; at++)
      await house().people.allow(
        { who: `p${String(at).padStart(3, "0")}@partner.example`, routes: ["lab"] },
        ROOT,
      );
    const seen = new Set<string>();
    let query: string | undefined = "";
    const sizes = [];
    while (query !== undefined && sizes.length < 9) {
      const page: string = await html(root, query);
      const shown = Array.from(
        page.matchAll(/<th role="rowheader"[^>]*><a[^>]*><bdi>([^<]*)/g),
        ([, who = ""]) => who,
      );
      for (const who of shown) seen.add(who);
      sizes.push(shown.length);
      query = /<a href="([^"]*)" rel="next">/.exec(page)?.[1]?.replaceAll("&#38;", "&");
    }
    expect([sizes, seen.size]).toEqual([[50, 50, 22], 122]);
  });

  test("without RUNEGATE_DYNAMIC_USERS it shows who is named, and says why nobody is let in here", async () => {
    const root = await start({ RUNEGATE_DYNAMIC_USERS: "false" });
    const page = await html(root);
    expect([
      page.includes(ADA),
      page.includes("RUNEGATE_DYNAMIC_USERS=true"),
      page.includes("Let in"),
    ]).toEqual([true, true, false]);
    expect(await act(root, { do: "let-in", who: BOB, route: "lab" })).toEqual([
      400,
      expect.stringContaining("only in configuration"),
    ]);
  });
});
