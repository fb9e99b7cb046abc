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

export const systemClock: Clock = {
  now: () => Date.now(),
  monotonic: () => performance.now(),
};

export const systemRandom: Random = {
  bytes: (length) => crypto.getRandomValues(new Uint8Array(length)),
};
