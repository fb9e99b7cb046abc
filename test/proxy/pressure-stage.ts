import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { connect as connectTcp } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { connect as connectTls, createServer as createTlsServer } from "node:tls";
import { makeCertificate } from "../support/certificate.ts";
import { type Wire, wireOf } from "../support/raw.ts";
import { startUpstream, type Upstream, type UpstreamSettings } from "../support/upstream.ts";
import { type ServeProcess, startServe } from "./process.ts";
import { settled, within } from "./support.ts";
import { acceptWebSocket, OPCODE, openWebSocket, type Peer } from "./websocket.ts";

/** A gateway process with WebSockets whose readers are slow, and what is true of them whatever is around it. */

export const MIB = 1024 * 1024;
/** What all the system's buffers on the way may hold, of two connections at both ends. */
const UNDER_WAY = 64 * MIB;
export const MAY_GROW = 32 * MIB;

export type Ends = { readonly browser: Peer; readonly application: Peer };
export type EndName = keyof Ends;
export const DIRECTIONS = [
  ["browser", "application"],
  ["application", "browser"],
] as const;

/** A gateway process in front of an application that takes WebSockets. */
export class Stage {
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

export type StageSettings = {
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

export function shut(...all: readonly Ends[]): void {
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

const PATTERN = Buffer.alloc(4 * MIB, "0123456789 the quick brown fox jumps over the lazy dog\n");

/** The `index`th of many messages: of all sizes, none like another. */
function message(index: number): Buffer {
  const length = index % 50 === 49 ? 3 * MIB : 1 + ((index * 7919) % 150_000);
  return Buffer.concat([Buffer.from(`${index}:`), PATTERN.subarray(index % 50, (index % 50) + length)]);
}

/** About 95 MiB. */
const MESSAGES = 700;

export function describeSlowReaders(way: string, settings: StageSettings): void {
  describe(way, () => {
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

    async function sendAll(
      peer: Peer,
      kind: "text" | "binary",
      sent: (bytes: number) => void,
    ): Promise<void> {
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
}
