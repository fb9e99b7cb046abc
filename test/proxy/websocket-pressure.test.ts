import { afterAll, beforeAll, describe, expect, setDefaultTimeout, spyOn, test } from "bun:test";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { connect as connectTcp } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { connect as connectTls, createServer as createTlsServer } from "node:tls";
import { makeCertificate } from "../support/certificate.ts";
import { type Wire, wireOf } from "../support/raw.ts";
import { startUpstream, type Upstream, type UpstreamSettings } from "../support/upstream.ts";
import { type ServeProcess, startServe } from "./process.ts";
import { startPair, until, within } from "./support.ts";
import { acceptWebSocket, frameOf, OPCODE, openWebSocket, type Peer } from "./websocket.ts";

// Hundreds of megabytes each, on machines that may be busy.
setDefaultTimeout(60_000);

/** A WebSocket whose reader is slow: the other side waits, nothing is lost, and memory stays as it was. */

const MIB = 1024 * 1024;
/** What all the system's buffers on the way may hold, of two connections at both ends. */
const UNDER_WAY = 64 * MIB;
const MAY_GROW = 32 * MIB;

type Ends = { readonly browser: Peer; readonly application: Peer };
type EndName = keyof Ends;
const DIRECTIONS = [
  ["browser", "application"],
  ["application", "browser"],
] as const;

/** A gateway process in front of an application that takes WebSockets. */
class Stage {
  readonly upstream: Upstream;
  readonly gateway: ServeProcess;
  /** A connection as the browser makes it. */
  readonly connect: () => Promise<Wire> | number | string;
  readonly #cleanUp: () => void;
  readonly #taken: ((peer: Peer) => void)[] = [];

  constructor(upstream: Upstream, gateway: ServeProcess, connect: Stage["connect"], cleanUp: () => void) {
    this.upstream = upstream;
    this.gateway = gateway;
    this.connect = connect;
    this.#cleanUp = cleanUp;
    upstream.on("/socket", async (handshake) => {
      const peer = await acceptWebSocket(handshake);
      this.#taken.shift()?.(peer);
      await new Promise(() => {});
    });
  }

  static async open(settings: StageSettings = {}): Promise<Stage> {
    const { env, application, unix = false, edge = false } = settings;
    const directory = mkdtempSync(join(tmpdir(), "runegate-pressure-"));
    const certificate = makeCertificate({ names: ["localhost"] });
    writeFileSync(join(directory, "ca.pem"), certificate.cert);
    const upstream = await startUpstream({
      ...(application === "tls" ? { tls: certificate } : {}),
      ...(unix ? { unix: join(directory, "application.sock") } : {}),
    } satisfies UpstreamSettings);
    const gateway = await startServe(
      upstream.url,
      { NODE_EXTRA_CA_CERTS: join(directory, "ca.pem"), ...env },
      unix ? join(directory, "gateway.sock") : undefined,
    );
    const front = edge ? await tlsEdge(gateway.port, certificate) : undefined;
    return new Stage(
      upstream,
      gateway,
      () => (front === undefined ? gateway.address : front.connect()),
      () => {
        front?.stop();
        rmSync(directory, { recursive: true });
      },
    );
  }

  /** Through the gateway; gives both ends. */
  async socket(cookie = this.gateway.cookie, fields: readonly string[] = []): Promise<Ends> {
    const { promise, resolve } = Promise.withResolvers<Peer>();
    this.#taken.push(resolve);
    const to = await this.connect();
    const { head, peer } = await within(10_000, openWebSocket(to, "/socket", [cookie, ...fields]));
    expect(head.status).toBe(101);
    return { browser: peer, application: await promise };
  }

  /** The most that the gateway's memory grew meanwhile, in bytes. */
  async growth(during: () => Promise<void>): Promise<number> {
    this.gateway.forgetPeak();
    const before = this.gateway.memory();
    await during();
    return this.gateway.peakMemory() - before;
  }

  async stop(): Promise<void> {
    await this.gateway.stop();
    this.upstream.stop();
    this.#cleanUp();
  }
}

type StageSettings = {
  readonly env?: Readonly<Record<string, string>>;
  readonly application?: "tls";
  /** Everything over unix sockets, of which the system buffers little. */
  readonly unix?: boolean;
  /** A proxy that ends TLS in front. */
  readonly edge?: boolean;
};

/** What nginx does in front: TLS outside, plain inside, each side waiting for the other. */
async function tlsEdge(
  port: number,
  certificate: { key: string; cert: string },
): Promise<{ connect(): Promise<Wire>; stop(): void }> {
  const server = createTlsServer(certificate, (outside) => {
    const inside = connectTcp(port, "127.0.0.1");
    outside.pipe(inside).pipe(outside);
    outside.on("error", () => inside.destroy());
    inside.on("error", () => outside.destroy());
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const address = server.address();
  const edgePort = address !== null && typeof address === "object" ? address.port : 0;
  return {
    connect: () =>
      new Promise((resolve, reject) => {
        const socket = connectTls({ port: edgePort, host: "127.0.0.1", ca: certificate.cert });
        socket.once("error", reject);
        socket.once("secureConnect", () => resolve(wireOf(socket)));
      }),
    stop: () => server.close(),
  };
}

function shut(...all: readonly Ends[]): void {
  for (const { browser, application } of all) {
    browser.wire.destroy();
    application.wire.destroy();
  }
}

/** The server ends the connection (RFC 6455 §7.1.1); until then it is not closed for the gateway, its client. */
async function leave(ends: Ends, who: EndName, code: number, reason: string): Promise<void> {
  await ends[who].close(code, reason);
  if (who === "application") ends.application.wire.end();
}

/** Waits until `count` has not grown for a while, and gives it. */
async function settled(count: () => number): Promise<number> {
  let last = count();
  let since = performance.now();
  await until(() => {
    if (count() !== last) {
      last = count();
      since = performance.now();
    }
    return performance.now() - since > 500;
  }, 20_000);
  return last;
}

const PATTERN = Buffer.alloc(4 * MIB, "0123456789 the quick brown fox jumps over the lazy dog\n");

/** The `index`th of many messages: of all sizes, none like another. */
function message(index: number): Buffer {
  const length = index % 50 === 49 ? 3 * MIB : 1 + ((index * 7919) % 150_000);
  return Buffer.concat([Buffer.from(`${index}:`), PATTERN.subarray(index % 50, (index % 50) + length)]);
}

/** About 95 MiB. */
const MESSAGES = 700;

const WAYS: ReadonlyArray<readonly [string, StageSettings]> = [
  ["in one process", {}],
  ["in two workers", { env: { RUNEGATE_WORKERS: "2" } }],
  ["behind an edge that ends TLS", { edge: true }],
  ["before an application behind TLS", { application: "tls" }],
];

describe.each(WAYS)("%s", (_, settings) => {
  let stage: Stage;
  beforeAll(async () => {
    stage = await Stage.open(settings);
    // The first ones make the runtime grow to what it needs for any.
    const ends = await stage.socket();
    for (const [slow, fast] of DIRECTIONS) {
      const sending = sendAll(ends[fast], "binary", () => {});
      for (let index = 0; index < MESSAGES; index++) await ends[slow].nextMessage();
      await sending;
    }
    shut(ends);
  });
  afterAll(() => stage.stop());

  async function sendAll(peer: Peer, kind: "text" | "binary", sent: (bytes: number) => void): Promise<void> {
    for (let index = 0; index < MESSAGES; index++) {
      const content = message(index);
      await peer.frame(OPCODE[kind], content);
      sent(content.byteLength);
    }
  }

  describe.each(DIRECTIONS)("a %s that does not read for a while", (slow, fast) => {
    test.each(["text", "binary"] as const)(
      "gets every %s message in order, then the end, while memory stays as it was",
      async (kind) => {
        const ends = await stage.socket();
        let sent = 0;
        let sending: Promise<void> = Promise.resolve();
        const grown = await stage.growth(async () => {
          ends[slow].wire.stall();
          sending = sendAll(ends[fast], kind, (bytes) => {
            sent += bytes;
          });
          expect(await settled(() => sent)).toBeLessThan(UNDER_WAY);
          // The other direction does not wait.
          await ends[slow].text("still here");
          expect(await within(5_000, ends[fast].nextMessage())).toMatchObject({ kind: "text" });
        });
        // Of several workers, it is not known which has the connection.
        if (settings.env === undefined) expect(grown).toBeLessThan(MAY_GROW);
        ends[slow].wire.resume();
        const ending = sending.then(() => leave(ends, fast, 4000, "that was all"));
        for (let index = 0; index < MESSAGES; index++) {
          const came = await within(20_000, ends[slow].nextMessage());
          if (came.kind !== kind || !came.data.equals(message(index))) {
            expect({ index, came: came.kind }).toEqual({ index, came: kind });
            expect(came).toMatchObject({ data: message(index) });
          }
        }
        expect(await within(5_000, ends[slow].nextMessage())).toEqual({
          kind: "close",
          code: 4000,
          reason: "that was all",
        });
        await ending;
        shut(ends);
      },
    );

    test("gets what was sent before the other side left, and why it left, when it reads again", async () => {
      const ends = await stage.socket();
      ends[slow].wire.stall();
      const count = 30;
      const sending = (async () => {
        for (let index = 0; index < count; index++) await ends[fast].binary(Buffer.alloc(MIB, index));
        await leave(ends, fast, 4001, "bye");
      })();
      await settled(() => ends[fast].wire.unsent());
      ends[slow].wire.resume();
      for (let index = 0; index < count; index++) {
        const came = await within(10_000, ends[slow].nextMessage());
        expect("data" in came && came.data.equals(Buffer.alloc(MIB, index))).toBe(true);
      }
      expect(await within(5_000, ends[slow].nextMessage())).toMatchObject({ kind: "close", code: 4001 });
      await sending;
      shut(ends);
    });
  });
});

describe("with one gateway", () => {
  let stage: Stage;
  beforeAll(async () => {
    stage = await Stage.open();
  });
  afterAll(() => stage.stop());

  test.each(DIRECTIONS)("a %s that has left is noticed though the %s is paused", async (slow, fast) => {
    const ends = await stage.socket();
    ends[slow].wire.stall();
    void ends[fast].binary(Buffer.alloc(30 * MIB));
    void ends[fast].binary(Buffer.alloc(30 * MIB));
    await settled(() => ends[fast].wire.unsent());
    ends[slow].wire.destroy();
    await within(10_000, ends[fast].wire.ended);
    shut(ends);
  });

  test("the end of the session ends a WebSocket whose sides are paused", async () => {
    const cookie = await stage.gateway.signIn("out@example.org");
    const ends = await stage.socket(cookie);
    for (const [slow, fast] of DIRECTIONS) {
      ends[slow].wire.stall();
      void ends[fast].binary(Buffer.alloc(30 * MIB));
      void ends[fast].binary(Buffer.alloc(30 * MIB));
    }
    await settled(() => ends.browser.wire.unsent() + ends.application.wire.unsent());
    await stage.gateway.ask("POST /logout", [cookie, "Content-Length: 0"]);
    // Whether they read or not; what had been sent to them by then is there.
    for (const [slow] of DIRECTIONS) {
      ends[slow].wire.resume();
      expect(await within(15_000, ends[slow].wire.skip(60 * MIB))).toBeLessThan(60 * MIB);
      await within(5_000, ends[slow].wire.ended);
    }
    shut(ends);
  });
});

describe("a flood of pings", () => {
  let stage: Stage;
  beforeAll(async () => {
    stage = await Stage.open({ unix: true });
  });
  afterAll(() => stage.stop());

  const floods: ReadonlyArray<readonly [EndName, EndName, string]> = [
    ["browser", "application", "reads nothing"],
    ["application", "browser", "reads nothing"],
    ["browser", "browser", "does not read the answers"],
    ["application", "application", "does not read the answers"],
  ];
  test.each(floods)("of the %s, while the %s %s, is held up, and ends nothing", async (from, deaf) => {
    const ends = await stage.socket();
    const to = from === "browser" ? ends.application : ends.browser;
    ends[deaf].wire.stall();
    // Whoever is not deaf reads on: the answers, or the pings, until what follows them.
    const last = from === deaf ? to.nextMessage() : undefined;
    const answers = from === deaf ? undefined : ends[from].nextMessage();
    const ping = frameOf(OPCODE.ping, Buffer.alloc(125, "x"), { masked: from === "browser" });
    const hundred = Buffer.concat(Array.from({ length: 100 }, () => ping));
    const rounds = 1_500;
    let sent = 0;
    let flood: Promise<void> = Promise.resolve();
    const grown = await stage.growth(async () => {
      flood = (async () => {
        for (; sent < rounds; sent++) await ends[from].wire.write(hundred);
        await ends[from].text("the last");
      })();
      expect((await settled(() => sent)) * hundred.byteLength).toBeLessThan(5 * MIB);
    });
    expect(grown).toBeLessThan(MAY_GROW);
    ends[deaf].wire.resume();
    const late = from === deaf ? ends[from].nextMessage() : undefined;
    expect(await within(30_000, last ?? to.nextMessage())).toEqual({
      kind: "text",
      data: Buffer.from("the last"),
    });
    await flood;
    shut(ends);
    await Promise.all([answers, late]);
  });
});

describe("what one user can make wait", () => {
  let stage: Stage;
  beforeAll(async () => {
    stage = await Stage.open();
  });
  afterAll(() => stage.stop());

  const cases: ReadonlyArray<readonly [string, EndName, number, number]> = [
    ["40 browsers that leave 15 messages of 1 MB unread", "browser", 40, 15],
    ["40 applications that leave 15 messages of 1 MB unread", "application", 40, 15],
  ];
  test.each(cases)(
    "%s take no more than 1 MiB each, and all of it arrives",
    async (_, slow, sockets, count) => {
      const cookie = await stage.gateway.signIn(`${slow}@example.org`);
      const all: Ends[] = [];
      const fast = slow === "browser" ? "application" : "browser";
      let sending: Promise<unknown> = Promise.resolve();
      const grown = await stage.growth(async () => {
        let sent = 0;
        for (let index = 0; index < sockets; index++) {
          const ends = await stage.socket(cookie);
          ends[slow].wire.stall();
          all.push(ends);
        }
        sending = Promise.all(
          all.map(async (ends) => {
            for (let index = 0; index < count; index++) {
              await ends[fast].binary(Buffer.alloc(1_000_000, index));
              sent++;
            }
          }),
        );
        await settled(() => sent);
      });
      // A message of 1 MB waits besides, and what the runtime needs for reading them.
      expect(grown).toBeLessThan(sockets * 4 * MIB);
      for (const ends of all) ends[slow].wire.resume();
      for (let index = 0; index < count; index++) {
        for (const ends of all) {
          const came = await within(20_000, ends[slow].nextMessage());
          expect("data" in came && came.data[999_999]).toBe(index);
        }
      }
      await sending;
      shut(...all);
    },
  );

  test("eight messages of 60 MB that nobody takes wait outside for the most part, others go on", async () => {
    const other = await stage.socket();
    const cookie = await stage.gateway.signIn("large@example.org");
    const all: Ends[] = [];
    const large = Buffer.alloc(60_000_000, 7);
    const arrived: Promise<unknown>[] = [];
    const grown = await stage.growth(async () => {
      let sent = 0;
      for (let index = 0; index < 8; index++) {
        const ends = await stage.socket(cookie);
        ends.application.wire.stall();
        all.push(ends);
        // One after the other: what is on its way at the same time the runtime holds without a word.
        void ends.browser.binary(large).then(() => {
          sent++;
        });
        await settled(() => sent);
      }
      await other.browser.text("not held up");
      expect(await within(5_000, other.application.nextMessage())).toMatchObject({ kind: "text" });
    });
    // Three at most wait here, each once as received and once as sent; all would be a gigabyte.
    expect(grown).toBeLessThan(600 * MIB);
    for (const ends of all) {
      ends.application.wire.resume();
      arrived.push(within(30_000, ends.application.nextMessage()));
    }
    for (const came of await Promise.all(arrived)) {
      expect((came as { data: Buffer }).data.byteLength).toBe(large.byteLength);
    }
    shut(other, ...all);
  });

  test("is 256 WebSockets at once; the next is a 429 until one has ended", async () => {
    const cookie = await stage.gateway.signIn("many@example.org");
    const all: Ends[] = [];
    for (let count = 0; count < 256; count++) all.push(await stage.socket(cookie));
    const ask = async () => {
      const { head, peer } = await openWebSocket(stage.gateway.port, "/socket", [cookie]);
      peer.wire.destroy();
      return head.status;
    };
    expect(await ask()).toBe(429);
    // Nobody else's concern.
    shut(await stage.socket());
    const [first] = all;
    if (first !== undefined) shut(first);
    let status = 429;
    for (let tries = 0; tries < 500 && status === 429; tries++) status = await ask();
    expect(status).toBe(101);
    shut(...all);
  });
});

test("where memory runs low, the one who has half messages held loses their WebSockets, and nobody else", async () => {
  // Of a machine or control group of which half is soon reached.
  const constrained = spyOn(process, "constrainedMemory");
  constrained.mockReturnValue(2 * (process.memoryUsage.rss() + 300 * MIB));
  const pair = await startPair();
  constrained.mockRestore();
  pair.upstream.on("/socket", async (handshake) => {
    const peer = await acceptWebSocket(handshake);
    for (let came = await peer.nextMessage(); "data" in came; came = await peer.nextMessage()) {
      await peer.text(`${came.data}`);
    }
  });
  const open = async (cookie: string) =>
    (await within(5_000, openWebSocket(pair.port, "/socket", [cookie]))).peer;
  const others = await Promise.all(Array.from({ length: 8 }, () => open(pair.cookie)));
  const cookie = `Cookie: ${await pair.gateway.signIn("heavy@example.org")}`;
  const half = frameOf(OPCODE.binary, Buffer.alloc(60_000_000), { masked: true }).subarray(0, 59_000_000);
  const peers = await Promise.all(Array.from({ length: 19 }, () => open(cookie)));
  // More than a gigabyte.
  for (const peer of peers) void peer.wire.write(half);
  for (const peer of peers) {
    expect(await within(20_000, peer.nextMessage())).toEqual({ kind: "gone" });
  }
  for (const peer of others) {
    await peer.text("still here");
    expect(await within(5_000, peer.nextMessage())).toMatchObject({ data: Buffer.from("still here") });
    peer.wire.destroy();
  }
  expect(pair.gateway.lines.filter((line) => line.includes("memory runs low")).length).toBeGreaterThan(0);
  await pair.stop();
});

test("of 1,000 sockets every second one stalls: the others go on, and in the end all have everything", async () => {
  const stage = await Stage.open({ unix: true });
  const cookies = await Promise.all(
    Array.from({ length: 8 }, (_, index) => stage.gateway.signIn(`user${index}@example.org`)),
  );
  const all: Ends[] = [];
  for (let index = 0; index < 1_000; index++) all.push(await stage.socket(cookies[index % 8]));
  const stalled = all.filter((_, index) => index % 2 === 1);
  const quick = all.filter((_, index) => index % 2 === 0);
  const count = 20;
  const content = (index: number) => Buffer.alloc(100_000, index);
  const readAll = async ({ browser }: Ends) => {
    for (let index = 0; index < count; index++) {
      const came = await within(30_000, browser.nextMessage());
      expect("data" in came && came.data[99_999]).toBe(index);
    }
  };
  const grown = await stage.growth(async () => {
    for (const { browser } of stalled) browser.wire.stall();
    for (const { application } of all) {
      void (async () => {
        for (let index = 0; index < count; index++) await application.binary(content(index));
      })();
    }
    await Promise.all(quick.map(readAll));
  });
  expect(grown).toBeLessThan(stalled.length * MIB);
  for (const { browser } of stalled) browser.wire.resume();
  await Promise.all(stalled.map(readAll));
  shut(...all);
  await stage.stop();
});
