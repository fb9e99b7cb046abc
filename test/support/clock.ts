import type { Clock, Random } from "../../src/clock.ts";

/** A clock that stands still until it is moved; both of its faces move together. */
export type TestClock = Clock & {
  /** Moves time on, in milliseconds. */
  advance(milliseconds: number): void;
  /** Sets the wall clock alone, as an administrator or NTP would: backwards too. */
  setWall(milliseconds: number): void;
};

export function testClock(start = Date.parse("2026-01-02T03:04:05Z")): TestClock {
  let wall = start;
  let monotonic = 1_000;
  return {
    now: () => wall,
    monotonic: () => monotonic,
    advance(milliseconds) {
      wall += milliseconds;
      monotonic += milliseconds;
    },
    setWall(milliseconds) {
      wall = milliseconds;
    },
  };
}

/** Bytes that differ at every call and are the same in every run. */
export function testRandom(seed = 1): Random {
  let state = seed;
  return {
    bytes(length) {
      const bytes = new Uint8Array(length);
      for (let index = 0; index < length; index++) {
        // Park and Miller's generator: good enough to differ, which is all a test needs.
        state = (state * 48271) % 2147483647;
        bytes[index] = state >> 8;
      }
      return bytes;
    },
  };
}
