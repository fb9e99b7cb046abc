import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { createSession, type Session } from "../../src/yamux/session.ts";
import { openStage, type TunnelStage, until } from "./stage.ts";

/** What a connector that means ill hears of others, and what its answers do. */

let stage: TunnelStage;

type Ill = {
  readonly session: Session;
  /** What came by each stream, as text. */
  readonly heard: string[];
};

beforeEach(async () => {
  stage = await openStage({
    routes: `
      [[routes]]
      name = "home"
      target = "tunnel:home"

      [[routes]]
      name = "other"
      path = "/other"
      target = "tunnel:other"
    `,
  });
});
afterEach(() => stage.stop());

/** A connector of `home` whose answer to everything is this; without one, it says nothing. */
async function ill(answer?: string): Promise<Ill> {
  const { socket, opened } = stage.knock();
  socket.binaryType = "nodebuffer";
  const heard: string[] = [];
  const session = createSession({
    role: "client",
    transport: { send: (bytes) => socket.send(bytes), full: () => false, waiting: () => 0 },
    accept(stream) {
      const at = heard.push("") - 1;
      stream.listen({
        data(bytes) {
          stream.taken(bytes.byteLength);
          const first = heard[at] === "";
          heard[at] += Buffer.from(bytes).toString("latin1");
          if (answer !== undefined && first) stream.write(Buffer.from(answer, "latin1"));
        },
        ...{ end() {}, reset() {}, drain() {} },
      });
      return true;
    },
    closed() {},
    most: 1_000,
    clock: { monotonic: () => performance.now() },
  });
  socket.onmessage = ({ data }: MessageEvent<Buffer>) => session.receive(data);
  await opened;
  await until(() => stage.gateway.lines.some((line) => line.includes("tunnel_connected")));
  return { session, heard };
}

const whole = (body: string, more = "") =>
  `HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: ${body.length}\r\n${more}\r\n${body}`;

test("it sees nothing that opens a session here, and nobody's name but who asks", async () => {
  const { heard } = await ill(whole("x"));
  await stage.get("/", {
    headers: { "X-Runegate-User": "root@example.org", "Remote-User": "root@example.org" },
  });
  const [, value = ""] = stage.cookie.split("=");
  expect(heard).toHaveLength(1);
  expect(heard[0]).toContain("GET / HTTP/1.1");
  expect(value.length).toBeGreaterThan(20);
  expect(heard[0]).not.toContain(value);
  expect(heard[0]).not.toContain("root@example.org");
  expect(heard[0]).toContain("x-runegate-user: ada@example.org\r\n");
});

test("it is asked for its own tunnel alone", async () => {
  const { heard } = await ill(whole("mine"));
  const answer = await stage.get("/other/secret");
  expect(answer.status).toBe(503);
  expect(await answer.json()).toMatchObject({ error: "tunnel_away" });
  expect(await (await stage.get("/")).text()).toBe("mine");
  expect(heard).toHaveLength(1);
});

test("it sets no cookie of ours", async () => {
  const [name] = stage.cookie.split("=");
  await ill(whole("x", `Set-Cookie: ${name}=theirs; Path=/\r\nSet-Cookie: theirs=1\r\n`));
  expect((await stage.get("/")).headers.getSetCookie()).toEqual(["theirs=1"]);
});

describe("an answer behind an answer", () => {
  const SECOND = whole("poisoned");
  const CASES = [
    ["as long as its head says", whole("first") + SECOND, "first"],
    [
      "in chunks",
      `HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nfirst\r\n0\r\n\r\n${SECOND}`,
      "first",
    ],
    ["none at all", `HTTP/1.1 204 No Content\r\n\r\n${SECOND}`, ""],
  ] as const;
  for (const [what, answer, first] of CASES) {
    test(`that is ${what} is for nobody`, async () => {
      const { heard } = await ill(answer);
      const bodies = await Promise.all(Array.from({ length: 10 }, async () => (await stage.get("/")).text()));
      expect(new Set(bodies)).toEqual(new Set([first]));
      expect(heard).toHaveLength(10);
    });
  }
});

test("a stream that it opens itself ends its connection", async () => {
  const { session } = await ill();
  session.open()?.write(Buffer.from("GET /_runegate/admin HTTP/1.1\r\n\r\n"));
  await until(() => stage.gateway.lines.some((line) => line.includes("opens a stream, and may not")));
  expect((await stage.get("/")).status).toBe(503);
});
