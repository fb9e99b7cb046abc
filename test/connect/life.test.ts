import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { ACK, PING, writeFrame } from "../../src/yamux/frame.ts";
import { type Gateway, settle, startGateway } from "./gateway.ts";

/** How a connector keeps its connections up, whatever the network and the machine do. */

const SECOND = 1_000;
const MINUTE = 60 * SECOND;
const HOUR = 60 * MINUTE;

let gateway: Gateway;
beforeEach(() => {
  gateway = startGateway();
});
afterEach(() => gateway.stop());

const last = () => gateway.connections.at(-1);
const random = (byte: number) => ({ bytes: (length: number) => new Uint8Array(length).fill(byte) });

describe("the heart-beat", () => {
  test("is every 15 seconds", async () => {
    const connector = gateway.connect();
    await settle();
    let pings = 0;
    const session = last()?.session;
    if (session === undefined) throw new Error("not connected");
    const { receive } = session;
    Object.assign(session, {
      receive(bytes: Uint8Array) {
        if (bytes[1] === 2) pings++;
        receive(bytes);
      },
    });
    await gateway.pass(60 * SECOND);
    expect(pings).toBe(4);
    expect(connector.status().connections[0]?.roundTripMs).not.toBeNull();
  });

  test("that nobody answers for 40 seconds is the end, and no sooner", async () => {
    gateway.connect();
    await settle();
    gateway.mute = true;
    await gateway.pass(38 * SECOND);
    expect(last()?.closed).toBe(false);
    await gateway.pass(4 * SECOND);
    expect(gateway.connections[0]?.closed).toBe(true);
    expect(gateway.problems).toContain("the gateway says nothing any more");
  });
});

describe("connecting again", () => {
  /** Waits between tries, with a die that always shows the same. */
  async function waits(byte: number, forMs: number): Promise<number[]> {
    gateway.refuses = true;
    gateway.connect({ random: random(byte) });
    await settle();
    await gateway.pass(forMs, 100);
    return gateway.asked.slice(1).map((at, index) => at - (gateway.asked[index] ?? 0));
  }

  test("is after 0.2 seconds at the soonest, however often it failed", async () => {
    const all = await waits(0, 5 * SECOND);
    expect(all.length).toBeGreaterThan(15);
    expect(Math.min(...all)).toBeGreaterThanOrEqual(200);
    expect(Math.max(...all)).toBeLessThanOrEqual(300);
  });

  test("is after 30 seconds at the latest, and twice as long each time until then", async () => {
    const all = await waits(255, 2 * MINUTE);
    for (const [index, wait] of all.slice(0, 6).entries()) {
      const most = 400 * 2 ** (index + 1);
      expect(wait).toBeGreaterThan(0.9 * most);
      expect(wait).toBeLessThanOrEqual(most + 100);
    }
    expect(Math.max(...all)).toBeGreaterThan(29 * SECOND);
    expect(Math.max(...all)).toBeLessThanOrEqual(30 * SECOND + 100);
  });

  test("is at once when the machine is in another network", async () => {
    let network = "home";
    gateway.refuses = true;
    gateway.connect({ random: random(255), network: () => network });
    await settle();
    await gateway.pass(2 * MINUTE, 200);
    const before = gateway.asked.length;
    gateway.refuses = false;
    network = "train";
    await gateway.pass(1_200, 200);
    expect(gateway.asked.length).toBe(before + 1);
    expect(gateway.connections).toHaveLength(1);
  });
});

describe("a machine that slept", () => {
  test("drops a connection within seconds that did not outlast it, and makes another", async () => {
    gateway.connect();
    await settle();
    gateway.mute = true;
    gateway.clock.setWall(gateway.clock.now() + HOUR);
    await gateway.pass(6 * SECOND);
    expect(gateway.connections[0]?.closed).toBe(true);
    expect(gateway.problems).toContain("the connection did not outlast a sleep");
    expect(gateway.connections.length).toBeGreaterThan(1);
  });

  test("keeps one that did", async () => {
    gateway.connect();
    await settle();
    gateway.clock.setWall(gateway.clock.now() + HOUR);
    await gateway.pass(MINUTE);
    expect(gateway.connections.map(({ closed }) => closed)).toEqual([false]);
  });
});

test("a clock that is put back or forward ends nothing, and the heart-beat goes on", async () => {
  gateway.connect();
  await settle();
  for (const hours of [-5, 24, -24 * 365, 1]) {
    gateway.clock.setWall(gateway.clock.now() + hours * HOUR);
    await gateway.pass(MINUTE);
  }
  expect(gateway.connections.map(({ closed }) => closed)).toEqual([false]);
  gateway.mute = true;
  gateway.clock.setWall(gateway.clock.now() - HOUR);
  await gateway.pass(42 * SECOND);
  expect(gateway.connections[0]?.closed).toBe(true);
});

describe("something on the way that lets no WebSocket grow older than a minute", () => {
  /** Ends what is a minute old. @returns how many were, and in how many seconds nothing was up. */
  async function live(minutes: number) {
    const since = new Map<unknown, number>();
    let [cut, away] = [0, 0];
    const isUp = () => gateway.connections.some(({ closed }) => !closed);
    for (let second = 0; second < minutes * 60; second++) {
      await gateway.pass(SECOND, 250);
      for (const one of gateway.connections.filter(({ closed }) => !closed)) {
        const at = since.get(one) ?? second;
        since.set(one, at);
        if (second - at < 60) continue;
        cut++;
        one.socket.terminate();
      }
      await settle();
      if (!isUp()) away++;
    }
    return { cut, away };
  }

  test("is learnt from two cuts, and not seen any more: another one is up before", async () => {
    gateway.connect({ connections: 2 });
    await settle();
    expect((await live(3)).cut).toBeGreaterThan(0);
    const { cut, away } = await live(5);
    expect({ cut, away }).toEqual({ cut: 0, away: 0 });
  });

  test("is not believed in where connections break at any age", async () => {
    gateway.connect();
    await settle();
    for (const seconds of [20, 50, 35, 60]) {
      await gateway.pass(seconds * SECOND);
      last()?.socket.terminate();
      await gateway.pass(2 * SECOND, 200);
    }
    const before = gateway.asked.length;
    await gateway.pass(10 * MINUTE, 5 * SECOND);
    expect(gateway.asked.length).toBe(before);
  });
});

describe("a gateway that means ill", () => {
  test("and says go-away at every beginning, has no more connections made than a few", async () => {
    gateway.opened = ({ session }) => session.goAway();
    gateway.connect();
    await settle(2_000);
    expect(gateway.asked.length).toBeLessThan(20);
    expect(gateway.asked.length).toBeGreaterThan(2);
  });

  test("and never lets go of those that are to go, has no more of them than a few", async () => {
    gateway.opened = ({ session }) => {
      const stream = session.open();
      stream?.write(Uint8Array.of(200));
      session.goAway();
    };
    gateway.connect();
    await gateway.pass(5 * MINUTE);
    expect(gateway.asked.length).toBeGreaterThan(20);
    expect(gateway.connections.filter(({ closed }) => !closed).length).toBeLessThan(20);
  });

  test("and ends with words for the terminal, is not repeated to it", async () => {
    gateway.connect();
    await settle();
    last()?.socket.close(4000, "\u001b]0;title\u0007\u001b[31mred\r\n\u202Eback");
    await settle();
    expect(gateway.problems.at(-1)).toBe("]0;title [31mred back");
  });

  test("and sends messages beyond all bounds, is left", async () => {
    gateway.connect();
    await settle();
    const nothing = writeFrame({ type: PING, flags: ACK, id: 0, length: 0 });
    last()?.socket.sendBinary(Buffer.concat(Array(1_000).fill(nothing)));
    await settle();
    expect(gateway.connections[0]?.closed).toBe(false);
    last()?.socket.sendBinary(Buffer.concat(Array(6_000).fill(nothing)));
    await settle();
    expect(gateway.connections[0]?.closed).toBe(true);
  });
});

test("one that is just being made when the connector stops does not stay", async () => {
  const connector = gateway.connect();
  await connector.stop(0);
  await settle(200);
  expect(gateway.connections.every(({ closed }) => closed)).toBe(true);
});
