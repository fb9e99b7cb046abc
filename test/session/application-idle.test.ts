import { afterAll, beforeAll, beforeEach, describe, expect, test } from "bun:test";
import { createMemoryStore } from "../../src/store/memory.ts";
import { NAVIGATION } from "../login/support.ts";
import { until } from "../proxy/support.ts";
import { acceptWebSocket, openWebSocket } from "../proxy/websocket.ts";
import { testClock } from "../support/clock.ts";
import { startGateway, type TestGateway } from "../support/gateway.ts";
import { startUpstream, type Upstream } from "../support/upstream.ts";

/** An application may want people to sign in again sooner than others: after `idle` without use, or `max_age` in all. */

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;
const clock = testClock();
const stores = createMemoryStore({ clock });
let upstream: Upstream;
let gateway: TestGateway;
let cookie: string;

const start = () =>
  startGateway({
    clock,
    stores,
    env: {
      RUNEGATE_BASE_URL: "https://app.example.org",
      RUNEGATE_JWT_SECRET: "j".repeat(64),
      RUNEGATE_SESSION_KEY: "5e".repeat(64),
    },
    routes: ["lax", "strict", "old"]
      .map(
        (name) => `
        [[routes]]
        name = "${name}"
        host = "${name === "lax" ? "app" : name}.example.org"
        target = "${upstream.url}"
        ${name === "strict" ? 'idle = "1h"' : name === "old" ? 'max_age = "1h"' : ""}`,
      )
      .join("\n"),
  });

beforeAll(async () => {
  upstream = await startUpstream();
  gateway = await start();
});
afterAll(async () => {
  await gateway.stop();
  upstream.stop();
});
beforeEach(async () => {
  cookie = await gateway.signIn(`${crypto.randomUUID()}@example.org`);
});

function ask(name: string, path = "/x", headers: Record<string, string> = {}): Promise<Response> {
  const host = `${name === "lax" ? "app" : name}.example.org`;
  return fetch(gateway.url + path, {
    headers: { Host: host, Cookie: cookie, ...headers },
    redirect: "manual",
  });
}
const statusAt = async (name: string) => {
  const response = await ask(name);
  await response.body?.cancel();
  return response.status;
};

describe("idle", () => {
  test("whoever goes on using the session, here or elsewhere, goes on", async () => {
    for (let time = 0; time < 6; time++) {
      clock.advance(40 * MINUTE);
      expect([time, await statusAt(time % 2 === 0 ? "lax" : "strict")]).toEqual([time, 200]);
    }
    expect(await statusAt("strict")).toBe(200);
  });

  test("after a rest no second try gets in, nor one by way of another application or of a page of ours", async () => {
    clock.advance(HOUR + MINUTE);
    expect(await statusAt("strict")).toBe(401);
    expect(await statusAt("strict")).toBe(401);
    expect(await statusAt("lax")).toBe(200);
    expect(await statusAt("strict")).toBe(401);
    const session = await (await ask("lax", "/_runegate/session")).json();
    expect(session as unknown).toMatchObject({ authenticated: true });
    clock.advance(2 * MINUTE);
    expect([await statusAt("lax"), await statusAt("strict")]).toEqual([200, 401]);
  });

  test("and another process, or a restart, knows of it too", async () => {
    clock.advance(HOUR + MINUTE);
    expect(await statusAt("lax")).toBe(200);
    const first = gateway;
    gateway = await start();
    await first.stop();
    clock.advance(2 * MINUTE);
    expect([await statusAt("lax"), await statusAt("strict")]).toEqual([200, 401]);
  });

  test("a rest of the length that another application asks for is none of its own", async () => {
    clock.advance(30 * MINUTE);
    expect(await statusAt("lax")).toBe(200);
    clock.advance(40 * MINUTE);
    expect([await statusAt("lax"), await statusAt("strict")]).toEqual([200, 200]);
  });
});

describe.each([
  ["idle", "strict"],
  ["max_age", "old"],
])("%s", (_, name) => {
  test("a browser is sent to sign in once more, sees the form though it is signed in, and then gets in", async () => {
    clock.advance(HOUR);
    const refused = await ask(name, "/x?y=1", NAVIGATION);
    // By way of the host where people sign in.
    const request = refused.headers.get("location") ?? "";
    const home = "https://app.example.org";
    expect([refused.status, request]).toEqual([
      302,
      expect.stringMatching(/^https:\/\/app\.example\.org\/_runegate\/handoff\?/),
    ]);
    const taken = await ask("lax", request.slice(home.length), NAVIGATION);
    const form = taken.headers.get("location") ?? "";
    const next = encodeURIComponent(`https://${name}.example.org/x?y=1`);
    expect([taken.status, form]).toEqual([302, `/_runegate/login?next=${next}&again=1`]);
    const shown = await ask("lax", form, NAVIGATION);
    expect([shown.status, await shown.text()]).toEqual([200, expect.stringContaining('name="email"')]);
    const known = await ask("lax", "/_runegate/login?next=%2Fx", NAVIGATION);
    expect([known.status, known.headers.get("location")]).toEqual([302, "/x"]);
    cookie = await gateway.signIn(`${crypto.randomUUID()}@example.org`);
    expect(await statusAt(name)).toBe(200);
  });

  test("C12: what is open there ends, a stream and a WebSocket, and what is open elsewhere goes on", async () => {
    upstream.on("/ws", async (exchange) => void (await acceptWebSocket(exchange)));
    const open = async (at: string) => {
      const path = `/events-${at}`;
      upstream.on(path, async ({ wire }) => {
        await wire.write("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\ndata: 1\n\n");
        await wire.ended;
      });
      const events = (await ask(at, path)).body?.getReader();
      expect((await events?.read())?.done).toBe(false);
      const host = `${at === "lax" ? "app" : at}.example.org`;
      const fields = [`Host: ${host}`, `Origin: https://${host}`, `Cookie: ${cookie}`];
      const { head, peer } = await openWebSocket(gateway.port, "/ws", fields);
      expect(head.status).toBe(101);
      return { events, peer };
    };
    const [there, elsewhere] = [await open(name), await open("lax")];
    const { live } = gateway.gateway;
    clock.advance(30 * MINUTE);
    await live.sweep();
    expect(live.size).toBe(4);
    clock.advance(30 * MINUTE);
    await live.sweep();
    expect(live.size).toBe(2);
    expect(await there.peer.next()).toMatchObject({ kind: "close", code: 1008 });
    await elsewhere.events?.cancel();
    elsewhere.peer.wire.destroy();
    await until(() => live.size === 0);
  });
});
