import { expect, test } from "bun:test";
import type { Socket } from "bun";
import { attach, type Joined, joinStream } from "../../src/connect/pipe.ts";
import type { Stream, StreamListener } from "../../src/yamux/session.ts";

/** A stream whose bytes the test brings, and a socket that takes as many as it says. */
function makeJoined() {
  let listener: StreamListener | undefined;
  let taken = 0;
  const written: Uint8Array[] = [];
  const socket = { room: 0 };
  const stream: Stream = {
    id: 1,
    listen: (given) => {
      listener = given;
    },
    write: () => true,
    end() {},
    reset() {},
    taken: (bytes) => {
      taken += bytes;
    },
  };
  const joined = joinStream(stream);
  const write = (bytes: Uint8Array) => {
    const piece = bytes.slice(0, socket.room);
    socket.room -= piece.byteLength;
    written.push(piece);
    return piece.byteLength;
  };
  const fake = { data: joined, write, end() {}, terminate() {} } as unknown as Socket<Joined>;
  return {
    ...{ joined, socket, written },
    attach: () => attach(fake),
    bring: (bytes: Uint8Array) => listener?.data(bytes),
    taken: () => taken,
  };
}

test("what waits in single bytes takes little more than it holds, and nothing of the messages it came in", () => {
  const { joined, socket, attach, bring, written, taken } = makeJoined();
  const bytes = 50_000;
  let kept = 0;
  attach();
  for (let count = 0; count < bytes; count++) {
    const message = new Uint8Array(1_000).fill(count);
    bring(message.subarray(500, 501));
  }
  for (const one of joined.queue) kept += one.buffer.byteLength;
  expect(joined.queue.length).toBeLessThan(30);
  expect(kept).toBeLessThan(2 * bytes);

  socket.room = Number.POSITIVE_INFINITY;
  attach();
  const whole = Buffer.concat(written);
  expect(whole.byteLength).toBe(bytes);
  expect(whole.every((byte, at) => byte === at % 256)).toBe(true);
  expect(taken()).toBe(bytes);
});

test("what the socket takes in parts goes in its order", () => {
  const { socket, attach, bring, written } = makeJoined();
  bring(Uint8Array.of(1, 2, 3));
  socket.room = 2;
  attach();
  bring(Uint8Array.of(4, 5));
  socket.room = 100;
  attach();
  bring(Uint8Array.of(6));
  expect([...Buffer.concat(written)]).toEqual([1, 2, 3, 4, 5, 6]);
});
