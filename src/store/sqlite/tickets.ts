import type { Clock } from "../../clock.ts";
import { StoreUnavailable, type TicketStore } from "../contracts.ts";
import type { SqliteHandle } from "./handle.ts";

/**
 * How long a mark is kept after its ticket has expired. What was spent while the wall clock was ahead is forgotten only if it
 * was so for longer: from then on, no link would work until the time that it showed.
 */
const MARGIN_MS = 24 * 60 * 60 * 1000;

/**
 * Spent marks. A mark goes some time after its ticket has expired; up to which expiry they have gone is kept with them, so that
 * a wall clock that is set back makes no forgotten ticket fresh.
 * @property sweep forgets some expired marks; true if there may be more.
 */
export function createSqliteTickets(
  handle: SqliteHandle,
  clock: Clock,
): TicketStore & { sweep(most: number): boolean } {
  const { durable, relaxed } = handle;
  // One statement, so that of all processes one inserts the row.
  const mark = durable.prepare<never, [string, number]>(`
    INSERT INTO tickets (jti, expires_at)
    SELECT ?1, ?2 WHERE ?2 > (SELECT value FROM state WHERE name = 'tickets_swept_until')
    ON CONFLICT DO NOTHING`);
  const find = durable.prepare<{ found: number }, [string]>("SELECT 1 AS found FROM tickets WHERE jti = ?");
  const forget = relaxed.prepare<{ expiresAt: number }, [number, number]>(`
    DELETE FROM tickets WHERE jti IN
      (SELECT jti FROM tickets WHERE expires_at <= ?1 ORDER BY expires_at LIMIT ?2)
    RETURNING expires_at AS expiresAt`);
  const remember = relaxed.prepare<never, [number]>(
    "UPDATE state SET value = max(value, ?) WHERE name = 'tickets_swept_until'",
  );
  const made = durable.prepare<{ at: number }, []>(
    "SELECT applied_at AS at FROM schema_version WHERE version = 1",
  );
  const expired = relaxed.prepare<{ found: number }, [number]>(
    "SELECT 1 AS found FROM tickets WHERE expires_at <= ? LIMIT 1",
  );
  const sweep = relaxed.transaction((until: number, most: number): boolean => {
    const gone = forget.all(until, most);
    remember.run(gone.reduce((latest, { expiresAt }) => Math.max(latest, expiresAt), 0));
    return gone.length === most;
  });

  return {
    spend(jti, expiresAt) {
      if (expiresAt <= clock.now()) return "spent";
      try {
        return handle.write(() => mark.run(jti, expiresAt)).changes === 1 ? "fresh" : "spent";
      } catch (error) {
        if (error instanceof StoreUnavailable) return "unavailable";
        throw error;
      }
    },

    isSpent: (jti) => handle.read(() => find.get(jti)) !== null,
    since: () => handle.read(() => made.get())?.at ?? 0,

    sweep(most) {
      const until = clock.now() - MARGIN_MS;
      if (handle.read(() => expired.get(until)) === null) return false;
      return handle.write(() => sweep.immediate(until, most));
    },
  };
}
