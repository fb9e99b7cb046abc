import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { defineAudit } from "../../src/observe/audit.ts";
import { DAY, HOUR, MINUTE, SECOND } from "../../src/option/values.ts";
import { createMemoryStore } from "../../src/store/memory.ts";
import type { Store } from "../../src/store/store.ts";
import { askFor, auditOf, openLink } from "../login/support.ts";
import { until } from "../process/stage.ts";
import { type TestClock, testClock } from "../support/clock.ts";
import { startGateway, type TestGateway } from "../support/gateway.ts";
import { stoppable } from "../support/store.ts";
import { EVERY_EVENT, type Receiver, SECRETS, SIGN_IN, startReceiver } from "./support.ts";

/** Hooks that are told what happened: at least once, in their own time, whatever they answer. */

const ADA = "ada@example.org";
const CAUSED = { email: ADA, client: { ip: "192.0.2.7", host: "app.test" } };
const WAITS = [5 * SECOND, 5 * MINUTE, 30 * MINUTE, 2 * HOUR, 5 * HOUR];

let hook: Receiver;
let clock: TestClock;
let stores: Store;
let gateway: TestGateway;
const opened: TestGateway[] = [];

beforeEach(() => {
  hook = startReceiver();
  clock = testClock(Date.now());
  stores = createMemoryStore({ clock });
});
afterEach(async () => {
  await Promise.all(opened.splice(0).map((one) => one.stop()));
  hook.stop();
});

async function start(routes = hook.block("crm", SIGN_IN), env = {}): Promise<TestGateway> {
  gateway = await startGateway({
    ...{ target: "http://127.0.0.1:1", clock, stores, routes },
    env: { RUNEGATE_LOG_FORMAT: "json", RUNEGATE_JWT_SECRET: "1d".repeat(64), ...env },
  });
  opened.push(gateway);
  return gateway;
}

const { tell, runDue } = {
  tell: () => gateway.gateway.hooks.tell("sign_in", CAUSED),
  runDue: () => gateway.gateway.hooks.runDue(),
};
const failed = () =>
  auditOf(gateway)
    .filter(({ event }) => event === "hook_failed")
    .map(({ hook: name, of, tries, reason }) => [name, of, tries, reason]);
const state = async () => (await gateway.gateway.hooks.list())[0];
const answer = (status: number, headers: Record<string, string> = {}) => {
  hook.answer = () => new Response(null, { status, headers });
};

describe("what is told", () => {
  test("each event, with who, from where and what, and nothing that opens anything", async () => {
    await start(hook.block("crm", EVERY_EVENT), { RUNEGATE_API_KEYS: "true" });
    const { token, code, cookie } = await askFor(gateway, ADA, { next: "/lab?tide=high" });
    const session = (await openLink(gateway, token, { Cookie: cookie })).headers.getSetCookie()[0] ?? "";
    const second = await gateway.signIn();
    const headers = { Cookie: second, Origin: gateway.url, "Content-Type": "application/json" };
    const made = await fetch(`${gateway.url}/_runegate/api/me/tokens`, {
      ...{ method: "POST", headers, body: '{"description":"ci"}' },
    });
    const key = (await made.json()) as { id: string; token: string };
    await fetch(`${gateway.url}/_runegate/logout`, { method: "POST", headers: { Cookie: second } });
    await runDue();

    const login = expect.stringMatching(/^[\w-]{12}$/) as string;
    const request = expect.stringMatching(/./) as string;
    const visit = { email: ADA, client_ip: "127.0.0.1", host: new URL(gateway.url).host, request };
    const by = { ...visit, method: "link", login };
    const of = (type: string) => hook.calls.filter((call) => call.type === type).map(({ data }) => data);
    expect(of("login_requested")).toEqual([
      { ...visit, route: "default" },
      { ...visit, route: "default" },
    ]);
    expect(of("sign_in")).toEqual([
      { ...by, route: "default" },
      { ...by, route: "default" },
    ]);
    expect(of("new_device")).toEqual([by]);
    expect(of("sign_out")).toEqual([by]);
    expect(of("key_created")).toEqual([{ email: ADA, key: key.id }]);
    for (const { body, headers: sent, id, isSigned, timestamp } of hook.calls) {
      for (const secret of [token, code.replace(" ", ""), code, key.token, session.split(/[=;]/)[1] ?? "?"])
        expect(body).not.toContain(secret);
      expect(body.length).toBeLessThan(20_000);
      expect([isSigned, sent.get("content-type")]).toEqual([[true], "application/json"]);
      expect(id).toMatch(/^msg_[\w-]{24}$/);
      expect(timestamp).toBe(new Date(clock.now()).toISOString());
    }
    expect(new Set(hook.calls.map(({ id }) => id)).size).toBe(hook.calls.length);
  });

  test("only what it listens for", async () => {
    await start(hook.block("crm", `events = ["sign_out"]`));
    const cookie = await gateway.signIn();
    await fetch(`${gateway.url}/_runegate/logout`, { method: "POST", headers: { Cookie: cookie } });
    await runDue();
    expect(hook.calls.map(({ type }) => type)).toEqual(["sign_out"]);
  });

  test("of access that is asked for, what the audit says", async () => {
    await start(hook.block("crm", EVERY_EVENT));
    const line = { email: "subject", client: "client", route: "route" } as const;
    const kind = defineAudit({ event: "access_requested", outcome: "ok", line });
    gateway.gateway.audit(kind, { subject: ADA, client: "192.0.2.7", route: "lab" });
    gateway.gateway.audit({ ...kind, outcome: "refused" }, { subject: ADA, client: "", route: "lab" });
    await until("the hook is told", async () => {
      await runDue();
      return hook.calls.length > 0;
    });
    await runDue();
    expect(hook.calls.map(({ type, data }) => [type, data])).toEqual([
      ["access_requested", { email: ADA, client_ip: "192.0.2.7", route: "lab" }],
    ]);
  });

  test("I10 two secrets, two signatures, of which a receiver needs one", async () => {
    const both = startReceiver(SECRETS);
    try {
      await start(both.block("crm", SIGN_IN));
      await tell();
      await runDue();
      expect(both.calls.map(({ isSigned }) => isSigned)).toEqual([[true, true]]);
      expect(both.calls[0]?.headers.get("webhook-signature")?.split(" ")).toHaveLength(2);
    } finally {
      both.stop();
    }
  });

  test("I1 with another secret than the receiver's, no signature is right", async () => {
    const wrong = startReceiver([SECRETS[1]]);
    try {
      // The URL of the one, with the secret of the other.
      await start(hook.block("crm", SIGN_IN).replace(hook.url, wrong.url));
      await tell();
      await runDue();
      expect(wrong.calls.map(({ isSigned }) => isSigned)).toEqual([[false]]);
    } finally {
      wrong.stop();
    }
  });
});

describe("what is not taken", () => {
  test("I6 is tried after 5 s, 5 min, 30 min, 2 h and 5 h with the same id, signed anew, and then given up", async () => {
    answer(500);
    await start();
    await tell();
    await runDue();
    expect(hook.calls).toHaveLength(1);
    for (const [n, wait] of WAITS.entries()) {
      clock.advance(wait - SECOND);
      await runDue();
      expect(hook.calls).toHaveLength(n + 1);
      clock.advance(0.1 * wait + SECOND);
      await runDue();
      expect(hook.calls).toHaveLength(n + 2);
    }
    expect(failed()).toEqual([["crm", "sign_in", "6", "500"]]);
    expect(await state()).toMatchObject({ waiting: 0, offSince: undefined });
    clock.advance(DAY);
    await runDue();
    expect(hook.calls).toHaveLength(6);
    expect(new Set(hook.calls.map(({ id, body }) => id + body)).size).toBe(1);
    expect(new Set(hook.calls.map(({ headers }) => headers.get("webhook-timestamp"))).size).toBe(6);
    expect(hook.calls.every(({ isSigned }) => isSigned[0])).toBe(true);
    expect(gateway.gateway.hooks.counts()).toEqual([
      { hook: "crm", outcome: "retried", count: 5 },
      { hook: "crm", outcome: "given_up", count: 1 },
    ]);
  });

  test.each([200, 201, 202, 204, 299])("%d is taken", async (status) => {
    answer(status);
    await start();
    await tell();
    await runDue();
    expect([hook.calls.length, (await state())?.waiting]).toEqual([1, 0]);
  });

  test.each([301, 302, 303, 307, 308])("I4 %d is a failure, and followed by nobody", async (status) => {
    const elsewhere = startReceiver();
    try {
      answer(status, { Location: elsewhere.url });
      await start();
      await tell();
      await runDue();
      expect([hook.calls.length, elsewhere.calls.length]).toEqual([1, 0]);
      expect((await state())?.waiting).toBe(1);
    } finally {
      elsewhere.stop();
    }
  });

  test.each<[string, number, string]>([
    ["429 and seconds", 429, "3600"],
    ["503 and seconds", 503, "3600"],
    ["503 and a date", 503, "date"],
  ])("%s: Retry-After is kept", async (_, status, text) => {
    const date = new Date(clock.now() + HOUR).toUTCString();
    answer(status, { "Retry-After": text === "date" ? date : text });
    await start();
    await tell();
    await runDue();
    clock.advance(HOUR - 2 * SECOND);
    await runDue();
    expect(hook.calls).toHaveLength(1);
    clock.advance(3 * SECOND);
    await runDue();
    expect(hook.calls).toHaveLength(2);
  });

  test.each<[string, number, string, number]>([
    ["of another status is ignored", 500, "3600", 6 * SECOND],
    ["that is nonsense is ignored", 503, "soon", 6 * SECOND],
    ["of the past is ignored", 503, "Thu, 01 Jan 1970 00:00:00 GMT", 6 * SECOND],
    ["of a year is a day", 503, String(365 * 24 * 3600), DAY + SECOND],
  ])("Retry-After %s", async (_, status, text, wait) => {
    answer(status, { "Retry-After": text });
    await start();
    await tell();
    await runDue();
    clock.advance(wait);
    await runDue();
    expect(hook.calls).toHaveLength(2);
  });

  test("410 turns it off, over a restart too, until it takes a test", async () => {
    answer(410);
    const first = await start();
    await tell();
    await runDue();
    expect(failed()).toEqual([["crm", "sign_in", "1", "410: turned off"]]);
    await first.stop();
    opened.splice(0);
    await start();
    answer(204);
    await tell();
    await runDue();
    expect(hook.calls).toHaveLength(1);
    expect(await state()).toMatchObject({ waiting: 0, offSince: clock.now() });
    answer(500);
    expect(await gateway.gateway.hooks.test("crm")).toMatchObject({ status: 500 });
    expect((await state())?.offSince).toBe(clock.now());
    answer(204);
    expect(await gateway.gateway.hooks.test("crm")).toMatchObject({ status: 204 });
    expect(hook.calls.at(-1)?.type).toBe("test");
    await tell();
    await runDue();
    expect(hook.calls.at(-1)?.type).toBe("sign_in");
  });
});

describe("the queue", () => {
  test("is left by a process that dies in the middle of a call to whoever comes, with the same id", async () => {
    const held = Promise.withResolvers<Response>();
    hook.answer = () => held.promise;
    const dying = await start();
    await tell();
    await until("it is being told", () => hook.calls.length === 1);
    hook.answer = () => new Response(null, { status: 204 });
    const next = await start();
    await next.gateway.hooks.runDue();
    expect(hook.calls).toHaveLength(1);
    clock.advance(19 * SECOND);
    await next.gateway.hooks.runDue();
    expect(hook.calls).toHaveLength(1);
    clock.advance(2 * SECOND);
    await next.gateway.hooks.runDue();
    expect(hook.calls.map(({ id }) => id)).toEqual([hook.calls[0]?.id ?? "", hook.calls[0]?.id ?? ""]);
    expect((await state())?.waiting).toBe(0);
    held.resolve(new Response(null, { status: 204 }));
    await dying.gateway.hooks.runDue();
    expect(hook.calls).toHaveLength(2);
  });

  test("is shared by processes, of which one tells each", async () => {
    const others = [await start(), await start(), await start()];
    await Promise.all(Array.from({ length: 60 }, tell));
    await Promise.all(others.map((one) => one.gateway.hooks.runDue()));
    await until("all are told", () => hook.calls.length >= 60);
    await runDue();
    expect(hook.calls).toHaveLength(60);
    expect(new Set(hook.calls.map(({ id }) => id)).size).toBe(60);
  });

  test("has an end, of which anybody's asking takes a fifth, and says so", async () => {
    answer(500);
    await start(hook.block("crm", EVERY_EVENT));
    const { hooks } = gateway.gateway;
    for (let n = 0; n < 205; n++) await hooks.tell("login_requested", CAUSED);
    for (let n = 0; n < 803; n++) await hooks.tell("sign_in", CAUSED);
    await runDue();
    expect((await state())?.waiting).toBe(1000);
    const dropped = hooks.counts().find(({ outcome }) => outcome === "dropped");
    expect(dropped?.count).toBe(8);
    expect(failed().filter(([, of]) => of === "sign_in")).toEqual(
      Array(3).fill(["crm", "sign_in", "0", "queue_full"]),
    );
    expect((await gateway.signIn()).length).toBeGreaterThan(0);
  });

  test("is shared by hooks: one that hears of nothing keeps no other from being told", async () => {
    const well = startReceiver();
    try {
      answer(500);
      await start(hook.block("crm", EVERY_EVENT) + well.block("siem", SIGN_IN));
      const { hooks } = gateway.gateway;
      for (let n = 0; n < 850; n++) {
        await hooks.tell("sign_in", CAUSED);
        if (n % 50 === 0) await runDue();
      }
      await runDue();
      expect(well.calls).toHaveLength(850);
      expect((await hooks.list()).map(({ waiting }) => waiting)).toEqual([400, 0]);
      expect(failed().at(-1)).toEqual(["crm", "sign_in", "0", "queue_full"]);
    } finally {
      well.stop();
    }
  });

  test("forgets what was for a hook that the file has no more, and keeps the rest", async () => {
    answer(500);
    const first = await start(hook.block("old", EVERY_EVENT) + hook.block("crm", EVERY_EVENT));
    await tell();
    await gateway.gateway.hooks.tell("login_requested", CAUSED);
    await runDue();
    await first.stop();
    opened.splice(0);
    await start(hook.block("crm", EVERY_EVENT));
    const all = async () => {
      const kinds = ["hook_call", "hook_call_by_anybody"].map((name) =>
        stores.records<{ hook: string }>({ name, by: ["hook"] }).find({ most: 9 }),
      );
      return (await Promise.all(kinds)).flat().map(({ record }) => record.hook);
    };
    await until("they are gone", async () => !(await all()).includes("old"));
    expect(await all()).toEqual(["crm", "crm"]);
  });

  test("away: whoever signs in does, and the audit says what was not told", async () => {
    const state = stoppable(stores, ({ of }) => of.startsWith("hook_call"));
    stores = state.store;
    await start();
    state.away = true;
    expect(await gateway.signIn()).toContain("runegate_id=");
    expect(failed()).toEqual([["crm", "sign_in", "0", "store_unavailable"]]);
    state.away = false;
    await gateway.signIn();
    await runDue();
    expect(hook.calls).toHaveLength(1);
  });

  test("has nothing in it that whoever reads or writes the store can use", async () => {
    answer(500);
    await start();
    await tell();
    await runDue();
    const records = stores.records<Record<string, unknown>>({
      name: "hook_call",
      by: ["hook"],
      order: "dueAt",
    });
    const [seen] = await records.find({ where: { hook: "crm" }, most: 9 });
    if (seen === undefined) throw new Error("nothing waits");
    expect(JSON.stringify(seen.record)).not.toContain("ada");
    await records.replace(seen, { ...seen.record, event: "sign_out", dueAt: clock.now() });
    await runDue();
    expect(hook.calls).toHaveLength(1);
    expect(failed()).toEqual([["crm", "sign_out", "2", "unreadable"]]);
  });

  test("of one hook that hangs, another waits for nothing", async () => {
    const slow = startReceiver();
    const held = Promise.withResolvers<Response>();
    slow.answer = () => held.promise;
    try {
      await start(slow.block("slow", SIGN_IN) + hook.block("crm", SIGN_IN));
      for (let n = 0; n < 10; n++) await tell();
      await until("the other is told", () => hook.calls.length === 10);
      expect(slow.calls).toHaveLength(4);
      held.resolve(new Response(null, { status: 204 }));
      await until("this one too", () => slow.calls.length === 10);
    } finally {
      slow.stop();
    }
  });
});
