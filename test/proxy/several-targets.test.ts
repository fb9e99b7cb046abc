import { afterAll, beforeAll, beforeEach, describe, expect, test } from "bun:test";
import { createTargets, type InOrder } from "../../src/proxy/targets.ts";
import { NOTHING_TOLD } from "../../src/proxy/telling.ts";
import { createUpstream } from "../../src/proxy/upstream.ts";
import { createTunnelSockets } from "../../src/tunnel/sockets.ts";
import { testClock } from "../support/clock.ts";
import { deafListener } from "../support/deaf-listener.ts";
import { startGateway, type TestGateway } from "../support/gateway.ts";
import { routeOf } from "../support/routes.ts";
import { SILENT } from "../support/silent.ts";
import { startUpstream, type Upstream } from "../support/upstream.ts";
import { acceptWebSocket, openWebSocket } from "./websocket.ts";

/** One application on several servers, of which some die. */

const HOST = "app.example.org";
let servers: [Upstream, Upstream, Upstream];
let gateway: TestGateway;
let cookies: string[];
const clock = testClock();

beforeAll(async () => {
  servers = [await startUpstream(), await startUpstream(), await startUpstream()];
  gateway = await startGateway({
    clock,
    env: { RUNEGATE_BASE_URL: `https://${HOST}` },
    routes: `
      [[routes]]
      name = "lab"
      targets = ${JSON.stringify(servers.map(({ url }) => url))}
    `,
  });
  cookies = await Promise.all([..."abcdefgh"].map((name) => gateway.signIn(`${name}@example.org`)));
});
afterAll(async () => {
  await gateway.stop();
  for (const server of servers) server.stop();
});

const ask = (path: string, cookie: string | undefined, init: RequestInit = {}) =>
  fetch(gateway.url + path, { ...init, headers: { Host: HOST, Cookie: cookie ?? "" } });

/** Which server got each request for a path. */
const serverOf = (path: string) => servers.findIndex((server) => server.to(path).length > 0);

test("C8: a visitor stays with one server, goes to another while it is down, and comes back", async () => {
  const homes = new Map<string, number>();
  for (const [at, cookie] of cookies.entries()) {
    for (const turn of [1, 2]) expect((await ask(`/stay-${at}-${turn}`, cookie)).status).toBe(200);
    expect(serverOf(`/stay-${at}-2`)).toBe(serverOf(`/stay-${at}-1`));
    homes.set(cookie, serverOf(`/stay-${at}-1`));
  }
  expect(new Set(homes.values()).size).toBeGreaterThan(1);

  const [cookie = "", home = -1] = [...homes][0] ?? [];
  const died = servers[home];
  if (died === undefined) throw new Error("no server");
  const { port } = died;
  died.stop();
  for (let turn = 0; turn < 20; turn++) expect((await ask(`/down-${turn}`, cookie)).status).toBe(200);
  const others = [...homes].filter(([, server]) => server !== home);
  for (const [at, [other, server]] of others.entries()) {
    expect((await ask(`/other-${at}`, other)).status).toBe(200);
    expect(serverOf(`/other-${at}`)).toBe(server);
  }

  servers[home] = await startUpstream({ port });
  clock.advance(2_500);
  expect((await ask("/back", cookie)).status).toBe(200);
  expect(serverOf("/back")).toBe(home);
});

describe("C7: where a server takes no connection, the next one gets", () => {
  let lonely: TestGateway;
  let cookie: string;
  beforeAll(async () => {
    const dead = await startUpstream();
    dead.stop();
    lonely = await startGateway({
      clock,
      env: { RUNEGATE_BASE_URL: `https://${HOST}` },
      routes: `[[routes]]\nname = "lab"\nbalance = "first"\ntargets = ["${dead.url}", "${servers[1].url}"]`,
    });
    cookie = await lonely.signIn();
  });
  afterAll(() => lonely.stop());

  const send = (path: string, init: RequestInit) =>
    fetch(lonely.url + path, { ...init, headers: { Host: HOST, Cookie: cookie } });

  test.each([10, 300_000])("a POST with %i bytes, whole", async (size) => {
    clock.advance(2_500);
    const path = `/post-${size}`;
    let received = 0;
    servers[1].on(path, async (exchange) => {
      received = (await exchange.body()).byteLength;
      await exchange.reply(200);
    });
    expect((await send(path, { method: "POST", body: new Uint8Array(size) })).status).toBe(200);
    expect(received).toBe(size);
  });

  test("a WebSocket", async () => {
    clock.advance(2_500);
    servers[1].on("/ws", async (exchange) => void (await acceptWebSocket(exchange)));
    const { head, peer } = await openWebSocket(lonely.port, "/ws", [`Host: ${HOST}`, `Cookie: ${cookie}`]);
    expect(head.status).toBe(101);
    peer.wire.destroy();
  });
});

test("never a second time once a byte of the body went out", async () => {
  let tries = 0;
  for (const server of servers) {
    server.on("/breaks", async ({ request, wire }) => {
      expect(request.method).toBe("POST");
      tries++;
      await wire.readUntil("x");
      wire.destroy();
    });
  }
  const response = await ask("/breaks", cookies[1], { method: "POST", body: "x".repeat(1000) });
  expect([response.status, tries]).toEqual([502, 1]);
});

test("health checks take a server out after so many failures, and back in after so many answers", async () => {
  const [good, bad] = [servers[1], servers[2]];
  let status = 200;
  bad.on("/up", ({ reply }) => reply(status));
  const route = routeOf('health = { path = "/up", down_after = 2, up_after = 2 }');
  const upstreams = [bad, good].map(({ port }) =>
    createUpstream({
      ...route,
      target: {
        address: { kind: "tcp", origin: `http://127.0.0.1:${port}`, hostname: "127.0.0.1", port, tls: false },
        basePath: "",
      },
      name: undefined,
      telling: NOTHING_TOLD,
      tunnels: { sockets: createTunnelSockets("/nonexistent", testClock()), seenAt: async () => undefined },
      clock,
    }),
  ) as unknown as InOrder;
  const targets = createTargets(upstreams, { ...route, balance: "first", clock, log: SILENT });
  const first = () => targets.inOrder("")[0] === upstreams[0];
  const seen: boolean[] = [];
  for (const now of [200, 500, 500, 200, 200]) {
    status = now;
    await targets.check();
    seen.push(first());
  }
  expect(seen).toEqual([true, true, false, false, true]);
  for (const upstream of upstreams) upstream.stop();
});

test("round robin takes turns", () => {
  const upstreams = ["a", "b", "c"].map((where) => ({ where })) as unknown as InOrder;
  const targets = createTargets(upstreams, { ...routeOf(""), balance: "round_robin", clock, log: SILENT });
  const taken = Array.from({ length: 6 }, () => targets.inOrder("same")[0].where);
  expect(new Set(taken.slice(0, 3)).size).toBe(3);
  expect(taken.slice(3)).toEqual(taken.slice(0, 3));
});

describe("a server that neither takes nor refuses a connection", () => {
  let deaf: Awaited<ReturnType<typeof deafListener>>;
  let front: TestGateway;
  let cookie: string;
  /** Added to what the clock says: one that has failed is passed over for a while. */
  let passed = 0;
  beforeEach(() => {
    passed += 2_500;
  });
  const paths = { alone: "", patient: "/patient", several: "/several" };
  beforeAll(async () => {
    deaf = await deafListener();
    const route = (name: keyof typeof paths, keys: string) =>
      `[[routes]]\nname = "${name}"\npath = "${paths[name] || "/"}"\nbalance = "first"\n${keys}\n`;
    const [there, other] = [`"http://127.0.0.1:${deaf.port}"`, `"${servers[1].url}"`];
    front = await startGateway({
      clock: { now: Date.now, monotonic: () => performance.now() + passed },
      env: { RUNEGATE_BASE_URL: `https://${HOST}` },
      routes: [
        route("alone", `targets = [${there}]\nconnect_timeout = "300ms"`),
        route("patient", `targets = [${there}]\nconnect_timeout = "1m"`),
        route("several", `targets = [${there}, ${other}]\nconnect_timeout = "300ms"`),
      ].join("\n"),
    });
    cookie = await front.signIn();
  });
  afterAll(async () => {
    await front.stop();
    deaf.stop();
  });

  const send = (path: string, init: RequestInit = {}) =>
    fetch(front.url + path, { ...init, headers: { Host: HOST, Cookie: cookie } });

  test("is given up after the route's own connect_timeout", async () => {
    const leaving = new AbortController();
    let answered = false;
    const patient = send("/patient/x", { signal: leaving.signal }).then(
      () => {
        answered = true;
      },
      () => {},
    );
    expect((await send("/x")).status).toBe(502);
    expect(answered).toBe(false);
    leaving.abort();
    await patient;
  });

  test.each([["GET"], ["POST"]])("and where there is another, that gets the %s", async (method) => {
    expect((await send("/several/x", { method })).status).toBe(200);
  });

  test("a body that waits for it goes whole to the other", async () => {
    let received = 0;
    servers[1].on("/several/post", async (exchange) => {
      received = (await exchange.body()).byteLength;
      await exchange.reply(200);
    });
    expect((await send("/several/post", { method: "POST", body: new Uint8Array(300_000) })).status).toBe(200);
    expect(received).toBe(300_000);
  });

  test("a WebSocket too", async () => {
    servers[1].on("/several/ws", async (exchange) => void (await acceptWebSocket(exchange)));
    const fields = [`Host: ${HOST}`, `Origin: https://${HOST}`, `Cookie: ${cookie}`];
    const { head, peer } = await openWebSocket(front.port, "/several/ws", fields);
    expect(head.status).toBe(101);
    peer.wire.destroy();
  });
});
