import {
  addHit,
  countsOf,
  hitsWithin,
  type LimitCount,
  type Limits,
  longestWait,
  outcomeOf,
} from "../limits.ts";
import type { SqliteHandle } from "./handle.ts";

/**
 * The row of a key holds its hits, for all processes, in the times of a clock of their own (`shared-clock.ts`). At `capacity`
 * keys the one that was hit longest ago makes room: going by when they are idle, keys of a long window would in time leave no
 * room for those of a short one.
 * @property sweep forgets some idle keys; true if there may be more.
 */
export function createSqliteLimits(
  { database, read, write }: SqliteHandle,
  sharedNow: () => number,
  capacity = 262_144,
): Limits & { sweep(most: number): boolean } {
  const select = database.prepare<{ hits: string }, [string]>("SELECT hits FROM limits WHERE key = ?");
  const put = database.prepare<never, [string, string, number, number]>(`
    INSERT INTO limits (key, hits, last_at, idle_at) VALUES (?, ?, ?, ?)
    ON CONFLICT DO UPDATE SET hits = excluded.hits, last_at = excluded.last_at, idle_at = excluded.idle_at`);
  const remove = database.prepare<never, [string]>("DELETE FROM limits WHERE key = ?");
  const keys = database.prepare<{ value: number }, []>("SELECT value FROM state WHERE name = 'limit_keys'");
  const removeFirst = database.prepare<never, [number]>(
    "DELETE FROM limits WHERE key IN (SELECT key FROM limits ORDER BY last_at LIMIT ?)",
  );
  const removeIdle = database.prepare<never, [number, number]>(`
    DELETE FROM limits WHERE key IN
      (SELECT key FROM limits WHERE idle_at <= ?1 ORDER BY idle_at LIMIT ?2)`);
  const idle = database.prepare<{ found: number }, [number]>(
    "SELECT 1 AS found FROM limits WHERE idle_at <= ? LIMIT 1",
  );

  function hitsOf(key: string): number[] {
    const row = select.get(key);
    return row === null ? [] : (JSON.parse(row.hits) as number[]);
  }

  const hitOnce = database.transaction((counts: readonly LimitCount[]): number => {
    // Read with the lock held, so that hits are counted in the order of their times.
    const now = sharedNow();
    const wait = longestWait(counts, hitsOf, now);
    if (wait > 0) return wait;
    for (const { key, rule } of counts) {
      const hits = hitsOf(key);
      addHit(hits, rule, now);
      put.run(key, JSON.stringify(hits), now, now + rule.windowMs);
    }
    const over = (keys.get()?.value ?? 0) - capacity;
    if (over > 0) removeFirst.run(over);
    return 0;
  });

  return {
    hit(key, rule, wider) {
      const counts = countsOf(key, rule, wider);
      if (counts.length === 0) return outcomeOf(0);
      const now = sharedNow();
      // A flood is refused by looking: it takes no lock from those who write.
      const wait = read(() => longestWait(counts, hitsOf, now));
      return outcomeOf(wait > 0 ? wait : write(() => hitOnce.immediate(counts)));
    },

    count(counts) {
      const now = sharedNow();
      return read(() => counts.map(({ key, rule }) => hitsWithin(hitsOf(key), rule, now)));
    },

    release(key) {
      write(() => remove.run(key));
    },

    sweep(most) {
      const now = sharedNow();
      if (read(() => idle.get(now)) === null) return false;
      return write(() => removeIdle.run(now, most)).changes === most;
    },
  };
}
