import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "bun:test";
import { B, H } from "../hand-off/stage.ts";
import { until, within } from "../proxy/support.ts";
import { HANDSHAKE, peerOf } from "../proxy/websocket.ts";
import { dial, readResponseHead, requestHead, type Wire } from "../support/raw.ts";
import { responseHead, startUpstream, type Upstream } from "../support/upstream.ts";
import { type ActingStage, ADA, AT, JSON_HEADERS, ROOT, startActingStage } from "./stage.ts";

/** What is open by it ends with it, whichever way that comes: within 5 seconds, for the operator and the application. */

const AT_MOST_MS = 5_000;
const MINUTE = 60_000;
let upstream: Upstream;
let stage: ActingStage;

beforeAll(async () => {
  upstream = await startUpstream();
});
afterAll(() => upstream.stop());
beforeEach(async () => {
  stage = await startActingStage(upstream.url);
});
afterEach(() => stage.stop());

/** An event stream, or a WebSocket, of the operator's at B: listed by the gateway as what it is. */
async function open(what: "stream" | "socket"): Promise<{ visitor: Wire; application: Wire }> {
  const { live } = stage.gateway().gateway;
  const before = live.size;
  const { promise, resolve } = Promise.withResolvers<Wire>();
  upstream.on(`/${what}`, async ({ wire, request }) => {
    const key = request.one("sec-websocket-key");
    await wire.write(
      key === undefined
        ? responseHead(200, ["Content-Type: text/event-stream", "Transfer-Encoding: chunked"])
        : responseHead(101, [
            "Upgrade: websocket",
            "Connection: Upgrade",
            `Sec-WebSocket-Accept: ${new Bun.CryptoHasher("sha1").update(`${key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`).digest("base64")}`,
          ]),
    );
    resolve(wire);
    await wire.ended;
  });
  const cookies = [...(stage.root.jar.get(AT[B]) ?? [])].map((pair) => pair.join("=")).join("; ");
  const fields = [`Host: ${AT[B]}`, `Cookie: ${cookies}`, ...(what === "socket" ? HANDSHAKE : [])];
  const visitor = await dial(stage.gateway().port);
  await visitor.write(requestHead(`GET /${what}`, fields));
  const application = await within(AT_MOST_MS, promise);
  expect((await within(AT_MOST_MS, readResponseHead(visitor))).status).toBe(what === "socket" ? 101 : 200);
  stage.clock.advance(60);
  await until(() => live.size === before + 1);
  return { visitor, application };
}

const post = (url: string) => stage.root.get(url, { method: "POST" });
const ways: Record<string, () => Promise<unknown>> = {
  "the page on the application's host": () => post(`${B}/_runegate/as/end`),
  "the page where it was begun": async () => {
    const page = await (await stage.root.get(`${H}/_runegate/admin/impersonate`)).text();
    const [, id = ""] = /name="id" value="([^"]+)"/.exec(page) ?? [];
    const answer = await stage.root.get(`${H}/_runegate/admin/impersonate`, {
      method: "POST",
      headers: { "Content-Type": "application/x-www-form-urlencoded" },
      body: new URLSearchParams({ do: "end", id }).toString(),
    });
    expect(answer.headers.get("location")).toBe("/_runegate/admin/impersonate?done=ended");
  },
  "another administrator, by the API": async () => {
    const boss = stage.person();
    await boss.signIn(`${H}/`, "boss@example.org");
    const list = await boss.get(`${H}/_runegate/api/admin/impersonations`, { headers: JSON_HEADERS });
    const { items } = (await list.json()) as { items: { id: string }[] };
    expect(items).toMatchObject([{ email: ADA, admin: ROOT, route: "grafana" }]);
    const url = `${H}/_runegate/api/admin/impersonations/${items[0]?.id}`;
    expect((await boss.get(url, { method: "DELETE", headers: JSON_HEADERS })).status).toBe(204);
    expect((await boss.get(url, { method: "DELETE", headers: JSON_HEADERS })).status).toBe(404);
  },
  "its time": async () => stage.clock.advance(15 * MINUTE),
  "the operator's signing out": () => post(`${H}/_runegate/logout`),
  "the end of the operator's session": async () => {
    const { sessions } = stage.gateway().gateway;
    for (const { id } of await sessions.list(ROOT as never)) await sessions.end(id);
  },
};

describe("an event stream ends with", () => {
  test.each(Object.keys(ways))(
    "%s",
    async (way) => {
      await stage.act();
      const { visitor, application } = await open("stream");
      await ways[way]?.();
      await within(AT_MOST_MS, Promise.all([application.ended, visitor.ended]));
      expect(stage.gateway().gateway.live.size).toBe(0);
      await until(
        () => stage.lines().some((line) => line.includes('"event":"impersonation_ended"')),
        AT_MOST_MS + 1_000,
      );
    },
    30_000,
  );
});

test.each(["the page on the application's host", "its time"])(
  "a WebSocket ends with %s",
  async (way) => {
    await stage.act();
    const { visitor, application } = await open("socket");
    const closes = [peerOf(visitor, "client"), peerOf(application, "server")].map((peer) =>
      peer.nextMessage(),
    );
    await ways[way]?.();
    for (const came of await within(AT_MOST_MS, Promise.all(closes))) expect(came.kind).toBe("close");
    visitor.destroy();
    application.destroy();
  },
  30_000,
);

test("the operator's own streams go on", async () => {
  await stage.restart(`[groups]
    admins = ["${ROOT}"]
    [[routes]]
    name = "grafana"
    host = "${AT[B]}"
    target = "${upstream.url}"
    impersonation = "allow"`);
  await stage.root.follow(`${B}/`);
  const { visitor } = await open("stream");
  await stage.act();
  await post(`${B}/_runegate/as/end`);
  await stage.gateway().gateway.live.sweep();
  expect(stage.gateway().gateway.live.size).toBe(1);
  visitor.destroy();
});

test("an end that no request and no administrator saw is told of all the same", async () => {
  await stage.act(B, { minutes: 3 });
  stage.clock.advance(10 * MINUTE);
  await stage.gateway().gateway.impersonations.sweep();
  await stage.gateway().gateway.impersonations.sweep();
  expect(await stage.events("impersonation_ended")).toMatchObject([
    { email: ADA, by: ROOT, route: "grafana", reason: "time", seconds: "180", requests: "1" },
  ]);
});
