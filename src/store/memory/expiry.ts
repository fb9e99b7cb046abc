/**
 * Keys sorted into buckets by when they expire, so that letting go of the expired ones looks at whole buckets and never
 * at the keys that still live.
 */
export type ExpiryBuckets = {
  /** @param expiresAt milliseconds since the Unix epoch. */
  add(key: string, expiresAt: number): void;
  /** Takes back an `add` with the same `expiresAt`. */
  remove(key: string, expiresAt: number): void;
  /** Hands every key of the buckets that have wholly passed to `forget`, once. */
  sweep(now: number, forget: (key: string) => void): void;
  /** The end of the latest bucket ever swept: everything handed to `forget` expired before it. */
  sweptUntil: number;
};

/** @param width of a bucket in milliseconds: how long a key may be held beyond its expiry. */
export function createExpiryBuckets(width: number): ExpiryBuckets {
  const buckets = new Map<number, Set<string>>();
  let sweptUntil = Number.NEGATIVE_INFINITY;
  let lastLook = Number.NEGATIVE_INFINITY;

  return {
    add(key, expiresAt) {
      const index = Math.floor(expiresAt / width);
      const bucket = buckets.get(index);
      if (bucket === undefined) buckets.set(index, new Set([key]));
      else bucket.add(key);
    },

    remove(key, expiresAt) {
      const index = Math.floor(expiresAt / width);
      const bucket = buckets.get(index);
      if (bucket?.delete(key) && bucket.size === 0) buckets.delete(index);
    },

    sweep(now, forget) {
      const current = Math.floor(now / width);
      if (current === lastLook) return;
      lastLook = current;
      for (const [index, keys] of buckets) {
        if (index >= current) continue;
        buckets.delete(index);
        sweptUntil = Math.max(sweptUntil, (index + 1) * width);
        for (const key of keys) forget(key);
      }
    },

    get sweptUntil() {
      return sweptUntil;
    },
    set sweptUntil(until) {
      sweptUntil = until;
    },
  };
}
