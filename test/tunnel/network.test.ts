import { afterEach, beforeEach, describe, expect, jest, test } from "bun:test";
import { connect, createServer, type Server, type Socket } from "node:net";
import { type Connector, createConnector } from "../../src/connect/connector.ts";
import { TUNNEL_PATH } from "../../src/connect/protocol.ts";
import { readServices } from "../../src/connect/target.ts";
import { OWN_PREFIX } from "../../src/pages/paths.ts";
import { settle } from "../connect/gateway.ts";
import { testClock, testRandom } from "../support/clock.ts";
import { openStage, type TunnelStage } from "./stage.ts";

/** A gateway and a connector with a network between them that does what networks do. Time is the test's at both ends. */

const SECOND = 1_000;

let clock = testClock();
let stage: TunnelStage;
let home: Bun.Server<undefined>;
let relay: Relay;
let connector: Connector;

beforeEach(async () => {
  clock = testClock();
  home = Bun.serve({ hostname: "127.0.0.1", port: 0, fetch: () => new Response("home") });
  stage = await openStage({ clock });
  relay = await startRelay(stage.gateway.port);
  jest.useFakeTimers();
});
afterEach(async () => {
  jest.useRealTimers();
  await connector.stop(0);
  await relay.stop();
  await stage.stop();
  await home.stop(true);
});

type Relay = {
  readonly port: number;
  /** Connections so far. */
  readonly made: number;
  /** Nothing passes, and nobody is told: as where a cable was pulled. */
  deaf: boolean;
  /** As a router that forgets: who has been silent for so long finds nobody any more. */
  forget(idleMs: number): void;
  stop(): Promise<void>;
};

async function startRelay(to: number): Promise<Relay> {
  const pairs = new Map<Socket, { readonly other: Socket; at: number }>();
  let made = 0;
  const server: Server = createServer((near) => {
    made++;
    const far = connect(to, "127.0.0.1");
    const pair = { other: far, at: clock.monotonic() };
    pairs.set(near, pair);
    for (const [from, into] of [
      [near, far],
      [far, near],
    ] as const) {
      from.on("data", (bytes) => {
        if (self.deaf) return;
        pair.at = clock.monotonic();
        into.write(bytes);
      });
      from.on("error", () => {});
      from.on("close", () => {
        pairs.delete(near);
        into.destroy();
      });
    }
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const address = server.address();
  if (address === null || typeof address === "string") throw new Error("no port");
  const self: Relay = {
    ...{ port: address.port, deaf: false },
    get made() {
      return made;
    },
    forget(idleMs) {
      for (const [near, { at }] of pairs) if (clock.monotonic() - at >= idleMs) near.destroy();
    },
    async stop() {
      for (const [near, { other }] of pairs) {
        near.destroy();
        other.destroy();
      }
      await new Promise((resolve) => server.close(resolve));
    },
  };
  return self;
}

async function join(): Promise<void> {
  connector = createConnector({
    url: `ws://127.0.0.1:${relay.port}${OWN_PREFIX}${TUNNEL_PATH}?name=home`,
    headers: { Authorization: `Bearer ${stage.token}`, Host: new URL(stage.gateway.url).host },
    tls: undefined,
    services: readServices([`http://127.0.0.1:${home.port}`]),
    ...{ connections: 1, clock, random: testRandom(), network: () => "home" },
    changed() {},
  });
  await upTo(() => connector.status().connections.length === 1);
}

async function upTo(isSo: () => boolean): Promise<void> {
  for (let round = 0; round < 500 && !isSo(); round++) await settle();
  expect(isSo()).toBe(true);
}

async function pass(seconds: number, each: () => void = () => {}): Promise<void> {
  for (let second = 0; second < seconds; second++) {
    clock.advance(SECOND);
    jest.advanceTimersByTime(SECOND);
    await settle();
    each();
  }
}

const left = () => stage.gateway.lines.filter((line) => line.includes("a connector has left"));

describe("a router that forgets connections", () => {
  test("after 30 idle seconds never finds one: the heart-beat is in between", async () => {
    await join();
    await pass(300, () => relay.forget(30 * SECOND));
    expect(left()).toEqual([]);
    expect(relay.made).toBe(1);
  });

  test("sooner than the heart-beat costs a connection, and another is made", async () => {
    await join();
    await pass(60, () => relay.forget(10 * SECOND));
    expect(relay.made).toBeGreaterThan(1);
    expect(left().length).toBeGreaterThan(0);
  });
});

test("a connector that is not heard any more has left after 40 seconds, and no sooner", async () => {
  await join();
  relay.deaf = true;
  await pass(38);
  expect(left()).toEqual([]);
  await pass(4);
  expect(left()).toHaveLength(1);
  expect(left()[0]).toContain("says nothing any more");
});

test("when the network comes back, so does the tunnel", async () => {
  await join();
  relay.deaf = true;
  await pass(60);
  expect(connector.status().connections).toEqual([]);
  relay.deaf = false;
  await pass(45);
  expect(connector.status().connections).toHaveLength(1);
  expect((await stage.get("/")).status).toBe(200);
});
