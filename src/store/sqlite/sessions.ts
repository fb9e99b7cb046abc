import type { Clock } from "../../clock.ts";
import { type SessionRecord, type SessionStore, StoreUnavailable } from "../contracts.ts";
import type { SqliteHandle } from "./handle.ts";

const RECORD =
  "id, email, created_at AS createdAt, expires_at AS expiresAt, seen_at AS seenAt, ip, user_agent AS userAgent, seal";

/**
 * Sessions by id, which is found by one search however many there are. Beginning and end survive a power cut; the note of the
 * last use need not, and is made while somebody waits for their page.
 * @property sweep deletes some expired sessions; true if there may be more.
 */
export function createSqliteSessions(
  handle: SqliteHandle,
  clock: Clock,
): SessionStore & { sweep(most: number): boolean } {
  const { durable, relaxed } = handle;
  const listeners: Array<(id: string) => void> = [];
  const insert = durable.prepare<never, [string, string, number, number, number, string, string, string]>(`
    INSERT OR REPLACE INTO sessions (id, email, created_at, expires_at, seen_at, ip, user_agent, seal)
    VALUES (?, ?, ?, ?, ?, ?, ?, ?)`);
  const select = relaxed.prepare<SessionRecord, [string]>(`SELECT ${RECORD} FROM sessions WHERE id = ?`);
  const selectLive = relaxed.prepare<SessionRecord, [number]>(
    `SELECT ${RECORD} FROM sessions WHERE expires_at > ? ORDER BY created_at`,
  );
  const touch = relaxed.prepare<never, [string, number, number, string]>(
    "UPDATE sessions SET seen_at = ?2, seal = ?4 WHERE id = ?1 AND seen_at <= ?2 AND expires_at > ?3",
  );
  const leave = durable.prepare<never, [string]>("INSERT OR IGNORE INTO state VALUES ('sessions_note', ?)");
  const left = durable.prepare<{ value: string }, []>("SELECT value FROM state WHERE name = 'sessions_note'");
  type Ended = { id: string; expiresAt: number };
  const remove = durable.prepare<Ended, [string]>(
    "DELETE FROM sessions WHERE id = ? RETURNING id, expires_at AS expiresAt",
  );
  const removeAll = durable.prepare<Ended, [string]>(
    "DELETE FROM sessions WHERE email = ? RETURNING id, expires_at AS expiresAt",
  );
  const removeExpired = relaxed.prepare<never, [number, number]>(`
    DELETE FROM sessions WHERE id IN
      (SELECT id FROM sessions WHERE expires_at <= ?1 ORDER BY expires_at LIMIT ?2)`);
  const expired = relaxed.prepare<{ found: number }, [number]>(
    "SELECT 1 AS found FROM sessions WHERE expires_at <= ? LIMIT 1",
  );

  function tell(removed: readonly Ended[]): string[] {
    const now = clock.now();
    const ids = removed.filter(({ expiresAt }) => expiresAt > now).map(({ id }) => id);
    for (const id of ids) for (const listener of listeners) listener(id);
    return ids;
  }

  return {
    create({ id, email, createdAt, expiresAt, seenAt, ip, userAgent, seal }) {
      handle.write(() => insert.run(id, email, createdAt, expiresAt, seenAt, ip, userAgent, seal));
    },

    find(id) {
      const record = handle.read(() => select.get(id));
      return record !== null && record.expiresAt > clock.now() ? record : undefined;
    },

    touch({ id, seenAt, seal }) {
      try {
        handle.write(() => touch.run(id, seenAt, clock.now(), seal));
      } catch (error) {
        // A full disk signs nobody out: the session goes on, and its last use is noted when there is room again.
        if (!(error instanceof StoreUnavailable)) throw error;
      }
    },

    end: (id) => tell(handle.write(() => remove.all(id))).length > 0,
    endAll: (email) => tell(handle.write(() => removeAll.all(email))),
    list: () => handle.read(() => selectLive.all(clock.now())),

    note(first) {
      if (first !== undefined) handle.write(() => leave.run(first));
      return handle.read(() => left.get())?.value;
    },

    onEnded: (listener) => {
      listeners.push(listener);
    },

    sweep(most) {
      const now = clock.now();
      if (handle.read(() => expired.get(now)) === null) return false;
      return handle.write(() => removeExpired.run(now, most)).changes === most;
    },
  };
}
