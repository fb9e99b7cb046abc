import { expect, test } from "bun:test";
import { writeFrame } from "../../src/yamux/frame.ts";
import { FIRST_WINDOW } from "../../src/yamux/session.ts";
import { hear, makeEnd, sizeOf } from "./pair.ts";

/** A million frames, mostly well formed and about few streams, as an attacker would write them; every tenth is damaged. */

const FRAMES = 1_000_000;
const IN_SESSION = 40;

/** Xorshift: the same in every run. */
function createDice(seed: number) {
  let state = seed;
  return (sides: number): number => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return (state >>> 0) % sides;
  };
}

test("a million fuzzed frames: none throws, none makes an end hold more than its windows", () => {
  const dice = createDice(20_261_125);
  const body = new Uint8Array(64);
  const before = process.memoryUsage().rss;
  for (let sent = 0; sent < FRAMES; sent += IN_SESSION) {
    const heard: ReturnType<typeof hear>[] = [];
    const role = dice(2) === 0 ? "client" : "server";
    const end = makeEnd(role, {
      accept(stream) {
        heard.push(hear(stream, dice(2) === 0));
        return dice(8) > 0;
      },
    });
    end.session.open()?.write(body);
    for (let count = 0; count < IN_SESSION; count++) {
      const length = [dice(64), dice(64), FIRST_WINDOW, 0xffffffff][dice(4)] ?? 0;
      const bytes = writeFrame(
        { type: dice(20) === 0 ? dice(256) : dice(4), flags: dice(16), id: dice(9), length },
        body.subarray(0, Math.min(length, 64)),
      );
      if (dice(10) === 0) bytes[dice(bytes.byteLength)] = dice(256);
      const cut = dice(bytes.byteLength);
      end.session.receive(bytes.subarray(0, cut));
      end.session.receive(bytes.subarray(cut));
    }
    const held = heard.reduce((sum, one) => sum + sizeOf(one), 0);
    if (held > (heard.length + 1) * FIRST_WINDOW) throw new Error(`holds ${held} bytes`);
    if (end.session.isClosed && end.session.size > 0) throw new Error("streams of a connection that is over");
  }
  Bun.gc(true);
  expect(process.memoryUsage().rss - before).toBeLessThan(200 * 1024 * 1024);
}, 120_000);
