import { afterEach, beforeAll, describe, expect, test } from "bun:test";
import { type Sample, startSample } from "../../src/sample/app.ts";
import type { ChatEvent } from "../../src/sample/sockets.ts";

let sample: Sample;
beforeAll(() => {
  sample = startSample({ hostname: "127.0.0.1", port: 0 });
  return () => sample.stop();
});

const open: WebSocket[] = [];
afterEach(() => {
  for (const socket of open.splice(0)) socket.close();
});

type Line = {
  readonly socket: WebSocket;
  /** The next message, in order of arrival. */
  next(): Promise<string | ArrayBuffer>;
  readonly closed: Promise<{ code: number; reason: string }>;
};

async function connect(path: string, protocols: string[] = [], user?: string): Promise<Line> {
  const headers = user === undefined ? {} : { "X-Runegate-User": user };
  const socket = new WebSocket(sample.url.replace("http", "ws") + path, { protocols, headers });
  socket.binaryType = "arraybuffer";
  open.push(socket);
  const messages: (string | ArrayBuffer)[] = [];
  const waiting: ((message: string | ArrayBuffer) => void)[] = [];
  socket.addEventListener("message", ({ data }) => {
    const resolve = waiting.shift();
    if (resolve === undefined) messages.push(data);
    else resolve(data);
  });
  const closed = new Promise<{ code: number; reason: string }>((resolve) => {
    socket.addEventListener("close", ({ code, reason }) => resolve({ code, reason }));
  });
  await new Promise((resolve, reject) => {
    socket.addEventListener("open", resolve);
    socket.addEventListener("error", () => reject(new Error("the handshake failed")));
  });
  const next = async () => messages.shift() ?? (await new Promise((resolve) => waiting.push(resolve)));
  return { socket, next: next as Line["next"], closed };
}

describe("/ws/echo", () => {
  test("returns text, bytes and 8 MiB as they came", async () => {
    const { socket, next } = await connect("/ws/echo");
    socket.send("wave 🌊");
    expect(await next()).toBe("wave 🌊");
    socket.send(new Uint8Array([0, 255, 128]));
    expect(new Uint8Array((await next()) as ArrayBuffer)).toEqual(new Uint8Array([0, 255, 128]));
    socket.send(new Uint8Array(8 * 2 ** 20));
    expect(((await next()) as ArrayBuffer).byteLength).toBe(8 * 2 ** 20);
  });

  test.each([
    ["/close 4001 as you wish", 4001, "as you wish"],
    ["/close 1000", 1000, ""],
  ])("%s is obeyed", async (command, code, reason) => {
    const { socket, closed } = await connect("/ws/echo");
    socket.send(command);
    expect(await closed).toMatchObject({ code, reason });
  });

  test.each(["/close", "/close 999", "/close 1006", "/close 40010", " /close 4001"])(
    "%j is only echoed",
    async (text) => {
      const { socket, next } = await connect("/ws/echo");
      socket.send(text);
      expect(await next()).toBe(text);
    },
  );

  test("needs an upgrade", async () => {
    const response = await fetch(`${sample.url}/ws/echo`);
    expect([response.status, response.headers.get("upgrade")]).toEqual([426, "websocket"]);
  });
});

describe("/ws/chat", () => {
  async function join(user?: string) {
    const line = await connect("/ws/chat", ["other", "chat.v1"], user);
    const event = async () => JSON.parse((await line.next()) as string) as ChatEvent;
    return { ...line, event, say: (text: string) => line.socket.send(JSON.stringify({ text })) };
  }

  test("settles on chat.v1, and refuses who does not offer it", async () => {
    expect((await join("ada@example.org")).socket.protocol).toBe("chat.v1");
    await expect(connect("/ws/chat", ["chat.v2"])).rejects.toThrow("handshake");
    await expect(connect("/ws/chat")).rejects.toThrow("handshake");
  });

  test("calls people what the gateway calls them, and tells the others", async () => {
    const ada = await join("ada@talk.example");
    expect(await ada.event()).toMatchObject({ type: "welcome", you: "ada@talk.example" });
    const bob = await join("bob@talk.example");
    expect(await bob.event()).toMatchObject({
      type: "welcome",
      present: expect.arrayContaining(["ada@talk.example", "bob@talk.example"]),
    });
    expect(await ada.event()).toMatchObject({ type: "joined", name: "bob@talk.example" });
    bob.say(" ahoy <b> ");
    for (const person of [ada, bob]) {
      expect(await person.event()).toMatchObject({
        type: "message",
        name: "bob@talk.example",
        text: "ahoy <b>",
      });
    }
    bob.socket.close();
    expect(await ada.event()).toMatchObject({ type: "left", name: "bob@talk.example" });

    const late = await join();
    const welcome = await late.event();
    if (welcome.type !== "welcome") throw new Error(`not welcomed but ${welcome.type}`);
    expect(welcome.you).toMatch(/^guest \d+$/);
    expect(welcome.history.at(-1)).toMatchObject({ name: "bob@talk.example", text: "ahoy <b>" });
  });

  test.each([
    ["no JSON", "ahoy"],
    ["no text", "{}"],
    ["null", "null"],
    ["another type", '{"text":1}'],
    ["nothing but space", '{"text":"  "}'],
    ["too long", JSON.stringify({ text: "x".repeat(1001) })],
    ["much too long", JSON.stringify({ text: "x".repeat(100_000) })],
    ["bytes", new Uint8Array(3)],
  ])("refuses %s", async (_, message) => {
    const { socket, event } = await join("ada@rules.example");
    await event();
    socket.send(message);
    expect(await event()).toMatchObject({ type: "refused" });
  });
});
