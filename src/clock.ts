/** Time and randomness, passed in everywhere so that tests decide both and never sleep. */

export type Clock = {
  /** Wall clock, milliseconds since the Unix epoch. For anything signed, stored or shown. */
  now(): number;
  /** Monotonic clock, milliseconds from an arbitrary start. For limits and durations: it never jumps. */
  monotonic(): number;
};

export type Random = {
  /** `length` bytes from the system's cryptographic generator. */
  bytes(length: number): Uint8Array<ArrayBuffer>;
};

/** Resolves after so many milliseconds, and keeps no process from ending. */
export type Pause = (milliseconds: number) => Promise<void>;

export const systemPause: Pause = (milliseconds) =>
  new Promise((resolve) => void setTimeout(resolve, milliseconds).unref());

export const systemClock: Clock = {
  now: () => Date.now(),
  monotonic: () => performance.now(),
};

export const systemRandom: Random = {
  bytes: (length) => crypto.getRandomValues(new Uint8Array(length)),
};
