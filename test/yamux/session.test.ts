import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { writeFrame } from "../../src/yamux/frame.ts";
import { FIRST_WINDOW, LARGEST_WINDOW, type Stream } from "../../src/yamux/session.ts";
import { type End, exchange, type Heard, hear, makeEnd, sizeOf, textOf } from "./pair.ts";

const utf8 = (text: string) => new TextEncoder().encode(text);

/** A client that accepts, and a server that opens, as a connector and a gateway are. */
function makePair(takes = true) {
  const accepted: { readonly stream: Stream; readonly heard: Heard }[] = [];
  const client = makeEnd("client", {
    accept(stream) {
      accepted.push({ stream, heard: hear(stream, takes) });
      return true;
    },
  });
  return { client, server: makeEnd("server"), accepted };
}

function open(end: End) {
  const stream = end.session.open();
  if (stream === undefined) throw new Error("no stream");
  return { stream, heard: hear(stream) };
}

test("what is written arrives, both ways, and each side ends by itself", () => {
  const { client, server, accepted } = makePair();
  const { stream, heard } = open(server);
  stream.write(utf8("question"));
  stream.end();
  exchange(client, server);
  const [there] = accepted;
  expect(there?.heard).toMatchObject({ ended: true, broken: false });
  expect(there && textOf(there.heard)).toBe("question");
  expect(heard.ended).toBe(false);
  there?.stream.write(utf8("answer"));
  there?.stream.end();
  exchange(client, server);
  expect(textOf(heard)).toBe("answer");
  expect(heard.ended).toBe(true);
  expect([client.session.size, server.session.size]).toEqual([0, 0]);
});

test("frames cut anywhere say the same", () => {
  fc.assert(
    fc.property(
      fc.integer({ min: 1, max: 40 }),
      fc.array(fc.uint8Array({ maxLength: 300 }), { maxLength: 20 }),
      (piece, parts) => {
        const { client, server, accepted } = makePair();
        const { stream } = open(server);
        for (const part of parts) {
          stream.write(part);
          exchange(server, client, piece);
        }
        stream.end();
        exchange(server, client, piece);
        const whole = Buffer.concat(parts);
        expect(Buffer.concat(accepted[0]?.heard.chunks ?? [])).toEqual(whole);
        expect(accepted[0]?.heard.ended).toBe(true);
      },
    ),
    { numRuns: 200 },
  );
});

test("nothing is sent beyond the window, and what waits goes on as it is taken", () => {
  const { client, server, accepted } = makePair(false);
  const { stream, heard } = open(server);
  const whole = new Uint8Array(FIRST_WINDOW + 1_000).fill(7);
  expect(stream.write(whole)).toBe(false);
  exchange(server, client);
  const there = accepted[0];
  if (there === undefined) throw new Error("not accepted");
  expect(sizeOf(there.heard)).toBe(FIRST_WINDOW);
  expect(heard.drained).toBe(0);
  there.stream.taken(FIRST_WINDOW);
  exchange(server, client);
  expect(sizeOf(there.heard)).toBe(whole.byteLength);
  expect(heard.drained).toBe(1);
});

test("one stalled stream holds none of a hundred up", () => {
  const { client, server, accepted } = makePair(false);
  const all = Array.from({ length: 100 }, () => open(server));
  for (const { stream } of all) stream.write(new Uint8Array(4 * FIRST_WINDOW));
  exchange(server, client);
  // All but the first are read.
  for (let round = 0; round < 20; round++) {
    for (const { stream, heard } of accepted.slice(1)) {
      stream.taken(sizeOf(heard));
      heard.chunks.length = 0;
    }
    exchange(server, client);
  }
  expect(all.map(({ heard }) => heard.drained)).toEqual([0, ...Array(99).fill(1)]);
});

test("the window of a stream that is read grows, and no further than it may", () => {
  const { client, server, accepted } = makePair();
  const { stream } = open(server);
  let round = 0;
  for (; round < 100; round++) {
    stream.write(new Uint8Array(LARGEST_WINDOW));
    exchange(server, client);
  }
  expect(accepted).toHaveLength(1);
  // Not read any more: what still comes is the whole window.
  const there = accepted[0];
  if (there === undefined) throw new Error("not accepted");
  const stalled = hear(there.stream, false);
  stream.write(new Uint8Array(3 * LARGEST_WINDOW));
  exchange(server, client);
  expect(sizeOf(stalled)).toBeLessThanOrEqual(LARGEST_WINDOW);
  expect(sizeOf(stalled)).toBeGreaterThan(FIRST_WINDOW);
});

test("streams take turns where the line is narrow", () => {
  const { server } = makePair();
  const first = open(server);
  const second = open(server);
  server.full = true;
  first.stream.write(new Uint8Array(100_000));
  second.stream.write(utf8("a word"));
  expect(server.out).toHaveLength(0);
  server.full = false;
  server.session.resume();
  const ids = server.out.map((bytes) => new DataView(bytes.buffer).getUint32(4));
  expect(ids.slice(0, 2)).toEqual([first.stream.id, second.stream.id]);
});

test("a reset here is one there, and nothing of what waited follows it", () => {
  const { client, server, accepted } = makePair();
  const { stream } = open(server);
  stream.write(utf8("begun"));
  exchange(server, client);
  stream.reset();
  stream.write(utf8("too late"));
  exchange(server, client);
  expect(accepted[0]?.heard).toMatchObject({ broken: true, ended: false });
  expect(accepted[0] && textOf(accepted[0].heard)).toBe("begun");
  expect([client.session.size, server.session.size]).toEqual([0, 0]);
});

test("data that was under way when a stream was reset is let pass", () => {
  const { client, server, accepted } = makePair();
  const { stream } = open(server);
  stream.write(utf8("x"));
  exchange(server, client);
  accepted[0]?.stream.write(utf8("under way"));
  stream.reset();
  exchange(server, client);
  expect(server.closed).toEqual([]);
});

test("streams whose beginnings overtake each other are all taken, and none twice", () => {
  const { client, accepted } = makePair();
  for (const id of [6, 2, 8, 4]) client.session.receive(frame(WINDOW, SYN, id, 0));
  expect(accepted.map(({ stream }) => stream.id)).toEqual([6, 2, 8, 4]);
  expect(client.closed).toEqual([]);
  client.session.receive(frame(WINDOW, SYN, 4, 0));
  expect(client.closed).toEqual(["opens a stream that is there"]);
});

test("a ping is answered with how long it took, and a go-away is heard", async () => {
  const { client, server } = makePair();
  const took = server.session.ping();
  exchange(server, client);
  expect(await took).toBeGreaterThanOrEqual(0);
  server.session.goAway();
  exchange(server, client);
  expect(client.away).toBe(1);
  expect(client.closed).toEqual([]);
});

test("a refused stream is reset", () => {
  const client = makeEnd("client", { accept: () => false });
  const server = makeEnd("server");
  const { stream, heard } = open(server);
  stream.write(utf8("x"));
  exchange(client, server);
  expect(heard.broken).toBe(true);
  expect(client.session.size).toBe(0);
});

const DATA = 0;
const WINDOW = 1;
const PING = 2;
const AWAY = 3;
const SYN = 1;
const frame = (type: number, flags: number, id: number, length: number) =>
  writeFrame({ type, flags, id, length });

describe("what is against the protocol closes the connection, and nothing else", () => {
  const CASES: readonly (readonly [what: string, frames: readonly Uint8Array[], why: string])[] = [
    ["another version", [Uint8Array.of(1, ...new Uint8Array(11))], "another version"],
    ["an unknown type", [frame(9, 0, 2, 0)], "an unknown type of frame"],
    ["a huge length", [frame(DATA, SYN, 2, 0xffffffff)], "more than its window"],
    ["an unknown stream of theirs", [frame(DATA, 0, 2, 1)], "an unknown stream"],
    ["an unknown stream of ours", [frame(WINDOW, 0, 1, 1)], "an unknown stream"],
    ["a stream twice", [frame(WINDOW, SYN, 2, 0), frame(WINDOW, SYN, 2, 0)], "opens a stream that is there"],
    ["a stream far beyond the last", [frame(WINDOW, SYN, 100_000, 0)], "leaves out streams"],
    ["a stream with an id of ours", [frame(WINDOW, SYN, 1, 0)], "opens a stream that is there"],
    ["one byte more than the window", [frame(DATA, SYN, 2, FIRST_WINDOW + 1)], "more than its window"],
    [
      "data after the end",
      [frame(DATA, SYN | 4, 2, 0), writeFrame({ type: DATA, flags: 0, id: 2, length: 1 }, utf8("x"))],
      "data after the end",
    ],
    [
      "windows beyond all bounds",
      [frame(WINDOW, SYN, 2, 0xffffffff), frame(WINDOW, 0, 2, 1)],
      "a window beyond all bounds",
    ],
    ["data for the connection", [frame(DATA, 0, 0, 1)], "a frame for no such stream"],
    ["a ping on a stream", [frame(PING, SYN, 3, 1)], "a frame for no such stream"],
    ["an end with a reason", [frame(AWAY, 0, 0, 2)], "the other end broke it off"],
    ["a flood of pings", Array.from({ length: 200 }, () => frame(PING, SYN, 0, 1)), "pings too often"],
  ];
  for (const [what, frames, why] of CASES) {
    test(what, () => {
      const { client } = makePair();
      for (const one of frames) client.session.receive(one);
      expect(client.closed).toEqual([why]);
      expect(client.session.size).toBe(0);
    });
  }

  test("a stream opened at an end that takes none", () => {
    const server = makeEnd("server");
    server.session.receive(frame(WINDOW, SYN, 1, 0));
    expect(server.closed).toEqual(["opens a stream, and may not"]);
  });
});

test("100,000 opens and resets close the connection, and leave nothing behind", () => {
  const { client } = makePair();
  for (let id = 2; id < 200_000; id += 2) {
    client.session.receive(frame(WINDOW, SYN, id, 0));
    client.session.receive(frame(WINDOW, 8, id, 0));
    client.out.length = 0;
  }
  expect(client.closed).toEqual(["resets too many streams"]);
  expect(client.session.size).toBe(0);
});

test("visitors who leave at once, a thousand in a second, do not end the connection", () => {
  let now = 0;
  const { accepted } = makePair();
  const client = makeEnd("client", {
    accept(stream) {
      accepted.push({ stream, heard: hear(stream) });
      return true;
    },
    clock: { monotonic: () => now++ },
  });
  for (let id = 2; id < 20_000; id += 2) {
    client.session.receive(frame(WINDOW, SYN, id, 0));
    client.session.receive(frame(WINDOW, 8, id, 0));
    client.out.length = 0;
  }
  expect(client.closed).toEqual([]);
});

test("an application that refuses every connection does not end what others do", () => {
  const client = makeEnd("client", { accept: () => true });
  const server = makeEnd("server", { clock: { monotonic: () => 0 } });
  const other = open(server);
  for (let count = 0; count < 50_000; count++) {
    const { stream } = open(server);
    server.out.length = 0;
    server.session.receive(frame(WINDOW, 8, stream.id, 0));
  }
  expect(server.closed).toEqual([]);
  expect(other.heard.broken).toBe(false);
  expect(server.session.size).toBe(1);
  client.session.close();
});

test("that the other end goes away is told once, however often it says so", () => {
  const client = makeEnd("client");
  for (let count = 0; count < 1_000; count++) client.session.receive(frame(AWAY, 0, 0, 0));
  expect(client.away).toBe(1);
});

test("an end that reads nothing and keeps asking is left", () => {
  let now = 0;
  const client = makeEnd("client", { accept: () => false, clock: { monotonic: () => (now += 1_000) } });
  for (let id = 2; id < 3_000_000 && client.closed.length === 0; id += 2)
    client.session.receive(frame(WINDOW, SYN, id, 0));
  expect(client.closed).toEqual(["reads nothing"]);
}, 60_000);

/** As an attacker writes them: mostly well formed, of few streams, with lengths that matter. */
const anyFrame = fc
  .record({
    type: fc.integer({ min: 0, max: 4 }),
    flags: fc.integer({ min: 0, max: 15 }),
    id: fc.integer({ min: 0, max: 8 }),
    length: fc.oneof(fc.integer({ min: 0, max: 64 }), fc.constantFrom(FIRST_WINDOW, 0xffffffff)),
    body: fc.uint8Array({ maxLength: 64 }),
  })
  .map(({ body, ...head }) => writeFrame(head, body));

test("fuzzed frames never throw, and never make it hold more than its windows", () => {
  fc.assert(
    fc.property(fc.array(anyFrame, { maxLength: 60 }), (frames) => {
      const { client, accepted } = makePair(false);
      for (const one of frames) client.session.receive(one);
      const held = accepted.reduce((sum, { heard }) => sum + sizeOf(heard), 0);
      expect(held).toBeLessThanOrEqual(accepted.length * FIRST_WINDOW);
      expect(client.session.size).toBeLessThanOrEqual(4);
      if (client.closed.length > 0) expect(client.session.size).toBe(0);
    }),
    { numRuns: 500 },
  );
});
