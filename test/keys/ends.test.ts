import {
  afterAll,
  afterEach,
  beforeAll,
  beforeEach,
  describe,
  expect,
  setDefaultTimeout,
  spyOn,
  test,
} from "bun:test";
import { systemClock } from "../../src/clock.ts";
import type { Address } from "../../src/identity/address.ts";
import { HOUR } from "../../src/option/values.ts";
import { createMemoryStore } from "../../src/store/memory.ts";
import { openValkeyStore } from "../../src/store/valkey.ts";
import { until } from "../proxy/support.ts";
import { acceptWebSocket, openWebSocket } from "../proxy/websocket.ts";
import { testClock } from "../support/clock.ts";
import { needs } from "../support/needs.ts";
import { SILENT } from "../support/silent.ts";
import { startValkey, type ValkeyServer } from "../support/valkey.ts";
import { bearer, HOME, openStage, type Stage, said } from "./stage.ts";
import { ADA, ROOT } from "./support.ts";

/** What is open on the strength of a key ends with it, on every machine. */

setDefaultTimeout(20_000);

const AT_MOST_MS = 5_000;

/** A WebSocket to the application; whoever calls looks at the status. */
function openSocket(at: Stage, ...fields: string[]) {
  at.upstream.on("/socket", async (exchange) => {
    await acceptWebSocket(exchange);
    await exchange.wire.ended;
  });
  return openWebSocket(at.gateway.port, "/socket", [`Host: ${HOME}`, ...fields]);
}

describe("a WebSocket", () => {
  const clock = testClock();
  let stage: Stage;
  beforeAll(async () => {
    stage = await openStage({ clock });
  });
  afterAll(() => stage.stop());

  test.each([
    ["Authorization", (token: string) => `Authorization: Bearer ${token}`],
    ["X-Runegate-Key", (token: string) => `X-Runegate-Key: ${token}`],
  ])("is opened by a key in %s, and the application does not get that", async (_, field) => {
    const { token, id } = await stage.key();
    const { head, peer } = await openSocket(stage, field(token));
    expect(head.status).toBe(101);
    const got = stage.got("/socket");
    expect(got?.one("x-runegate-key-id")).toBe(id);
    expect(JSON.stringify(got?.fields)).not.toContain(token.slice(16));
    peer.wire.destroy();
  });

  test("is not opened by a key for something else", async () => {
    const { token } = await stage.key({ paths: ["/other"] });
    expect((await openSocket(stage, `X-Runegate-Key: ${token}`)).head.status).toBe(403);
  });

  const keys = () => stage.gateway.gateway.apiKeys;
  test.each<[string, boolean, (id: string) => unknown]>([
    ["it is revoked, at once", true, (id) => keys().revoke(id, ADA)],
    ["it is disabled", false, (id) => keys().update(id, { disabled: true }, ROOT)],
    ["it runs out", false, () => clock.advance(HOUR)],
    ["it is cut short", false, (id) => keys().update(id, { expiresAt: clock.now() + 1 }, ADA)],
  ])("ends with its key when %s", async (_, atOnce, end) => {
    const { token, id } = await stage.key({ expiresIn: HOUR });
    const { live } = stage.gateway.gateway;
    const before = live.size;
    const { peer } = await openSocket(stage, `X-Runegate-Key: ${token}`);
    await until(() => live.size === before + 1);
    await live.sweep();
    expect(live.size).toBe(before + 1);
    await end(id);
    clock.advance(1);
    if (!atOnce) await live.sweep();
    expect(await peer.nextMessage()).toMatchObject({ kind: "close", code: 1008 });
    expect(live.size).toBe(before);
  });

  test("goes on when its key gets a new secret", async () => {
    const { token, id } = await stage.key();
    const { live } = stage.gateway.gateway;
    const before = live.size;
    const { peer } = await openSocket(stage, `X-Runegate-Key: ${token}`);
    await until(() => live.size === before + 1);
    await keys().rotate(id, 0, ADA);
    await live.sweep();
    expect(live.size).toBe(before + 1);
    peer.wire.destroy();
  });
});

test.each(["true", "false"])(
  "whoever says that a sign-in was not theirs ends their keys (RUNEGATE_API_KEYS=%s)",
  async (isOn) => {
    const stores = createMemoryStore({ clock: systemClock });
    const env = { RUNEGATE_NEW_DEVICE_MAIL: "true", RUNEGATE_JWT_SECRET: "1d".repeat(64) };
    const before = await openStage({ stores, env });
    await before.gateway.signIn("ada@example.org");
    await before.gateway.signIn("ada@example.org");
    await before.gateway.gateway.outbox.runDue();
    const { token } = await before.key();
    const { token: other } = await before.key({ owner: "bob@example.org" });
    const mails = before.gateway.mailbox.mails().map(({ text }) => text);
    const link = /\/not-me\?token=(\S+)/.exec(mails.join("\n"))?.[1];
    await before.stop();

    const stage = await openStage({ stores, env: { ...env, RUNEGATE_API_KEYS: isOn } });
    const init = { method: "POST", body: JSON.stringify({ token: link }) };
    const answer = await stage.ask("/_runegate/not-me", { "Content-Type": "application/json" }, init);
    expect(answer.status).toBe(200);
    await stage.stop();
    const after = await openStage({ stores, env });
    expect(await said(after.ask("/x", bearer(token)))).toBe("401 invalid_key");
    expect(await said(after.ask("/x", bearer(other)))).toBe("200");
    await after.stop();
  },
);

test("and none stays that was being made meanwhile", async () => {
  const stage = await openStage();
  const cookie = await stage.gateway.signIn("ada@example.org");
  const { apiKeys, sessions } = stage.gateway.gateway;
  const headers = {
    Cookie: cookie,
    Origin: `https://${HOME}`,
    "Content-Type": "application/x-www-form-urlencoded",
  };
  let send: (text: string) => void = () => {};
  const body = new ReadableStream<Uint8Array>({
    start(controller) {
      controller.enqueue(Buffer.from("do=create&description=late"));
      send = (text) => {
        controller.enqueue(Buffer.from(text));
        controller.close();
      };
    },
  });
  const found = spyOn(sessions, "find");
  // Whose session it is has been asked by the time its body ends.
  const asked = stage.ask("/_runegate/keys", headers, { method: "POST", body });
  await until(() => found.mock.results.length > 0);
  expect(await found.mock.results[0]?.value).toBeDefined();
  await sessions.holds.put("ada@example.org" as Address);
  await sessions.endAll("ada@example.org" as Address);
  await apiKeys.revokeAll("ada@example.org", ADA);
  send("&route-lab=on");
  const answer = await asked;
  expect([answer.status, await apiKeys.list()]).toEqual([403, []]);
  await stage.stop();
});

const executable = needs("redis-server");

describe.skipIf(executable === undefined)("B18: two machines on one store", () => {
  let server: ValkeyServer;
  let here: Stage;
  let there: Stage;

  async function start(): Promise<Stage> {
    return openStage({ stores: await openValkeyStore({ url: server.url, clock: systemClock, log: SILENT }) });
  }
  beforeEach(async () => {
    server = await startValkey(executable ?? "");
    [here, there] = [await start(), await start()];
  });
  afterEach(async () => {
    for (const stage of [here, there]) {
      await stage.stop();
      await stage.gateway.stores.close();
    }
    await server.stop();
  });

  /** How long it takes until a machine refuses, in milliseconds. */
  async function refusedAfter(at: Stage, token: string): Promise<number> {
    const begun = performance.now();
    while ((await said(at.ask("/", bearer(token)))) !== "401 invalid_key") await Bun.sleep(20);
    return performance.now() - begun;
  }

  test("what ends on one ends on the other within five seconds, open WebSockets too", async () => {
    const { token, id } = await here.key();
    const other = await here.key();
    for (const one of [token, other.token]) expect(await said(there.ask("/", bearer(one)))).toBe("200");
    const { peer } = await openSocket(there, `X-Runegate-Key: ${token}`);
    const { peer: second } = await openSocket(there, `X-Runegate-Key: ${other.token}`);
    const begun = performance.now();
    await here.gateway.gateway.apiKeys.revoke(id, ADA);
    await here.gateway.gateway.apiKeys.update(other.id, { disabled: true }, ADA);
    expect(await refusedAfter(there, token)).toBeLessThan(AT_MOST_MS);
    expect(await refusedAfter(there, other.token)).toBeLessThan(AT_MOST_MS);
    expect(await peer.nextMessage()).toMatchObject({ kind: "close" });
    expect(await second.nextMessage()).toMatchObject({ kind: "close" });
    expect(performance.now() - begun).toBeLessThan(AT_MOST_MS);
  });
});
