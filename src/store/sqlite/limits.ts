import type { LimitCount, LimitOutcome, LimitRule, Limits } from "../limits.ts";
import type { SqliteHandle } from "./handle.ts";

const ALLOWED: LimitOutcome = { allowed: true };

/**
 * An exact sliding log per key, shared by all processes: a hit is allowed when the one `limit` hits before it is a whole window
 * old. Counted on a clock of its own (`shared-clock.ts`). At `capacity` keys the one that was hit longest ago makes room: going
 * by when they are idle, keys of a long window would in time leave no room for those of a short one.
 * @property sweep forgets some idle keys; true if there may be more.
 */
export function createSqliteLimits(
  handle: SqliteHandle,
  sharedNow: () => number,
  capacity = 262_144,
): Limits & { sweep(most: number): boolean } {
  const { relaxed } = handle;
  const select = relaxed.prepare<{ hits: string }, [string]>("SELECT hits FROM limits WHERE key = ?");
  const put = relaxed.prepare<never, [string, string, number, number]>(`
    INSERT INTO limits (key, hits, last_at, idle_at) VALUES (?, ?, ?, ?)
    ON CONFLICT DO UPDATE SET hits = excluded.hits, last_at = excluded.last_at, idle_at = excluded.idle_at`);
  const remove = relaxed.prepare<never, [string]>("DELETE FROM limits WHERE key = ?");
  const keys = relaxed.prepare<{ value: number }, []>("SELECT value FROM state WHERE name = 'limit_keys'");
  const removeFirst = relaxed.prepare<never, [number]>(
    "DELETE FROM limits WHERE key IN (SELECT key FROM limits ORDER BY last_at LIMIT ?)",
  );
  const removeIdle = relaxed.prepare<never, [number, number]>(`
    DELETE FROM limits WHERE key IN
      (SELECT key FROM limits WHERE idle_at <= ?1 ORDER BY idle_at LIMIT ?2)`);
  const idle = relaxed.prepare<{ found: number }, [number]>(
    "SELECT 1 AS found FROM limits WHERE idle_at <= ? LIMIT 1",
  );

  /** The last hits that were allowed, oldest first, as many as the rule looks at. */
  function recent(key: string, limit: number): number[] {
    const row = select.get(key);
    return row === null ? [] : (JSON.parse(row.hits) as number[]).slice(-limit);
  }

  /** Over 0 if a hit must wait. */
  function waitOf(hits: readonly number[], { limit, windowMs }: LimitRule, now: number): number {
    const oldest = hits[0];
    return oldest === undefined || hits.length < limit ? 0 : oldest + windowMs - now;
  }

  function longestWait(counts: readonly LimitCount[], now: number): number {
    return counts.reduce(
      (longest, { key, rule }) => Math.max(longest, waitOf(recent(key, rule.limit), rule, now)),
      0,
    );
  }

  function refusal(wait: number): LimitOutcome | undefined {
    return wait > 0 ? { allowed: false, retryAfterMs: wait } : undefined;
  }

  function count({ key, rule }: LimitCount, now: number): void {
    const hits = recent(key, rule.limit);
    if (hits.length === 0) {
      const over = (keys.get()?.value ?? 0) + 1 - capacity;
      if (over > 0) removeFirst.run(over);
    }
    hits.push(now);
    put.run(key, JSON.stringify(hits.slice(-rule.limit)), now, now + rule.windowMs);
  }

  const hitOnce = relaxed.transaction((counts: readonly LimitCount[]): LimitOutcome => {
    // Read with the lock held, so that hits are counted in the order of their times.
    const now = sharedNow();
    const refused = refusal(longestWait(counts, now));
    if (refused !== undefined) return refused;
    for (const one of counts) count(one, now);
    return ALLOWED;
  });

  return {
    hit(key: string, rule: LimitRule, wider: readonly LimitCount[] = []) {
      const counts = [{ key, rule }, ...wider].filter((one) => one.rule.limit > 0);
      if (counts.length === 0) return ALLOWED;
      const now = sharedNow();
      // A flood is refused by looking: it takes no lock from those who write.
      const refused = refusal(handle.read(() => longestWait(counts, now)));
      return refused ?? handle.write(() => hitOnce.immediate(counts));
    },

    release(key) {
      handle.write(() => remove.run(key));
    },

    sweep(most) {
      const now = sharedNow();
      if (handle.read(() => idle.get(now)) === null) return false;
      return handle.write(() => removeIdle.run(now, most)).changes === most;
    },
  };
}
