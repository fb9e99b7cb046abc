import { afterAll, beforeAll, expect, test } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Socket } from "bun";
import { createSession, type Session, type Stream } from "../../src/yamux/session.ts";
import { needs } from "../support/needs.ts";

/**
 * HashiCorp's own implementation at the other end (`peer/main.go`), over a socket and in both roles. It needs Go, and its module from
 * the proxy or the module cache.
 */

const directory = mkdtempSync(join(tmpdir(), "yamux-go-"));
const peer = join(directory, "peer");
const hasGo = needs("go") !== undefined;

beforeAll(async () => {
  if (!hasGo) return;
  const built = Bun.spawn(["go", "build", "-o", peer, "."], {
    cwd: join(import.meta.dir, "peer"),
    stderr: "inherit",
  });
  expect(await built.exited).toBe(0);
}, 120_000);
afterAll(() => rmSync(directory, { recursive: true }));

type Ours = { session: Session; queue: Uint8Array[] };

/** @returns the session with the peer, and how that ended. */
async function meet(role: "client" | "server", accept?: (stream: Stream) => boolean) {
  const { promise, resolve } = Promise.withResolvers<Session>();
  const closed = Promise.withResolvers<string | undefined>();
  const waiting = ({ data }: Socket<Ours>) => data.queue.reduce((sum, one) => sum + one.byteLength, 0);
  function flush(socket: Socket<Ours>): void {
    const { queue } = socket.data;
    for (let first = queue[0]; first !== undefined; first = queue[0]) {
      const written = Math.max(0, socket.write(first));
      if (written < first.byteLength) {
        queue[0] = first.subarray(written);
        return;
      }
      queue.shift();
    }
  }
  const listener = Bun.listen<Ours>({
    hostname: "127.0.0.1",
    port: 0,
    socket: {
      open(socket) {
        const session = createSession({
          role,
          transport: {
            send(bytes) {
              socket.data.queue.push(bytes);
              flush(socket);
            },
            full: () => waiting(socket) > 256 * 1024,
            waiting: () => waiting(socket),
          },
          accept,
          closed: closed.resolve,
          most: 100,
          clock: { monotonic: () => performance.now() },
        });
        socket.data = { session, queue: [] };
        resolve(session);
      },
      data: (socket, bytes) => socket.data.session.receive(bytes),
      drain(socket) {
        flush(socket);
        socket.data.session.resume();
      },
      close: (socket) => socket.data.session.close(),
    },
  });
  const theirs = role === "client" ? "server" : "client";
  const child = Bun.spawn([peer, theirs, String(listener.port)], { stdout: "pipe", stderr: "inherit" });
  return { session: await promise, child, closed: closed.promise, stop: () => listener.stop(true) };
}

/** Sends back what comes, as the peer does. */
function echo(stream: Stream): boolean {
  const queue: Uint8Array[] = [];
  let waits = false;
  let ended = false;
  function flush(): void {
    while (!waits) {
      const bytes = queue.shift();
      if (bytes === undefined) {
        if (ended) stream.end();
        return;
      }
      waits = !stream.write(bytes);
      stream.taken(bytes.byteLength);
    }
  }
  stream.listen({
    data(bytes) {
      queue.push(bytes);
      flush();
    },
    end() {
      ended = true;
      flush();
    },
    reset() {},
    drain() {
      waits = false;
      flush();
    },
  });
  return true;
}

test.skipIf(!hasGo)(
  "we dial: 20 streams of 2 MB come back whole from the Go server, and pings are answered",
  async () => {
    const { session, child, closed, stop } = await meet("client");
    try {
      expect(await session.ping()).toBeGreaterThan(0);
      const whole = new Uint8Array(2_000_000).map((_, at) => at % 251);
      const all = Array.from({ length: 20 }, async () => {
        const stream = session.open();
        if (stream === undefined) throw new Error("no stream");
        const chunks: Uint8Array[] = [];
        const { promise, resolve, reject } = Promise.withResolvers<void>();
        stream.listen({
          data(bytes) {
            chunks.push(bytes.slice());
            stream.taken(bytes.byteLength);
          },
          end: resolve,
          reset: () => reject(new Error("reset")),
          drain: () => stream.end(),
        });
        stream.write(whole);
        await promise;
        return Buffer.concat(chunks).equals(whole);
      });
      expect(await Promise.all(all)).toEqual(Array(20).fill(true));
      session.goAway();
      session.close();
    } finally {
      child.kill();
      await child.exited;
      stop();
    }
    expect(await closed).toBeUndefined();
  },
  30_000,
);

test.skipIf(!hasGo)(
  "they dial: 20 streams of 2 MB that the Go client opens go back whole",
  async () => {
    const { child, closed, stop } = await meet("server", echo);
    try {
      expect(await new Response(child.stdout).text()).toBe("ok\n");
      expect(await child.exited).toBe(0);
      // It left; nothing was against the protocol.
      expect(await closed).toBeUndefined();
    } finally {
      child.kill();
      stop();
    }
  },
  30_000,
);
